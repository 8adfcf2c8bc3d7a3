#ifndef UL2Q_FLOAT_ENGINE_ONEDNN_CONVOLUTION_LAYER_HPP_
#define UL2Q_FLOAT_ENGINE_ONEDNN_CONVOLUTION_LAYER_HPP_

#include <memory>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/deconv_layer.hpp"
#include "ul2q/float_engine/onednn_convolution.hpp"

namespace caffe {

/**
 * @brief BVLC's (de)convolution layer, computed by oneDNN where that can: 2-D,
 *        float, and no blob is empty. The rest is left to BVLC's.
 *
 * A pass brings the weights into oneDNN's format: when training anew, when
 * testing if they may have been written to since the last one.
 */
template <template <typename> class Base, typename Dtype>
class OneDnnLayer : public Base<Dtype> {
 public:
  explicit OneDnnLayer(const LayerParameter& param) : Base<Dtype>(param) {}

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;

  /// Whether oneDNN computes blobs of the present shape.
  bool is_by_onednn() const { return onednn_ != nullptr; }

  /// Forward, and a ReLU in place on the top; false, and nothing is done, where
  /// oneDNN does not do both.
  bool ForwardAndRelu(const vector<Blob<Dtype>*>& bottom,
                      const vector<Blob<Dtype>*>& top, float negative_slope);

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  bool IsForOneDnn(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) const;
  ul2q::ConvolutionShape ShapeOf(const Blob<Dtype>& bottom,
                                 const Blob<Dtype>& top);
  /// Calls `make`, and leaves the shape to BVLC's layer if oneDNN lacks it.
  template <typename Make>
  void Try(const Make& make);

  std::unique_ptr<ul2q::OneDnnConvolution> onednn_;  ///< null: BVLC's computes
  std::unique_ptr<ul2q::OneDnnConvolution> with_relu_;  ///< null before use
  bool adds_relu_ = false;
};

template <typename Dtype>
using OneDnnConvolutionLayer = OneDnnLayer<ConvolutionLayer, Dtype>;

template <typename Dtype>
using OneDnnDeconvolutionLayer = OneDnnLayer<DeconvolutionLayer, Dtype>;

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_ONEDNN_CONVOLUTION_LAYER_HPP_

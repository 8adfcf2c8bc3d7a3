#ifndef UL2Q_FLOAT_ENGINE_CONVOLUTION_HPP_
#define UL2Q_FLOAT_ENGINE_CONVOLUTION_HPP_

#include <memory>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/deconv_layer.hpp"
#include "ul2q/float_engine/fusion.hpp"
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
class FastConvolutionOf : public Base<Dtype>, public ForwardAndRelu<Dtype> {
 public:
  explicit FastConvolutionOf(const LayerParameter& param)
      : Base<Dtype>(param) {}

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;

  /// Whether oneDNN computes blobs of the present shape.
  bool is_by_onednn() const { return onednn_ != nullptr; }

  bool ForwardWithRelu(const vector<Blob<Dtype>*>& bottom,
                       const vector<Blob<Dtype>*>& top,
                       float negative_slope) override;

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
using FastConvolutionLayer = FastConvolutionOf<ConvolutionLayer, Dtype>;

template <typename Dtype>
using FastDeconvolutionLayer = FastConvolutionOf<DeconvolutionLayer, Dtype>;

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_CONVOLUTION_HPP_

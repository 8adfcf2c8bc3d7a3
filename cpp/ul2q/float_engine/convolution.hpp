#ifndef UL2Q_FLOAT_ENGINE_CONVOLUTION_HPP_
#define UL2Q_FLOAT_ENGINE_CONVOLUTION_HPP_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "caffe/layers/conv_layer.hpp"
#include "caffe/layers/deconv_layer.hpp"
#include "ul2q/float_engine/fusion.hpp"
#include "ul2q/float_engine/onednn_convolution.hpp"
#include "ul2q/float_engine/plain_convolution.hpp"

namespace caffe {

/// Who computes a pass of a (de)convolution.
enum class ConvolutionMethod { kBvlc, kOneDnn, kGemm, kDirect };

/**
 * @brief BVLC's (de)convolution layer, for each pass by what is fast for its
 *        shape: oneDNN where that has a kernel, else by plain loops or a matrix
 *        product of our own. Left to BVLC's are other than 2-D convolutions,
 *        doubles and empty blobs.
 *
 * For oneDNN a pass brings the weights into its format: when training anew,
 * when testing if they may have been written to since the last one.
 */
template <template <typename> class Base, typename Dtype>
class FastConvolutionOf : public Base<Dtype>, public ForwardAndRelu<Dtype> {
 public:
  explicit FastConvolutionOf(const LayerParameter& param)
      : Base<Dtype>(param) {}

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;

  /// Who computes a pass of blobs of the present shape. It depends on shape,
  /// phase and processor.
  ConvolutionMethod MethodOf(ul2q::ConvolutionPass pass);

  /// What oneDNN calls its kernel of a forward pass with a ReLU, "" where
  /// there was none.
  std::string KernelWithRelu() const;

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
  bool IsForBvlc(const vector<Blob<Dtype>*>& bottom,
                 const vector<Blob<Dtype>*>& top) const;
  ul2q::ConvolutionShape ShapeOf(const Blob<Dtype>& bottom,
                                 const Blob<Dtype>& top);

  /// Both are null where BVLC's layer computes.
  std::unique_ptr<ul2q::OneDnnConvolution> onednn_;
  std::unique_ptr<ul2q::PlainConvolution> plain_;
  std::unique_ptr<ul2q::OneDnnConvolution> with_relu_;  ///< null before use
  std::optional<float> relu_slope_;  ///< of the forward pass that runs
};

template <typename Dtype>
using FastConvolutionLayer = FastConvolutionOf<ConvolutionLayer, Dtype>;

template <typename Dtype>
using FastDeconvolutionLayer = FastConvolutionOf<DeconvolutionLayer, Dtype>;

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_CONVOLUTION_HPP_

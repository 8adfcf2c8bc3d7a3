#include "ul2q/float_engine/fused_convolution.hpp"

#include "ul2q/float_engine/fast_relu_layer.hpp"
#include "ul2q/float_engine/onednn_convolution_layer.hpp"
#include "ul2q/float_engine/plain_layer.hpp"
#include "ul2q/layers/quantized_layer.hpp"

namespace caffe {
namespace {

template <typename Convolution, typename Dtype>
class FusedConvolution : public ul2q::LayerGroup<Dtype> {
 public:
  FusedConvolution(const Net<Dtype>& net, int first,
                   shared_ptr<Convolution> convolution)
      : ul2q::LayerGroup<Dtype>(first, first + 1),
        convolution_(std::move(convolution)),
        bottom_(net.bottom_vecs()[first]),
        top_(net.top_vecs()[first]),
        negative_slope_(net.layers()[first + 1]
                            ->layer_param()
                            .relu_param()
                            .negative_slope()) {}

  bool Forward() override {
    return Caffe::mode() == Caffe::CPU &&
           convolution_->ForwardAndRelu(bottom_, top_, negative_slope_);
  }
  bool Backward() override { return false; }

 private:
  const shared_ptr<Convolution> convolution_;
  const vector<Blob<Dtype>*> bottom_, top_;
  const float negative_slope_;
};

template <template <typename> class Own, typename Dtype>
std::shared_ptr<ul2q::LayerGroup<Dtype>> Fuse(const Net<Dtype>& net,
                                              int first) {
  shared_ptr<Own<Dtype>> convolution = PlainLayer<Own<Dtype>>(net, first);
  if (!convolution) {
    convolution = PlainLayer<QuantizedLayer<Own, Dtype>>(net, first);
  }
  return convolution ? std::make_shared<FusedConvolution<Own<Dtype>, Dtype>>(
                           net, first, convolution)
                     : nullptr;
}

}  // namespace

template <typename Dtype>
std::shared_ptr<ul2q::LayerGroup<Dtype>> FuseConvolution(const Net<Dtype>& net,
                                                         int first) {
  const int relu = first + 1;
  if (net.phase() != TEST || !PlainLayer<FastReLULayer<Dtype>>(net, relu) ||
      net.bottom_vecs()[relu] != net.top_vecs()[relu] ||
      net.top_vecs()[first] != net.bottom_vecs()[relu]) {
    return nullptr;
  }
  auto group = Fuse<OneDnnConvolutionLayer>(net, first);
  return group ? group : Fuse<OneDnnDeconvolutionLayer>(net, first);
}

template std::shared_ptr<ul2q::LayerGroup<float>> FuseConvolution(
    const Net<float>&, int);
template std::shared_ptr<ul2q::LayerGroup<double>> FuseConvolution(
    const Net<double>&, int);

}  // namespace caffe

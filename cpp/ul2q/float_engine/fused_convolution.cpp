// When testing, a convolution or deconvolution, quantised or not, and a ReLU in
// place behind it: the convolution rectifies what it stores.

#include <memory>
#include <utility>
#include <vector>

#include "ul2q/float_engine/fusion.hpp"

namespace caffe {
namespace {

template <typename Dtype>
class FusedConvolution : public ul2q::LayerGroup<Dtype> {
 public:
  FusedConvolution(const Net<Dtype>& net, int first,
                   shared_ptr<ForwardAndRelu<Dtype>> convolution,
                   float negative_slope)
      : ul2q::LayerGroup<Dtype>(first, first + 1),
        convolution_(std::move(convolution)),
        bottom_(net.bottom_vecs()[first]),
        top_(net.top_vecs()[first]),
        negative_slope_(negative_slope) {}

  bool Forward() override {
    return Caffe::mode() == Caffe::CPU &&
           convolution_->ForwardWithRelu(bottom_, top_, negative_slope_);
  }
  bool Backward() override { return false; }

 private:
  const shared_ptr<ForwardAndRelu<Dtype>> convolution_;
  const vector<Blob<Dtype>*> bottom_, top_;
  const float negative_slope_;
};

}  // namespace

template <typename Dtype>
std::shared_ptr<ul2q::LayerGroup<Dtype>> FuseConvolution(const Net<Dtype>& net,
                                                         int first) {
  const auto convolution = FusibleLayer<ForwardAndRelu<Dtype>>(net, first);
  const auto relu = FusibleLayer<FusibleRelu<Dtype>>(net, first + 1);
  if (net.phase() != TEST || !convolution || !relu ||
      !Follows(net, first + 1) ||
      net.bottom_vecs()[first + 1] != net.top_vecs()[first + 1]) {
    return nullptr;
  }
  return std::make_shared<FusedConvolution<Dtype>>(net, first, convolution,
                                                   relu->negative_slope());
}

template std::shared_ptr<ul2q::LayerGroup<float>> FuseConvolution(
    const Net<float>&, int);
template std::shared_ptr<ul2q::LayerGroup<double>> FuseConvolution(
    const Net<double>&, int);

}  // namespace caffe

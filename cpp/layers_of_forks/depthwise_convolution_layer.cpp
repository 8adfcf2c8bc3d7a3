// DepthwiseConvolution and ConvolutionDepthwise, of forks with MobileNets: a
// Convolution that has a group for each channel.

#include "layers_of_forks/fork_layer.hpp"
#include "ul2q/float_engine/convolution.hpp"
#include "ul2q/float_engine/engine.hpp"

namespace caffe {
namespace {

/// `Base`: a Convolution. convolution_param.group may be left out.
template <template <typename> class Base, typename Dtype>
class DepthwiseConvolution : public Base<Dtype> {
 public:
  using Base<Dtype>::Base;

  const char* type() const override {
    return this->layer_param_.type().c_str();
  }

  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& top) override {
    ConvolutionParameter& param =
        *this->layer_param_.mutable_convolution_param();
    const int axis = bottom[0]->CanonicalAxisIndex(param.axis());
    const unsigned channels = bottom[0]->shape(axis);
    CHECK(param.group() == 1 || param.group() == channels)
        << "convolution_param.group is " << param.group() << " for " << channels
        << " channels; this layer has a group for each channel: leave group "
           "out, or use Convolution";
    CHECK_EQ(param.num_output() % channels, 0u)
        << "convolution_param.num_output is " << param.num_output()
        << "; must be a multiple of the bottom's " << channels << " channels";
    param.set_group(channels);
    Base<Dtype>::LayerSetUp(bottom, top);
  }
};

template <typename Dtype>
shared_ptr<Layer<Dtype>> Create(const LayerParameter& param) {
  if (UsesFastEngine(param)) {
    return shared_ptr<Layer<Dtype>>(
        new DepthwiseConvolution<FastConvolutionLayer, Dtype>(param));
  }
  CHECK_NE(param.convolution_param().engine(), ConvolutionParameter::CUDNN)
      << "convolution_param.engine is CUDNN, which this build does not have; "
         "use CAFFE or leave it out";
  return shared_ptr<Layer<Dtype>>(
      new DepthwiseConvolution<ConvolutionLayer, Dtype>(param));
}

template <typename Dtype>
bool Register() {
  for (const char* type : {"DepthwiseConvolution", "ConvolutionDepthwise"}) {
    LayerRegistry<Dtype>::Registry().emplace(type, &Create<Dtype>);
  }
  return true;
}

[[maybe_unused]] const bool registered =
    Register<float>() && Register<double>();

}  // namespace
}  // namespace caffe

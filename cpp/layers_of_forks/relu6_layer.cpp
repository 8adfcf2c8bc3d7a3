#include "layers_of_forks/relu6_layer.hpp"

namespace caffe {

template <typename Dtype>
void ReLU6Layer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                   const vector<Blob<Dtype>*>& top) {
  NeuronLayer<Dtype>::LayerSetUp(bottom, top);
  CHECK_GE(Slope(), 0) << "relu_param.negative_slope must not be negative";
}

UL2Q_DEFINE_CPU_PASSES(ReLU6Layer);

namespace {
const ForkLayer<ReLU6Layer> registration("ReLU6");
}  // namespace

}  // namespace caffe

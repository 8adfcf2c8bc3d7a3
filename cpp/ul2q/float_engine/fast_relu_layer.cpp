#include "ul2q/float_engine/fast_relu_layer.hpp"

#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/float_engine/element_loops.hpp"
#include "ul2q/float_engine/engine.hpp"

namespace caffe {

template <typename Dtype>
void FastReLULayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                       const vector<Blob<Dtype>*>& top) {
  const Dtype slope = this->layer_param_.relu_param().negative_slope();
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  const auto relu = ul2q::GetElementLoops<Dtype>().relu;
  ul2q::ForEachThread(bottom[0]->count(), [&](int64_t begin, int64_t end) {
    relu(x + begin, end - begin, slope, y + begin);
  });
}

template <typename Dtype>
void FastReLULayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                        const vector<bool>& propagate_down,
                                        const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) {
    return;
  }
  const Dtype slope = this->layer_param_.relu_param().negative_slope();
  const Dtype* x = bottom[0]->cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  const auto relu_backward = ul2q::GetElementLoops<Dtype>().relu_backward;
  ul2q::ForEachThread(bottom[0]->count(), [&](int64_t begin, int64_t end) {
    relu_backward(x + begin, dy + begin, end - begin, slope, dx + begin);
  });
}

namespace {
const OwnEngine<FastReLULayer> registration("ReLU");
}

template class FastReLULayer<float>;
template class FastReLULayer<double>;

}  // namespace caffe

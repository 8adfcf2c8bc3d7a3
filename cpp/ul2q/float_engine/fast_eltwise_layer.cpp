#include "ul2q/float_engine/fast_eltwise_layer.hpp"

#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/float_engine/element_loops.hpp"
#include "ul2q/float_engine/engine.hpp"

namespace caffe {
namespace {

template <typename Dtype>
vector<const Dtype*> DataOf(const vector<Blob<Dtype>*>& blobs) {
  vector<const Dtype*> data;
  for (const Blob<Dtype>* blob : blobs) {
    data.push_back(blob->cpu_data());
  }
  return data;
}

}  // namespace

template <typename Dtype>
void FastEltwiseLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                          const vector<Blob<Dtype>*>& top) {
  const vector<const Dtype*> x = DataOf(bottom);
  Dtype* y = top[0]->mutable_cpu_data();
  int* index = this->op_ == EltwiseParameter::MAX
                   ? this->max_idx_.mutable_cpu_data()
                   : nullptr;
  const auto& loops = ul2q::GetEltwiseLoops<Dtype>();
  ul2q::ForEachThread(top[0]->count(), [&](int64_t begin, int64_t end) {
    switch (this->op_) {
      case EltwiseParameter::SUM:
        loops.sum(x, this->coeffs_, begin, end - begin, y);
        break;
      case EltwiseParameter::PROD:
        loops.product(x, begin, end - begin, y);
        break;
      case EltwiseParameter::MAX:
        loops.max(x, begin, end - begin, y, index);
        break;
    }
  });
}

template <typename Dtype>
void FastEltwiseLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                           const vector<bool>& propagate_down,
                                           const vector<Blob<Dtype>*>& bottom) {
  const vector<const Dtype*> x = DataOf(bottom);
  const Dtype* y = top[0]->cpu_data();
  const Dtype* dy = top[0]->cpu_diff();
  vector<Dtype*> dx;
  for (size_t i = 0; i < bottom.size(); ++i) {
    dx.push_back(propagate_down[i] ? bottom[i]->mutable_cpu_diff() : nullptr);
  }
  const int* index =
      this->op_ == EltwiseParameter::MAX ? this->max_idx_.cpu_data() : nullptr;
  const auto& loops = ul2q::GetEltwiseLoops<Dtype>();
  ul2q::ForEachThread(top[0]->count(), [&](int64_t begin, int64_t end) {
    const int64_t n = end - begin;
    switch (this->op_) {
      case EltwiseParameter::SUM:
        loops.sum_backward(dy, this->coeffs_, begin, n, dx);
        break;
      case EltwiseParameter::PROD:
        if (this->stable_prod_grad_) {
          loops.product_backward(x, dy, begin, n, dx);
        } else {
          loops.quotient_backward(x, y, dy, begin, n, dx);
        }
        break;
      case EltwiseParameter::MAX:
        loops.max_backward(dy, index, begin, n, dx);
        break;
    }
  });
}

namespace {
const OwnEngine<FastEltwiseLayer> registration("Eltwise");
}

template class FastEltwiseLayer<float>;
template class FastEltwiseLayer<double>;

}  // namespace caffe

#include "ul2q/float_engine/fast_dropout_layer.hpp"

#include <algorithm>
#include <cmath>

#include "caffe/util/rng.hpp"
#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/float_engine/element_loops.hpp"
#include "ul2q/float_engine/engine.hpp"

namespace caffe {
namespace {

template <typename Dtype>
void Copy(const Dtype* from, int64_t n, Dtype* to) {
  if (from == to) {
    return;
  }
  ul2q::ForEachThread(n, [=](int64_t begin, int64_t end) {
    std::copy(from + begin, from + end, to + begin);
  });
}

}  // namespace

template <typename Dtype>
void FastDropoutLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                                          const vector<Blob<Dtype>*>& top) {
  const int64_t count = bottom[0]->count();
  const Dtype* x = bottom[0]->cpu_data();
  Dtype* y = top[0]->mutable_cpu_data();
  if (this->phase_ != TRAIN) {
    Copy(x, count, y);
    return;
  }
  unsigned* mask = this->rand_vec_.mutable_cpu_data();
  rng_t& random = *caffe_rng();
  // As boost::bernoulli_distribution compares, but with integers.
  const auto highest =
      static_cast<uint32_t>(std::floor((1. - this->threshold_) * rng_t::max()));
  const auto apply = ul2q::GetElementLoops<Dtype>().mask;
  for (int64_t begin = 0; begin < count; begin += ul2q::kBlockSize) {
    const int64_t end = std::min(count, begin + ul2q::kBlockSize);
    for (int64_t i = begin; i < end; ++i) {
      mask[i] = random() <= highest;
    }
    apply(x + begin, mask + begin, end - begin, this->scale_, y + begin);
  }
}

template <typename Dtype>
void FastDropoutLayer<Dtype>::Backward_cpu(const vector<Blob<Dtype>*>& top,
                                           const vector<bool>& propagate_down,
                                           const vector<Blob<Dtype>*>& bottom) {
  if (!propagate_down[0]) {
    return;
  }
  const int64_t count = bottom[0]->count();
  const Dtype* dy = top[0]->cpu_diff();
  Dtype* dx = bottom[0]->mutable_cpu_diff();
  if (this->phase_ != TRAIN) {
    Copy(dy, count, dx);
    return;
  }
  const unsigned* mask = this->rand_vec_.cpu_data();
  const auto apply = ul2q::GetElementLoops<Dtype>().mask;
  ul2q::ForEachThread(count, [&](int64_t begin, int64_t end) {
    apply(dy + begin, mask + begin, end - begin, this->scale_, dx + begin);
  });
}

namespace {
const OwnEngine<FastDropoutLayer> registration("Dropout");
}

template class FastDropoutLayer<float>;
template class FastDropoutLayer<double>;

}  // namespace caffe

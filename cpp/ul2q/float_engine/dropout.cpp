// Dropout that draws the same mask as BVLC's from the same random numbers.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "caffe/layers/dropout_layer.hpp"
#include "caffe/util/rng.hpp"
#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/engine.hpp"

#ifndef UL2Q_FLOAT_ENGINE_DROPOUT_CPP_  // once, before the instruction sets
#define UL2Q_FLOAT_ENGINE_DROPOUT_CPP_
namespace ul2q {

template <typename Dtype>
struct DropoutLoops {
  /// y = x·mask·scale for n elements; the mask is 0 or 1. y may be x.
  void (*mask)(const Dtype* x, const unsigned* mask, std::int64_t n,
               Dtype scale, Dtype* y);
};

}  // namespace ul2q
#endif

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/dropout.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

template <typename Dtype>
void Mask(const Dtype* x, const unsigned* mask, std::int64_t n, Dtype scale,
          Dtype* y) {
#pragma GCC ivdep  // y may be x, but no other part of it
  for (std::int64_t i = 0; i < n; ++i) {
    // From int: not all processors convert unsigned numbers.
    y[i] = x[i] * static_cast<Dtype>(static_cast<int>(mask[i])) * scale;
  }
}

template <typename Dtype>
DropoutLoops<Dtype> MakeLoops() {
  return {&Mask<Dtype>};
}

UL2Q_LOOP_TABLE(DropoutLoops);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

UL2Q_EXPORT_LOOPS(DropoutLoops);

}  // namespace ul2q

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

template <typename Dtype>
class FastDropoutLayer : public DropoutLayer<Dtype> {
 public:
  using DropoutLayer<Dtype>::DropoutLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
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
    const auto highest = static_cast<uint32_t>(
        std::floor((1. - this->threshold_) * rng_t::max()));
    const auto apply = ul2q::GetDropoutLoops<Dtype>().mask;
    for (int64_t begin = 0; begin < count; begin += ul2q::kBlockSize) {
      const int64_t end = std::min(count, begin + ul2q::kBlockSize);
      for (int64_t i = begin; i < end; ++i) {
        mask[i] = random() <= highest;
      }
      apply(x + begin, mask + begin, end - begin, this->scale_, y + begin);
    }
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
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
    const auto apply = ul2q::GetDropoutLoops<Dtype>().mask;
    ul2q::ForEachThread(count, [&](int64_t begin, int64_t end) {
      apply(dy + begin, mask + begin, end - begin, this->scale_, dx + begin);
    });
  }
};

const FastLayer<FastDropoutLayer> registration("Dropout");

}  // namespace
}  // namespace caffe
#endif

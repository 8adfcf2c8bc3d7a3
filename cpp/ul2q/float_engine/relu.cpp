// ReLU, vectorised and on several threads.

#include "ul2q/float_engine/relu.hpp"

#include <cstdint>
#include <vector>

#include "caffe/layers/relu_layer.hpp"
#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/engine.hpp"
#include "ul2q/float_engine/fusion.hpp"

#ifndef UL2Q_FLOAT_ENGINE_RELU_CPP_  // once, before the instruction sets
#define UL2Q_FLOAT_ENGINE_RELU_CPP_
namespace ul2q {

/// n elements; an output may be an input of the same element.
template <typename Dtype>
struct ReluLoops {
  /// y = max(x, 0) + slope·min(x, 0)
  void (*forward)(const Dtype* x, std::int64_t n, Dtype slope, Dtype* y);
  /// dx = dy where x > 0, slope·dy elsewhere
  void (*backward)(const Dtype* x, const Dtype* dy, std::int64_t n, Dtype slope,
                   Dtype* dx);
};

}  // namespace ul2q
#endif

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/relu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

template <typename Dtype>
void Forward(const Dtype* x, std::int64_t n, Dtype slope, Dtype* y) {
#pragma GCC ivdep  // y may be x, but no other part of it
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = Relu(x[i], slope);
  }
}

template <typename Dtype>
void Backward(const Dtype* x, const Dtype* dy, std::int64_t n, Dtype slope,
              Dtype* dx) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    dx[i] = dy[i] * ReluDerivative(x[i], slope);
  }
}

template <typename Dtype>
ReluLoops<Dtype> MakeLoops() {
  return {&Forward<Dtype>, &Backward<Dtype>};
}

UL2Q_LOOP_TABLE(ReluLoops);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

UL2Q_EXPORT_LOOPS(ReluLoops);

}  // namespace ul2q

namespace caffe {
namespace {

template <typename Dtype>
class FastReLULayer : public ReLULayer<Dtype>, public FusibleRelu<Dtype> {
 public:
  using ReLULayer<Dtype>::ReLULayer;

  float negative_slope() const override {
    return this->layer_param_.relu_param().negative_slope();
  }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    const Dtype slope = negative_slope();
    const Dtype* x = bottom[0]->cpu_data();
    Dtype* y = top[0]->mutable_cpu_data();
    const auto forward = ul2q::GetReluLoops<Dtype>().forward;
    ul2q::ForEachThread(bottom[0]->count(), [&](int64_t begin, int64_t end) {
      forward(x + begin, end - begin, slope, y + begin);
    });
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    if (!propagate_down[0]) {
      return;
    }
    const Dtype slope = negative_slope();
    const Dtype* x = bottom[0]->cpu_data();
    const Dtype* dy = top[0]->cpu_diff();
    Dtype* dx = bottom[0]->mutable_cpu_diff();
    const auto backward = ul2q::GetReluLoops<Dtype>().backward;
    ul2q::ForEachThread(bottom[0]->count(), [&](int64_t begin, int64_t end) {
      backward(x + begin, dy + begin, end - begin, slope, dx + begin);
    });
  }
};

const FastLayer<FastReLULayer> registration("ReLU");

}  // namespace
}  // namespace caffe
#endif

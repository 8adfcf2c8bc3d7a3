// Softmax without a BLAS call a row, vectorised and on several threads; the one
// within SoftmaxWithLoss and other losses, too.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "caffe/layers/softmax_layer.hpp"
#include "ul2q/core/kernels/lanes.hpp"
#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/engine.hpp"
#include "ul2q/float_engine/parallel.hpp"

#ifndef UL2Q_FLOAT_ENGINE_SOFTMAX_CPP_  // once, before the instruction sets
#define UL2Q_FLOAT_ENGINE_SOFTMAX_CPP_
namespace ul2q {

/// Columns that SoftmaxLoops takes at a time.
constexpr int kSoftmaxColumns = 256;

/// The softmax of columns: element c of a column lies at c * stride, the
/// columns lie side by side, at most kSoftmaxColumns of them.
template <typename Dtype>
struct SoftmaxLoops {
  /// y = exp(x - max x) / Σ exp(x - max x). y may be x.
  void (*forward)(const Dtype* x, int channels, std::int64_t stride,
                  int columns, Dtype* y);
  /// dx = (dy - Σ dy · y) · y. dx may be dy.
  void (*backward)(const Dtype* y, const Dtype* dy, int channels,
                   std::int64_t stride, int columns, Dtype* dx);
};

}  // namespace ul2q
#endif

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/softmax.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>  // after highway.h

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <typename Dtype>
using Tag = hn::CappedTag<Dtype, kLanes>;

template <typename Dtype>
HWY_INLINE hn::Vec<Tag<Dtype>> ExpOf(hn::Vec<Tag<Dtype>> x) {
  // Highway's makes 0 of NaN, which would hide that training has diverged.
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(Tag<Dtype>(), x));
}

/// y[i] = exp(y[i])
template <typename Dtype>
HWY_INLINE void Exponentiate(int n, Dtype* y) {
  const Tag<Dtype> d;
  const int lanes = hn::Lanes(d);
  int i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(ExpOf<Dtype>(hn::LoadU(d, y + i)), d, y + i);
  }
  if (i < n) {
    Lanes<Dtype> rest;
    rest.Fill(0);
    std::copy(y + i, y + n, rest.of);
    hn::Store(ExpOf<Dtype>(hn::Load(d, rest.of)), d, rest.of);
    std::copy(rest.of, rest.of + (n - i), y + i);
  }
}

/// The sum of the terms of a row, added in the order of kLanes.
template <typename Term>
HWY_INLINE auto SumOverRow(const Term& term, int n) {
  Lanes<decltype(term(0))> lanes;
  lanes.Fill(0);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      lanes.of[lane] += term(i + lane);
    }
  }
  for (int lane = 0; i + lane < n; ++lane) {
    lanes.of[lane] += term(i + lane);
  }
  return lanes.Reduce(Sum());
}

template <typename Dtype>
struct Element {
  const Dtype* y;
  HWY_INLINE Dtype operator()(int i) const { return y[i]; }
};

template <typename Dtype>
struct Product {
  const Dtype* a;
  const Dtype* b;
  HWY_INLINE Dtype operator()(int i) const { return a[i] * b[i]; }
};

/// One column whose elements lie side by side.
template <typename Dtype>
HWY_INLINE void ForwardRow(const Dtype* x, int n, Dtype* y) {
  Lanes<Dtype> lanes;
  lanes.Fill(x[0]);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      lanes.of[lane] = Highest()(lanes.of[lane], x[i + lane]);
    }
  }
  for (int lane = 0; i + lane < n; ++lane) {
    lanes.of[lane] = Highest()(lanes.of[lane], x[i + lane]);
  }
  const Dtype max = lanes.Reduce(Highest());
#pragma GCC ivdep  // y may be x, but no other part of it
  for (i = 0; i < n; ++i) {
    y[i] = x[i] - max;
  }
  Exponentiate(n, y);
  const Dtype sum = SumOverRow(Element<Dtype>{y}, n);
  for (i = 0; i < n; ++i) {
    y[i] /= sum;
  }
}

template <typename Dtype>
void Forward(const Dtype* x, int channels, std::int64_t stride, int columns,
             Dtype* y) {
  if (stride == 1) {
    ForwardRow(x, channels, y);
    return;
  }
  alignas(64) Dtype max[kSoftmaxColumns], sum[kSoftmaxColumns];
  std::copy(x, x + columns, max);
  for (int c = 1; c < channels; ++c) {
    const Dtype* row = x + c * stride;
    for (int i = 0; i < columns; ++i) {
      max[i] = Highest()(max[i], row[i]);
    }
  }
  std::fill(sum, sum + columns, Dtype(0));
  for (int c = 0; c < channels; ++c) {
    const Dtype* x_row = x + c * stride;
    Dtype* row = y + c * stride;
#pragma GCC ivdep
    for (int i = 0; i < columns; ++i) {
      row[i] = x_row[i] - max[i];
    }
    Exponentiate(columns, row);
    for (int i = 0; i < columns; ++i) {
      sum[i] += row[i];
    }
  }
  for (int c = 0; c < channels; ++c) {
    Dtype* row = y + c * stride;
    for (int i = 0; i < columns; ++i) {
      row[i] /= sum[i];
    }
  }
}

template <typename Dtype>
HWY_INLINE void BackwardRow(const Dtype* y, const Dtype* dy, int n, Dtype* dx) {
  const Dtype dot = SumOverRow(Product<Dtype>{dy, y}, n);
#pragma GCC ivdep  // dx may be dy
  for (int i = 0; i < n; ++i) {
    dx[i] = (dy[i] - dot) * y[i];
  }
}

template <typename Dtype>
void Backward(const Dtype* y, const Dtype* dy, int channels,
              std::int64_t stride, int columns, Dtype* dx) {
  if (stride == 1) {
    BackwardRow(y, dy, channels, dx);
    return;
  }
  alignas(64) Dtype dot[kSoftmaxColumns];
  std::fill(dot, dot + columns, Dtype(0));
  for (int c = 0; c < channels; ++c) {
    const std::int64_t row = c * stride;
    for (int i = 0; i < columns; ++i) {
      dot[i] += dy[row + i] * y[row + i];
    }
  }
  for (int c = 0; c < channels; ++c) {
    const std::int64_t row = c * stride;
#pragma GCC ivdep
    for (int i = 0; i < columns; ++i) {
      dx[row + i] = (dy[row + i] - dot[i]) * y[row + i];
    }
  }
}

template <typename Dtype>
SoftmaxLoops<Dtype> MakeLoops() {
  return {&Forward<Dtype>, &Backward<Dtype>};
}

UL2Q_LOOP_TABLE(SoftmaxLoops);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

UL2Q_EXPORT_LOOPS(SoftmaxLoops);

}  // namespace ul2q

namespace caffe {
namespace {

template <typename Dtype>
class FastSoftmaxLayer : public SoftmaxLayer<Dtype> {
 public:
  using SoftmaxLayer<Dtype>::SoftmaxLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    const auto& loops = ul2q::GetSoftmaxLoops<Dtype>();
    const int channels = bottom[0]->shape(this->softmax_axis_);
    const Dtype* x = bottom[0]->cpu_data();
    Dtype* y = top[0]->mutable_cpu_data();
    ForEachBlock(*bottom[0], [&](std::int64_t offset, int columns) {
      loops.forward(x + offset, channels, this->inner_num_, columns,
                    y + offset);
    });
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    if (!propagate_down[0]) {
      return;
    }
    const auto& loops = ul2q::GetSoftmaxLoops<Dtype>();
    const int channels = top[0]->shape(this->softmax_axis_);
    const Dtype* y = top[0]->cpu_data();
    const Dtype* dy = top[0]->cpu_diff();
    Dtype* dx = bottom[0]->mutable_cpu_diff();
    ForEachBlock(*top[0], [&](std::int64_t offset, int columns) {
      loops.backward(y + offset, dy + offset, channels, this->inner_num_,
                     columns, dx + offset);
    });
  }

 private:
  /// Calls body(offset, columns) for each block of columns of a blob.
  template <typename Body>
  void ForEachBlock(const Blob<Dtype>& blob, const Body& body) const {
    const std::int64_t inner = this->inner_num_;
    const std::int64_t blocks =
        (inner + ul2q::kSoftmaxColumns - 1) / ul2q::kSoftmaxColumns;
    const std::int64_t outer_size = blob.count(this->softmax_axis_);
    ul2q::ParallelFor(
        this->outer_num_ * blocks, blob.count(), [&](std::int64_t i) {
          const std::int64_t first = i % blocks * ul2q::kSoftmaxColumns;
          const std::int64_t columns =
              std::min<std::int64_t>(inner - first, ul2q::kSoftmaxColumns);
          body(i / blocks * outer_size + first, static_cast<int>(columns));
        });
  }
};

const FastLayer<FastSoftmaxLayer> registration("Softmax");

}  // namespace
}  // namespace caffe
#endif

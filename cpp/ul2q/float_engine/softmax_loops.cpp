#include "ul2q/float_engine/softmax_loops.hpp"

#include <algorithm>

#include "ul2q/core/kernels/lanes.hpp"
#include "ul2q/float_engine/dispatch.hpp"

// Highway includes this file once more for each instruction set; see
// kernels/loops.cpp.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/softmax_loops.cpp"
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

/// A sum over a row, in the order of kLanes.
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

const EngineTable<SoftmaxLoops>& Table() {
  static const EngineTable<SoftmaxLoops> table{MakeLoops<float>(),
                                               MakeLoops<double>()};
  return table;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

HWY_EXPORT(Table);
UL2Q_DISPATCH(SoftmaxLoops);

}  // namespace ul2q
#endif

#include "ul2q/float_engine/lrn_loops.hpp"

#include <algorithm>
#include <cmath>

#include "ul2q/core/kernels/lanes.hpp"
#include "ul2q/float_engine/dispatch.hpp"

// Highway includes this file once more for each instruction set; see
// kernels/loops.cpp.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/lrn_loops.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// What is summed of a neighbour.
struct Square {
  template <typename Dtype>
  HWY_INLINE Dtype operator()(Dtype x) const {
    return x * x;
  }
};
struct Itself {
  template <typename Dtype>
  HWY_INLINE Dtype operator()(Dtype x) const {
    return x;
  }
};

/// sums[i] = Σ term(x) over the neighbours of column i of row r. `padded`: row
/// with column_reach elements more on each side.
template <typename Term, typename Dtype>
HWY_INLINE void SumNeighbours(const LocalResponse<Dtype>& response, int r,
                              const Dtype* x, std::int64_t stride,
                              Dtype* padded, Dtype* sums) {
  const Term term;
  const int n = response.columns;
  const int reach = response.column_reach;
  Dtype* column_sums = reach > 0 ? padded + reach : sums;
  const int first = std::max(r - response.row_reach, 0);
  const int last = std::min(r + response.row_reach, response.rows - 1);
#pragma GCC ivdep  // the working memory is no input
  for (int i = 0; i < n; ++i) {
    column_sums[i] = term(x[first * stride + i]);
  }
  for (int row = first + 1; row <= last; ++row) {
    const Dtype* neighbours = x + row * stride;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) {
      column_sums[i] += term(neighbours[i]);
    }
  }
  if (reach > 0) {
    std::fill(padded, padded + reach, Dtype(0));
    std::fill(column_sums + n, column_sums + n + reach, Dtype(0));
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) {
      sums[i] = padded[i];
    }
    for (int j = 1; j <= 2 * reach; ++j) {
#pragma GCC ivdep
      for (int i = 0; i < n; ++i) {
        sums[i] += padded[i + j];
      }
    }
  }
}

/// powers[i] = s[i]^-beta; whole vectors, as far as Padded(n).
template <typename Dtype>
HWY_INLINE void NegativePower(const Dtype* s, int n, Dtype beta,
                              Dtype* powers) {
  const hn::CappedTag<Dtype, kLanes> d;
  const int lanes = hn::Lanes(d);
  const auto one = hn::Set(d, Dtype(1));
  // Roots instead of a power: in vectors, and to two roundings.
  if (beta == Dtype(0.75)) {
    for (int i = 0; i < n; i += lanes) {
      const auto root = hn::Sqrt(hn::LoadU(d, s + i));
      hn::StoreU(hn::Div(one, hn::Mul(root, hn::Sqrt(root))), d, powers + i);
    }
  } else if (beta == Dtype(0.5)) {
    for (int i = 0; i < n; i += lanes) {
      hn::StoreU(hn::Div(one, hn::Sqrt(hn::LoadU(d, s + i))), d, powers + i);
    }
  } else if (beta == Dtype(1)) {
    for (int i = 0; i < n; i += lanes) {
      hn::StoreU(hn::Div(one, hn::LoadU(d, s + i)), d, powers + i);
    }
  } else {
    for (int i = 0; i < n; ++i) {
      powers[i] = std::pow(s[i], -beta);
    }
  }
}

HWY_INLINE std::int64_t Padded(std::int64_t n) {
  return (n + kLanes - 1) / kLanes * kLanes;
}

/// Rows of working memory.
template <typename Dtype>
struct Rows {
  Dtype* scale;   ///< s
  Dtype* power;   ///< s^-beta
  Dtype* padded;  ///< for SumNeighbours
  Dtype*
      ratios;  ///< the summands of the backward pass, one row after the other

  HWY_INLINE Rows(const LocalResponse<Dtype>& response, Dtype* scratch)
      : scale(scratch),
        power(scale + Padded(response.columns)),
        padded(power + Padded(response.columns)),
        ratios(padded + Padded(response.columns + 2 * response.column_reach)) {}
};

template <typename Dtype>
HWY_INLINE void FindPowers(const LocalResponse<Dtype>& response, int r,
                           const Dtype* x, const Rows<Dtype>& rows) {
  SumNeighbours<Square>(response, r, x, response.stride, rows.padded,
                        rows.scale);
  Dtype* scale = rows.scale;
  for (int i = 0; i < response.columns; ++i) {
    scale[i] = response.k + response.alpha * scale[i];
  }
  NegativePower(scale, response.columns, response.beta, rows.power);
}

template <typename Dtype>
void Forward(const LocalResponse<Dtype>& given, const Dtype* x, Dtype* scratch,
             Dtype* y) {
  const LocalResponse<Dtype> response = given;  // No output can change it.
  const Rows<Dtype> rows(response, scratch);
  for (int r = 0; r < response.rows; ++r) {
    FindPowers(response, r, x, rows);
    const Dtype* x_row = x + r * response.stride;
    Dtype* y_row = y + r * response.stride;
    const Dtype* power = rows.power;
#pragma GCC ivdep
    for (int i = 0; i < response.columns; ++i) {
      y_row[i] = x_row[i] * power[i];
    }
  }
}

template <typename Dtype>
void Backward(const LocalResponse<Dtype>& given, const Dtype* x,
              const Dtype* dy, Dtype* scratch, Dtype* dx) {
  const LocalResponse<Dtype> response = given;
  const Rows<Dtype> rows(response, scratch);
  const int n = response.columns;
  for (int r = 0; r < response.rows; ++r) {
    FindPowers(response, r, x, rows);
    const std::int64_t row = r * response.stride;
    Dtype* ratios = rows.ratios + std::int64_t{r} * n;
    const Dtype* power = rows.power;
    const Dtype* scale = rows.scale;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) {
      const Dtype direct = dy[row + i] * power[i];
      dx[row + i] = direct;
      ratios[i] = direct * x[row + i] / scale[i];
    }
  }
  const Dtype factor = 2 * response.alpha * response.beta;
  for (int r = 0; r < response.rows; ++r) {
    SumNeighbours<Itself>(response, r, rows.ratios, n, rows.padded, rows.scale);
    const std::int64_t row = r * response.stride;
    const Dtype* sums = rows.scale;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) {
      dx[row + i] -= factor * x[row + i] * sums[i];
    }
  }
}

template <typename Dtype>
LrnLoops<Dtype> MakeLoops() {
  return {&Forward<Dtype>, &Backward<Dtype>};
}

const EngineTable<LrnLoops>& Table() {
  static const EngineTable<LrnLoops> table{MakeLoops<float>(),
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
UL2Q_DISPATCH(LrnLoops);

template <typename Dtype>
std::int64_t LocalResponse<Dtype>::ForwardScratch() const {
  return 3 * (columns + kLanes) + 2 * column_reach;
}

template <typename Dtype>
std::int64_t LocalResponse<Dtype>::BackwardScratch() const {
  return ForwardScratch() + std::int64_t{rows} * columns;
}

template struct LocalResponse<float>;
template struct LocalResponse<double>;

}  // namespace ul2q
#endif

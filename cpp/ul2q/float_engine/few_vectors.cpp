#include "ul2q/float_engine/few_vectors.hpp"

#include <algorithm>

#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/parallel.hpp"

#ifndef UL2Q_FLOAT_ENGINE_FEW_VECTORS_CPP_  // once, before the instruction sets
#define UL2Q_FLOAT_ENGINE_FEW_VECTORS_CPP_
namespace ul2q {

/// So many rows are gone through side by side: their sums do not wait for each
/// other.
constexpr std::int64_t kRowsAtOnce = 4;

/// Loops over n columns of some rows, which lie `row_step` elements apart, and
/// over one or two vectors, `x_step` or `y_step` apart.
template <typename Dtype>
struct FewVectorsLoops {
  /// sums[v · kRowsAtOnce + row] += Σ rows[row, i] · x[v, i]
  void (*dots)(const Dtype* const* rows, std::int64_t n, const Dtype* x,
               std::int64_t x_step, std::int64_t vectors, Dtype* sums);
  /// y[v, i] += Σ factors[v · factor_step + row · factor_row_step] · rows[row,
  /// i] of `count` rows
  void (*combine)(const Dtype* rows, std::int64_t row_step, std::int64_t count,
                  std::int64_t n, const Dtype* factors,
                  std::int64_t factor_row_step, std::int64_t factor_step,
                  std::int64_t vectors, Dtype* y, std::int64_t y_step);
};

}  // namespace ul2q
#endif

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/few_vectors.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// Of kRowsAtOnce rows and one vector, or two.
template <bool kTwo, typename Dtype>
void DotsOf(const Dtype* const* rows, std::int64_t n, const Dtype* x,
            std::int64_t x_step, Dtype* sums) {
  const hn::ScalableTag<Dtype> d;
  const std::int64_t lanes = hn::Lanes(d);
  const Dtype *row0 = rows[0], *row1 = rows[1], *row2 = rows[2],
              *row3 = rows[3];
  const Dtype* second = x + x_step;
  auto sum00 = hn::Zero(d), sum01 = sum00, sum02 = sum00, sum03 = sum00;
  auto sum10 = sum00, sum11 = sum00, sum12 = sum00, sum13 = sum00;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto of0 = hn::LoadU(d, row0 + i), of1 = hn::LoadU(d, row1 + i);
    const auto of2 = hn::LoadU(d, row2 + i), of3 = hn::LoadU(d, row3 + i);
    const auto x0 = hn::LoadU(d, x + i);
    sum00 = hn::MulAdd(of0, x0, sum00);
    sum01 = hn::MulAdd(of1, x0, sum01);
    sum02 = hn::MulAdd(of2, x0, sum02);
    sum03 = hn::MulAdd(of3, x0, sum03);
    if constexpr (kTwo) {
      const auto x1 = hn::LoadU(d, second + i);
      sum10 = hn::MulAdd(of0, x1, sum10);
      sum11 = hn::MulAdd(of1, x1, sum11);
      sum12 = hn::MulAdd(of2, x1, sum12);
      sum13 = hn::MulAdd(of3, x1, sum13);
    }
  }
  const auto sum_of = [d](auto lanes_of) HWY_ATTR {
    return hn::GetLane(hn::SumOfLanes(d, lanes_of));
  };
  sums[0] += sum_of(sum00);
  sums[1] += sum_of(sum01);
  sums[2] += sum_of(sum02);
  sums[3] += sum_of(sum03);
  if constexpr (kTwo) {
    sums[4] += sum_of(sum10);
    sums[5] += sum_of(sum11);
    sums[6] += sum_of(sum12);
    sums[7] += sum_of(sum13);
  }
  for (; i < n; ++i) {
    for (std::int64_t row = 0; row < kRowsAtOnce; ++row) {
      sums[row] += rows[row][i] * x[i];
      if constexpr (kTwo) {
        sums[kRowsAtOnce + row] += rows[row][i] * second[i];
      }
    }
  }
}

template <typename Dtype>
void Dots(const Dtype* const* rows, std::int64_t n, const Dtype* x,
          std::int64_t x_step, std::int64_t vectors, Dtype* sums) {
  std::int64_t v = 0;
  for (; v + 2 <= vectors; v += 2) {
    DotsOf<true>(rows, n, x + v * x_step, x_step, sums + v * kRowsAtOnce);
  }
  if (v < vectors) {
    DotsOf<false>(rows, n, x + v * x_step, x_step, sums + v * kRowsAtOnce);
  }
}

/// Adds four rows to one vector, or to two: factors[v][row].
template <bool kTwo, typename Dtype>
void CombineFour(const Dtype* rows, std::int64_t row_step, std::int64_t n,
                 const Dtype factors[2][kRowsAtOnce], Dtype* y, Dtype* second) {
  const hn::ScalableTag<Dtype> d;
  const std::int64_t lanes = hn::Lanes(d);
  const Dtype *row0 = rows, *row1 = row0 + row_step, *row2 = row1 + row_step,
              *row3 = row2 + row_step;
  const auto f00 = hn::Set(d, factors[0][0]), f01 = hn::Set(d, factors[0][1]);
  const auto f02 = hn::Set(d, factors[0][2]), f03 = hn::Set(d, factors[0][3]);
  const auto f10 = hn::Set(d, factors[1][0]), f11 = hn::Set(d, factors[1][1]);
  const auto f12 = hn::Set(d, factors[1][2]), f13 = hn::Set(d, factors[1][3]);
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto of0 = hn::LoadU(d, row0 + i), of1 = hn::LoadU(d, row1 + i);
    const auto of2 = hn::LoadU(d, row2 + i), of3 = hn::LoadU(d, row3 + i);
    auto sum = hn::MulAdd(of0, f00, hn::LoadU(d, y + i));
    sum = hn::MulAdd(of1, f01, sum);
    sum = hn::MulAdd(of2, f02, sum);
    hn::StoreU(hn::MulAdd(of3, f03, sum), d, y + i);
    if constexpr (kTwo) {
      sum = hn::MulAdd(of0, f10, hn::LoadU(d, second + i));
      sum = hn::MulAdd(of1, f11, sum);
      sum = hn::MulAdd(of2, f12, sum);
      hn::StoreU(hn::MulAdd(of3, f13, sum), d, second + i);
    }
  }
  for (; i < n; ++i) {
    for (std::int64_t row = 0; row < kRowsAtOnce; ++row) {
      y[i] += rows[row * row_step + i] * factors[0][row];
      if constexpr (kTwo) {
        second[i] += rows[row * row_step + i] * factors[1][row];
      }
    }
  }
}

/// The same of one row and one vector.
template <typename Dtype>
void CombineOne(const Dtype* row, std::int64_t n, Dtype factor, Dtype* y) {
  const hn::ScalableTag<Dtype> d;
  const std::int64_t lanes = hn::Lanes(d);
  const auto f = hn::Set(d, factor);
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::MulAdd(hn::LoadU(d, row + i), f, hn::LoadU(d, y + i)), d,
               y + i);
  }
  for (; i < n; ++i) {
    y[i] += row[i] * factor;
  }
}

template <typename Dtype>
void Combine(const Dtype* rows, std::int64_t row_step, std::int64_t count,
             std::int64_t n, const Dtype* factors, std::int64_t factor_row_step,
             std::int64_t factor_step, std::int64_t vectors, Dtype* y,
             std::int64_t y_step) {
  std::int64_t row = 0;
  for (; row + kRowsAtOnce <= count; row += kRowsAtOnce) {
    for (std::int64_t v = 0; v < vectors; v += 2) {
      const bool two = v + 1 < vectors;
      Dtype of_rows[2][kRowsAtOnce] = {};
      for (std::int64_t i = 0; i < kRowsAtOnce; ++i) {
        const Dtype* factor =
            factors + (row + i) * factor_row_step + v * factor_step;
        of_rows[0][i] = factor[0];
        of_rows[1][i] = two ? factor[factor_step] : 0;
      }
      Dtype* of_v = y + v * y_step;
      (two ? CombineFour<true, Dtype>
           : CombineFour<false, Dtype>)(rows + row * row_step, row_step, n,
                                        of_rows, of_v, of_v + y_step);
    }
  }
  for (; row < count; ++row) {
    for (std::int64_t v = 0; v < vectors; ++v) {
      CombineOne(rows + row * row_step, n,
                 factors[row * factor_row_step + v * factor_step],
                 y + v * y_step);
    }
  }
}

template <typename Dtype>
FewVectorsLoops<Dtype> MakeLoops() {
  return {&Dots<Dtype>, &Combine<Dtype>};
}

UL2Q_LOOP_TABLE(FewVectorsLoops);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

UL2Q_EXPORT_LOOPS(FewVectorsLoops);

namespace {

/// Vectors whose sums a thread keeps at a time.
constexpr std::int64_t kVectorsAtOnce = 16;

/// Columns that are gone through at a time: of kRowsAtOnce rows they stay in
/// the L1 cache.
constexpr std::int64_t kColumnsAtOnce = 1024;

/// Rows that a thread adds to its columns at a time.
constexpr std::int64_t kOuterRows = 32;

constexpr std::int64_t Steps(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step;
}

}  // namespace

template <typename Dtype>
void MultiplyRows(const MatrixShape& shape, const Dtype* matrix, const Dtype* x,
                  std::int64_t vectors, const Dtype* bias, Dtype* y) {
  const auto dots = GetFewVectorsLoops<Dtype>().dots;
  const auto& [rows, columns] = shape;
  const auto body = [&, rows = rows, columns = columns](std::int64_t step) {
    const std::int64_t first = step * kRowsAtOnce;
    const std::int64_t last = rows - 1;
    for (std::int64_t v = 0; v < vectors; v += kVectorsAtOnce) {
      const std::int64_t some = std::min(kVectorsAtOnce, vectors - v);
      Dtype sums[kVectorsAtOnce * kRowsAtOnce] = {};
      for (std::int64_t i = 0; i < columns; i += kColumnsAtOnce) {
        const Dtype* of_rows[kRowsAtOnce];
        for (std::int64_t row = 0; row < kRowsAtOnce; ++row) {
          // The last one stands for those that are missing.
          of_rows[row] = matrix + std::min(first + row, last) * columns + i;
        }
        dots(of_rows, std::min(kColumnsAtOnce, columns - i),
             x + v * columns + i, columns, some, sums);
      }
      for (std::int64_t row = first; row < std::min(rows, first + kRowsAtOnce);
           ++row) {
        for (std::int64_t j = 0; j < some; ++j) {
          y[(v + j) * rows + row] = sums[j * kRowsAtOnce + row - first] +
                                    (bias == nullptr ? Dtype(0) : bias[row]);
        }
      }
    }
  };
  ParallelFor(Steps(rows, kRowsAtOnce), shape.count() * vectors, body);
}

template <typename Dtype>
void MultiplyColumns(const MatrixShape& shape, const Dtype* matrix,
                     const Dtype* x, std::int64_t vectors, const Dtype* bias,
                     Dtype* y) {
  const auto combine = GetFewVectorsLoops<Dtype>().combine;
  const auto& [rows, columns] = shape;
  const auto body = [&, rows = rows, columns = columns](std::int64_t step) {
    const std::int64_t begin = step * kColumnsAtOnce;
    const std::int64_t n = std::min(kColumnsAtOnce, columns - begin);
    for (std::int64_t v = 0; v < vectors; ++v) {
      Dtype* of_v = y + v * columns + begin;
      if (bias == nullptr) {
        std::fill_n(of_v, n, Dtype(0));
      } else {
        std::copy_n(bias + begin, n, of_v);
      }
    }
    combine(matrix + begin, columns, rows, n, x, 1, rows, vectors, y + begin,
            columns);
  };
  ParallelFor(Steps(columns, kColumnsAtOnce), shape.count() * vectors, body);
}

template <typename Dtype>
void AddOuterProducts(const MatrixShape& shape, const Dtype* x, const Dtype* y,
                      std::int64_t vectors, Dtype* matrix) {
  const auto combine = GetFewVectorsLoops<Dtype>().combine;
  const auto& [rows, columns] = shape;
  const auto body = [&, rows = rows, columns = columns](std::int64_t step) {
    const std::int64_t first = step * kOuterRows;
    // The vectors take the matrix's place: each of its rows is a sum of them.
    for (std::int64_t i = 0; i < columns; i += kColumnsAtOnce) {
      combine(y + i, columns, vectors, std::min(kColumnsAtOnce, columns - i),
              x + first, rows, 1, std::min(kOuterRows, rows - first),
              matrix + first * columns + i, columns);
    }
  };
  ParallelFor(Steps(rows, kOuterRows), shape.count() * vectors, body);
}

template void MultiplyRows(const MatrixShape&, const float*, const float*,
                           std::int64_t, const float*, float*);
template void MultiplyRows(const MatrixShape&, const double*, const double*,
                           std::int64_t, const double*, double*);
template void MultiplyColumns(const MatrixShape&, const float*, const float*,
                              std::int64_t, const float*, float*);
template void MultiplyColumns(const MatrixShape&, const double*, const double*,
                              std::int64_t, const double*, double*);
template void AddOuterProducts(const MatrixShape&, const float*, const float*,
                               std::int64_t, float*);
template void AddOuterProducts(const MatrixShape&, const double*, const double*,
                               std::int64_t, double*);

}  // namespace ul2q
#endif

#include "ul2q/core/code_product.hpp"

#include <algorithm>
#include <numeric>

#include "ul2q/core/kernels/blocks.hpp"

// Highway includes this file once more for each instruction set; see
// kernels/loops.cpp.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/core/code_product.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// sums[r] = Σ codes[r · stride + i] · x[i] for four rows, whose sums do not
/// wait for each other. `stride` is a multiple of a vector's lanes.
void MultiplyFourRows(const std::int8_t* codes, const float* x,
                      std::int64_t stride, float* sums) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> d32;
  const hn::Rebind<std::int8_t, decltype(d)> d8;
  const auto load = [&](std::int64_t i) HWY_ATTR {
    return hn::ConvertTo(d, hn::PromoteTo(d32, hn::LoadU(d8, codes + i)));
  };
  auto sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  const std::int64_t lanes = hn::Lanes(d);
  for (std::int64_t i = 0; i < stride; i += lanes) {
    const auto of_x = hn::LoadU(d, x + i);
    sum0 = hn::MulAdd(load(i), of_x, sum0);
    sum1 = hn::MulAdd(load(stride + i), of_x, sum1);
    sum2 = hn::MulAdd(load(2 * stride + i), of_x, sum2);
    sum3 = hn::MulAdd(load(3 * stride + i), of_x, sum3);
  }
  sums[0] = hn::GetLane(hn::SumOfLanes(d, sum0));
  sums[1] = hn::GetLane(hn::SumOfLanes(d, sum1));
  sums[2] = hn::GetLane(hn::SumOfLanes(d, sum2));
  sums[3] = hn::GetLane(hn::SumOfLanes(d, sum3));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

HWY_EXPORT(MultiplyFourRows);

namespace {

constexpr std::int64_t kRowsAtOnce = 4;

/// A multiple of what any processor takes at a time.
constexpr std::int64_t kFloatsAtOnce = 64;

constexpr std::int64_t RoundUp(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}

}  // namespace

bool CodeProduct::Takes(const Quantizer<float>& quantizer) {
  return quantizer.highest_code() - quantizer.lowest_code() < 256;
}

void CodeProduct::Encode(const Quantizer<float>& quantizer,
                         const std::vector<ScaleShift<float>>& fits,
                         const float* matrix, std::int64_t rows,
                         std::int64_t columns) {
  const auto encode = [&](std::int64_t row, std::int32_t* codes) {
    quantizer.Encode(fits[fits.size() == 1 ? 0 : row], matrix + row * columns,
                     columns, {}, codes);
  };
  EncodeRows(quantizer, fits, encode, rows, columns);
}

void CodeProduct::EncodeRows(const Quantizer<float>& quantizer,
                             const std::vector<ScaleShift<float>>& fits,
                             const RowCodes& row_codes, std::int64_t rows,
                             std::int64_t columns) {
  const std::int32_t lowest = quantizer.lowest_code();
  const std::int32_t highest = quantizer.highest_code();
  // From -128 to 127 for all of 256 codes.
  const std::int32_t middle = (lowest + highest + 1) / 2;
  columns_ = columns;
  stride_ = RoundUp(columns, kFloatsAtOnce);
  codes_.assign(RoundUp(rows, kRowsAtOnce) * stride_, 0);
  steps_.resize(rows);
  middles_.resize(rows);
  std::vector<std::int32_t> codes(columns);
  for (std::int64_t row = 0; row < rows; ++row) {
    const ScaleShift<float>& fit = fits[fits.size() == 1 ? 0 : row];
    row_codes(row, codes.data());
    std::transform(
        codes.begin(), codes.end(), codes_.begin() + row * stride_,
        [&](std::int32_t c) { return static_cast<std::int8_t>(c - middle); });
    const Levels<float> levels = OutermostLevels(quantizer, fit);
    const double step = (static_cast<double>(levels.highest) - levels.lowest) /
                        (highest - lowest);
    steps_[row] = static_cast<float>(step);
    middles_[row] =
        static_cast<float>(levels.lowest + step * (middle - lowest));
  }
}

void CodeProduct::Multiply(const float* x, std::int64_t vectors,
                           const float* bias, float* y) {
  padded_.assign(vectors * stride_, 0);
  sums_.assign(vectors, 0);
  for (std::int64_t v = 0; v < vectors; ++v) {
    const float* vector = x + v * columns_;
    std::copy(vector, vector + columns_, padded_.begin() + v * stride_);
    sums_[v] = std::accumulate(vector, vector + columns_, 0.0);
  }
  const auto multiply = HWY_DYNAMIC_DISPATCH(MultiplyFourRows);
  const std::int64_t rows = this->rows();
#pragma omp parallel for schedule( \
        static) if (IsPassWorthThreads(rows * stride_))
  for (std::int64_t first = 0; first < rows; first += kRowsAtOnce) {
    // The codes of four rows stay in the cache for all vectors.
    for (std::int64_t v = 0; v < vectors; ++v) {
      float products[kRowsAtOnce];
      multiply(codes_.data() + first * stride_, padded_.data() + v * stride_,
               stride_, products);
      const std::int64_t end = std::min(rows, first + kRowsAtOnce);
      for (std::int64_t row = first; row < end; ++row) {
        y[v * rows + row] = static_cast<float>(
            steps_[row] * products[row - first] + middles_[row] * sums_[v] +
            (bias == nullptr ? 0.0f : bias[row]));
      }
    }
  }
}

}  // namespace ul2q
#endif

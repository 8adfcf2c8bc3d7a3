#include "ul2q/kernels/magnitudes.hpp"

#include <cmath>

#include "ul2q/kernels/finite.hpp"
#include "ul2q/kernels/sums.hpp"

namespace ul2q {

template <typename Dtype>
double MeanMagnitude(const Dtype* w, std::int64_t n) {
  if (n == 0) {
    return 0;
  }
  const auto [sum] = SumTerms<1>(n, [w](std::int64_t i, auto& sums) {
    sums[0] += std::abs(static_cast<double>(w[i]));
  });
  if (!std::isfinite(sum)) {
    ThrowNonFinite(w, n, "mean");
  }
  return sum / static_cast<double>(n);
}

template <typename Dtype>
double MeanMagnitudeAbove(const Dtype* w, std::int64_t n, Dtype threshold) {
  const auto [sum, count] =
      SumTerms<2>(n, [w, threshold](std::int64_t i, auto& sums) {
        const Dtype magnitude = std::abs(w[i]);
        const bool is_above = magnitude > threshold;
        sums[0] += is_above ? static_cast<double>(magnitude) : 0.0;
        sums[1] += is_above ? 1.0 : 0.0;
      });
  return count > 0 ? sum / count : 0;
}

template double MeanMagnitude(const float*, std::int64_t);
template double MeanMagnitude(const double*, std::int64_t);
template double MeanMagnitudeAbove(const float*, std::int64_t, float);
template double MeanMagnitudeAbove(const double*, std::int64_t, double);

}  // namespace ul2q

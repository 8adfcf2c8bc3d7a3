#include "ul2q/core/kernels/magnitudes.hpp"

#include <cmath>

#include "ul2q/core/kernels/finite.hpp"
#include "ul2q/core/kernels/sums.hpp"

namespace ul2q {

template <typename Dtype>
double MeanMagnitude(const Dtype* w, std::int64_t n) {
  if (n == 0) {
    return 0;
  }
  const auto [sum] = SumTerms(Magnitude<Dtype>{w}, n);
  if (!std::isfinite(sum)) {
    ThrowNonFinite(w, n, "mean");
  }
  return sum / static_cast<double>(n);
}

template <typename Dtype>
double MeanMagnitudeAbove(const Dtype* w, std::int64_t n, Dtype threshold) {
  const auto [sum, count] = SumTerms(MagnitudeAbove<Dtype>{w, threshold}, n);
  return count > 0 ? sum / count : 0;
}

template double MeanMagnitude(const float*, std::int64_t);
template double MeanMagnitude(const double*, std::int64_t);
template double MeanMagnitudeAbove(const float*, std::int64_t, float);
template double MeanMagnitudeAbove(const double*, std::int64_t, double);

}  // namespace ul2q

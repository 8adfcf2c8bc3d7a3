#ifndef UL2Q_CORE_KERNELS_MOMENTS_HPP_
#define UL2Q_CORE_KERNELS_MOMENTS_HPP_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ul2q/core/kernels/host_device.hpp"

namespace ul2q {

/// Moments and range of an array; all 0 for an empty one.
struct Moments {
  double mean = 0;
  double sigma = 0;  ///< population standard deviation (divides by n)
  double min = 0;
  double max = 0;

  /// Root of the mean square: the deviation about 0.
  UL2Q_HOST_DEVICE double rms() const { return std::hypot(mean, sigma); }
  UL2Q_HOST_DEVICE double max_magnitude() const { return std::max(-min, max); }
};

/// One pass over memory, in double precision and free of cancellation: sums of
/// each block about 0, or about its mean where that is far from 0, merged by
/// the formula of Chan, Golub and LeVeque (1979). The same bits whatever the
/// threads and the processor. A constant array gives sigma 0 exactly, and so do
/// deviations whose squares underflow (doubles below about 1e-162). Throws
/// NonFiniteError if an element is NaN or infinite, or if the squared
/// deviations overflow.
template <typename Dtype>
Moments ComputeMoments(const Dtype* w, std::int64_t n);

/// Mean of (a[i] - b[i])², in double precision; 0 for n = 0.
template <typename Dtype>
double MeanSquaredError(const Dtype* a, const Dtype* b, std::int64_t n);

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_MOMENTS_HPP_

#ifndef UL2Q_CORE_KERNELS_TERMS_HPP_
#define UL2Q_CORE_KERNELS_TERMS_HPP_

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "ul2q/core/kernels/host_device.hpp"

namespace ul2q {

// What fits sum over an array: terms(i) of its element i, in double precision.

template <std::size_t kCount>
using TermSums = std::array<double, kCount>;

/// w - origin and its square
template <typename Dtype>
struct Deviation {
  static constexpr std::size_t kCount = 2;
  const Dtype* w;
  double origin;

  UL2Q_HOST_DEVICE TermSums<kCount> operator()(std::int64_t i) const {
    const double deviation = w[i] - origin;
    return {deviation, deviation * deviation};
  }
};

/// |w|
template <typename Dtype>
struct Magnitude {
  static constexpr std::size_t kCount = 1;
  const Dtype* w;

  UL2Q_HOST_DEVICE TermSums<kCount> operator()(std::int64_t i) const {
    return {std::abs(static_cast<double>(w[i]))};
  }
};

/// |w| and 1 where |w| > threshold, else 0.
template <typename Dtype>
struct MagnitudeAbove {
  static constexpr std::size_t kCount = 2;
  const Dtype* w;
  Dtype threshold;

  UL2Q_HOST_DEVICE TermSums<kCount> operator()(std::int64_t i) const {
    const Dtype magnitude = std::abs(w[i]);
    const bool is_above = magnitude > threshold;
    return {is_above ? static_cast<double>(magnitude) : 0.0,
            is_above ? 1.0 : 0.0};
  }
};

/// (a - b)²
template <typename Dtype>
struct SquaredError {
  static constexpr std::size_t kCount = 1;
  const Dtype* a;
  const Dtype* b;

  UL2Q_HOST_DEVICE TermSums<kCount> operator()(std::int64_t i) const {
    const double error = static_cast<double>(a[i]) - b[i];
    return {error * error};
  }
};

/// Which term of LeastSquaresTerms is what.
struct LeastSquaresSum {
  enum Term { kError, kMultiple, kMultipleSquare, kValue, kProduct };
  static constexpr std::size_t kCount = 5;
};

/// The squared error of a grid, and what the scale and shift of least squares
/// for the same codes follow from, with w taken from an origin.
template <typename Grid, typename Dtype>
struct LeastSquaresTerms {
  static constexpr std::size_t kCount = LeastSquaresSum::kCount;
  const Dtype* w;
  Grid grid;
  double origin;

  UL2Q_HOST_DEVICE TermSums<kCount> operator()(std::int64_t i) const {
    const Dtype code = grid.Code(w[i]);
    const double multiple = grid.Multiple(code);
    const double value = w[i] - origin;
    const double error = static_cast<double>(w[i]) - grid.Value(code);
    return {error * error, multiple, multiple * multiple, value,
            value * multiple};
  }
};

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_TERMS_HPP_

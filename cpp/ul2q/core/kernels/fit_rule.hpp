#ifndef UL2Q_CORE_KERNELS_FIT_RULE_HPP_
#define UL2Q_CORE_KERNELS_FIT_RULE_HPP_

#include <algorithm>
#include <cmath>

#include "ul2q/core/kernels/host_device.hpp"
#include "ul2q/core/kernels/moments.hpp"
#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// What a scale is rounded to.
struct ScaleRounding {
  enum Kind {
    kNone,
    kPowerOfTwoAbove,  ///< the smallest that is not less
    kShortInteger      ///< an integer of `bits` bits times a power of two
  };
  Kind kind = kNone;
  int bits = 0;

  template <typename Dtype>
  UL2Q_HOST_DEVICE Dtype operator()(Dtype scale) const {
    if (kind == kNone || !(scale > 0)) {
      return scale;
    }
    // Exact, unlike log2: scale = fraction · 2^exponent, 1/2 <= fraction < 1.
    int exponent = 0;
    const Dtype fraction = std::frexp(scale, &exponent);
    if (kind == kPowerOfTwoAbove) {
      return fraction == Dtype(0.5) ? scale : std::ldexp(Dtype(1), exponent);
    }
    return std::ldexp(std::round(std::ldexp(fraction, bits)), exponent - bits);
  }

  /// The nearest of the scales that it rounds to. Nearest in the scale itself,
  /// not in its logarithm: the squared error grows with that distance.
  template <typename Dtype>
  UL2Q_HOST_DEVICE Dtype Nearest(Dtype scale) const {
    if (kind != kPowerOfTwoAbove || !(scale > 0)) {
      return (*this)(scale);
    }
    int exponent = 0;
    const Dtype fraction = std::frexp(scale, &exponent);
    return std::ldexp(Dtype(1),
                      fraction < Dtype(0.75) ? exponent - 1 : exponent);
  }
};

/// How a fit follows from statistics of the array: the formula of each method,
/// for CPUs and CUDA. scale = rounding(factor · statistic / divisor).
struct FitRule {
  enum Statistic {
    kSigma,
    kRms,
    kRange,         ///< max w - min w
    kMaxMagnitude,  ///< max |w|
    kMaxAboveZero,  ///< max w, or 0
    kMagnitude,     ///< mean |w|
    /// mean of |w| > threshold = threshold_factor · mean |w|
    kMagnitudeAboveThreshold
  };
  Statistic statistic = kSigma;
  double factor = 1;
  double divisor = 1;
  bool shift_is_mean = false;
  double threshold_factor = 0;
  ScaleRounding rounding = {};

  bool is_of_moments() const { return statistic < kMagnitude; }

  /// The scale that follows from a value of `statistic`.
  template <typename Dtype>
  UL2Q_HOST_DEVICE Dtype Scale(double value) const {
    return rounding(static_cast<Dtype>(factor * value / divisor));
  }

  template <typename Dtype>
  UL2Q_HOST_DEVICE Dtype Threshold(double mean_magnitude) const {
    return static_cast<Dtype>(threshold_factor * mean_magnitude);
  }

  template <typename Dtype>
  UL2Q_HOST_DEVICE ScaleShift<Dtype> Of(const Moments& moments) const {
    ScaleShift<Dtype> fit;
    fit.scale = Scale<Dtype>(StatisticOf(moments));
    fit.shift = static_cast<Dtype>(shift_is_mean ? moments.mean : 0.0);
    return fit;
  }

  /// The nearest fit that the method can have: the average of two powers of two
  /// need not be one.
  template <typename Dtype>
  UL2Q_HOST_DEVICE ScaleShift<Dtype> Nearest(
      const ScaleShift<Dtype>& fit) const {
    return {rounding.Nearest(fit.scale), fit.shift, fit.threshold};
  }

 private:
  UL2Q_HOST_DEVICE double StatisticOf(const Moments& moments) const {
    switch (statistic) {
      case kSigma:
        return moments.sigma;
      case kRms:
        return moments.rms();
      case kRange:
        return moments.max - moments.min;
      case kMaxMagnitude:
        return moments.max_magnitude();
      case kMaxAboveZero:
        return std::max(moments.max, 0.0);
      default:
        return 0;  // not of moments
    }
  }
};

/// Whether a fit, and the level next to the value `extreme`, are finite; levels
/// that are not in use need not be.
template <typename Dtype, typename Shape>
UL2Q_HOST_DEVICE inline bool IsFinite(const ScaleShift<Dtype>& fit,
                                      const Shape& shape, double extreme) {
  const typename Shape::Grid grid(fit, shape);
  return std::isfinite(fit.scale) &&
         std::isfinite(grid.Value(grid.Code(static_cast<Dtype>(extreme))));
}

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_FIT_RULE_HPP_

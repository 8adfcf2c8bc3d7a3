#ifndef UL2Q_CORE_KERNELS_TERNARY_HPP_
#define UL2Q_CORE_KERNELS_TERNARY_HPP_

#include "ul2q/core/kernels/host_device.hpp"
#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// The levels -scale, 0 and scale: 0 where |w| <= threshold.
template <typename Dtype>
struct TernaryGrid {
  struct Shape {
    using Grid = TernaryGrid;
    static constexpr bool has_threshold = true;
    static constexpr int lowest = -1;
    static constexpr int highest = 1;
    static constexpr int code_bits() { return 2; }
  };

  Dtype scale;
  Dtype threshold;

  UL2Q_HOST_DEVICE TernaryGrid(const ScaleShift<Dtype>& fit, const Shape&)
      : scale(fit.scale), threshold(fit.threshold) {}

  UL2Q_HOST_DEVICE Dtype Code(Dtype w) const {
    return static_cast<Dtype>((w > threshold) - (w < -threshold));
  }
  UL2Q_HOST_DEVICE Dtype Value(Dtype code) const { return scale * code; }
  /// What the scale is multiplied by in Value.
  UL2Q_HOST_DEVICE Dtype Multiple(Dtype code) const { return code; }
};

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_TERNARY_HPP_

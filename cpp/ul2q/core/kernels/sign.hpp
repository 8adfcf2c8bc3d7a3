#ifndef UL2Q_CORE_KERNELS_SIGN_HPP_
#define UL2Q_CORE_KERNELS_SIGN_HPP_

#include "ul2q/core/kernels/host_device.hpp"
#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// The levels -scale and scale: the sign of w, that of 0 being +1.
template <typename Dtype>
struct SignGrid {
  struct Shape {
    using Grid = SignGrid;
    static constexpr bool has_threshold = false;
    static constexpr int lowest = -1;
    static constexpr int highest = 1;
    static constexpr int code_bits() { return 1; }
  };

  Dtype scale;

  UL2Q_HOST_DEVICE SignGrid(const ScaleShift<Dtype>& fit, const Shape&)
      : scale(fit.scale) {}

  UL2Q_HOST_DEVICE Dtype Code(Dtype w) const {
    return w < 0 ? Dtype(-1) : Dtype(1);
  }
  UL2Q_HOST_DEVICE Dtype Value(Dtype code) const { return scale * code; }
  /// What the scale is multiplied by in Value.
  UL2Q_HOST_DEVICE Dtype Multiple(Dtype code) const { return code; }
};

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_SIGN_HPP_

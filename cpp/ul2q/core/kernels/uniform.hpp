#ifndef UL2Q_CORE_KERNELS_UNIFORM_HPP_
#define UL2Q_CORE_KERNELS_UNIFORM_HPP_

#include <cmath>
#include <cstdint>
#include <limits>

#include "ul2q/core/kernels/host_device.hpp"
#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// Rounds half away from zero, exactly; |x| < 2^31. It adds not 1/2 but the
/// number below, which does not lift the one just below 1/2 to 1. Plain
/// conversions, which every instruction set vectorises.
template <typename Dtype>
UL2Q_HOST_DEVICE inline Dtype RoundHalfAway(Dtype x) {
  constexpr Dtype kBelowHalf =
      (1 - std::numeric_limits<Dtype>::epsilon() / 2) / 2;
  return static_cast<Dtype>(
      static_cast<std::int32_t>(x + std::copysign(kBelowHalf, x)));
}

/// Evenly spaced levels: shift + scale (c - offset) for the codes c from
/// `lowest` to `highest`. A scale of 0 stands for arrays whose elements are all
/// the shift: code 0, value shift.
template <typename Dtype>
struct UniformGrid {
  struct Shape {
    using Grid = UniformGrid;
    static constexpr bool has_threshold = false;
    std::int32_t lowest;
    std::int32_t highest;
    Dtype offset;  ///< 1/2: the shift lies between two levels; 0: it is one

    int code_bits() const {
      int bits = 0;
      while (highest - lowest >= 1 << bits) {
        ++bits;
      }
      return bits;
    }
  };

  Dtype scale;
  Dtype shift;
  Dtype offset;
  Dtype lowest;
  Dtype highest;
  Dtype inverse;  ///< 1/scale; 0 where that overflows

  UL2Q_HOST_DEVICE UniformGrid(const ScaleShift<Dtype>& fit, const Shape& shape)
      : scale(fit.scale),
        shift(fit.shift),
        offset(shape.offset),
        lowest(static_cast<Dtype>(scale > 0 ? shape.lowest : 0)),
        highest(static_cast<Dtype>(scale > 0 ? shape.highest : 0)),
        inverse(std::isfinite(1 / scale) ? 1 / scale : 0) {}

  /// clip((w - shift) (1/scale) + offset, lowest, highest), with 1/scale
  /// rounded to a Dtype: a division of each element would take as long as all
  /// the rest. Denormal scales, whose 1/scale may overflow, do divide.
  UL2Q_HOST_DEVICE Dtype Position(Dtype w) const {
    const Dtype distance = w - shift;
    Dtype position =
        (inverse > 0 ? distance * inverse : distance / scale) + offset;
    position = position > lowest ? position : lowest;
    return position < highest ? position : highest;
  }

  /// The nearest level's code, an integer.
  UL2Q_HOST_DEVICE Dtype Code(Dtype w) const {
    return RoundHalfAway(Position(w));
  }

  /// The code above where `uniform`, in [0, 1), is less than the position's
  /// distance from the code below: right on average.
  UL2Q_HOST_DEVICE Dtype StochasticCode(Dtype w, Dtype uniform) const {
    const Dtype position = Position(w);
    Dtype below = static_cast<Dtype>(static_cast<std::int32_t>(position));
    below = below > position ? below - 1 : below;
    return uniform < position - below ? below + 1 : below;
  }

  UL2Q_HOST_DEVICE Dtype Value(Dtype code) const {
    return scale * (code - offset) + shift;
  }

  /// What the scale is multiplied by in Value.
  UL2Q_HOST_DEVICE Dtype Multiple(Dtype code) const { return code - offset; }
};

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_UNIFORM_HPP_

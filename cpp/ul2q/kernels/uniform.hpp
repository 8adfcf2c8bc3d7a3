#ifndef UL2Q_KERNELS_UNIFORM_HPP_
#define UL2Q_KERNELS_UNIFORM_HPP_

#include <cstdint>

#include "ul2q/kernels/host_device.hpp"
#include "ul2q/quantizer.hpp"

namespace ul2q {

/// Rounds half away from zero, exactly (x + 0.5 would not be, just below 0.5);
/// |x| < 2^31. Plain conversions, which every instruction set vectorises.
template <typename Dtype>
UL2Q_HOST_DEVICE inline Dtype RoundHalfAway(Dtype x) {
  const Dtype whole = static_cast<Dtype>(static_cast<std::int32_t>(x));
  const Dtype rest = x - whole;
  return whole +
         static_cast<Dtype>((rest >= Dtype(0.5)) - (rest <= Dtype(-0.5)));
}

/// Evenly spaced levels: shift + scale (c - offset) for the codes c from
/// `lowest` to `highest`. A scale of 0 stands for arrays whose elements are all
/// the shift: code 0, value shift.
template <typename Dtype>
struct UniformGrid {
  struct Shape {
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

  UniformGrid(const ScaleShift<Dtype>& fit, const Shape& shape)
      : scale(fit.scale),
        shift(fit.shift),
        offset(shape.offset),
        lowest(static_cast<Dtype>(shape.lowest)),
        highest(static_cast<Dtype>(shape.highest)) {}

  /// clip((w - shift)/scale + offset, lowest, highest); scale > 0.
  UL2Q_HOST_DEVICE Dtype Position(Dtype w) const {
    Dtype position = (w - shift) / scale + offset;
    position = position < lowest ? lowest : position;
    return position > highest ? highest : position;
  }

  /// The nearest level's code, an integer.
  UL2Q_HOST_DEVICE Dtype Code(Dtype w) const {
    return scale > 0 ? RoundHalfAway(Position(w)) : Dtype(0);
  }

  /// The code above where `uniform`, in [0, 1), is less than the position's
  /// distance from the code below: right on average.
  UL2Q_HOST_DEVICE Dtype StochasticCode(Dtype w, Dtype uniform) const {
    if (!(scale > 0)) {
      return 0;
    }
    const Dtype position = Position(w);
    Dtype below = static_cast<Dtype>(static_cast<std::int32_t>(position));
    below = below > position ? below - 1 : below;
    return uniform < position - below ? below + 1 : below;
  }

  UL2Q_HOST_DEVICE Dtype Value(Dtype code) const {
    return scale * (code - offset) + shift;
  }

  /// What the scale is multiplied by in Value.
  UL2Q_HOST_DEVICE Dtype Level(Dtype code) const { return code - offset; }
};

}  // namespace ul2q

#endif  // UL2Q_KERNELS_UNIFORM_HPP_

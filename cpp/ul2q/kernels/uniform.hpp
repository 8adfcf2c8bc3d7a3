#ifndef UL2Q_KERNELS_UNIFORM_HPP_
#define UL2Q_KERNELS_UNIFORM_HPP_

#include <cstdint>

#include "ul2q/kernels/host_device.hpp"

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

/// The mid-rise uniform quantizer of the paper's Algorithm 1: 2^bits levels
///
///     shift + scale (c - 1/2),    c = 1 - 2^(bits-1) ... 2^(bits-1)
///
/// with no level at the shift itself. A scale of 0 stands for an array whose
/// elements all equal the shift: code 0, value shift.
template <typename Dtype>
struct UniformGrid {
  Dtype scale;
  Dtype shift;
  Dtype lowest;   ///< the first code, 1 - 2^(bits-1)
  Dtype highest;  ///< the last code, 2^(bits-1)

  UniformGrid(Dtype scale, Dtype shift, int bits)
      : scale(scale),
        shift(shift),
        lowest(static_cast<Dtype>(1 - (1 << (bits - 1)))),
        highest(static_cast<Dtype>(1 << (bits - 1))) {}

  /// c = round(clip((w - shift)/scale + 1/2, lowest, highest)), an integer.
  UL2Q_HOST_DEVICE Dtype Code(Dtype w) const {
    if (!(scale > 0)) {
      return 0;
    }
    Dtype position = (w - shift) / scale + Dtype(0.5);
    position = position < lowest ? lowest : position;
    position = position > highest ? highest : position;
    return RoundHalfAway(position);
  }

  UL2Q_HOST_DEVICE Dtype Value(Dtype code) const {
    return scale * (code - Dtype(0.5)) + shift;
  }
};

}  // namespace ul2q

#endif  // UL2Q_KERNELS_UNIFORM_HPP_

#ifndef UL2Q_CORE_PACKING_HPP_
#define UL2Q_CORE_PACKING_HPP_

#include <cstdint>

#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// How codes are counted from 0 up: code = lowest + step · number.
struct CodeNumbers {
  std::int32_t lowest;
  std::int32_t step;     ///< 2 where only the two ends are codes, -1 and 1
  std::int32_t highest;  ///< the largest number
  int bits;              ///< of a number

  template <typename Dtype>
  static CodeNumbers Of(const Quantizer<Dtype>& quantizer) {
    const std::int32_t lowest = quantizer.lowest_code();
    const std::int32_t range = quantizer.highest_code() - lowest;
    const int bits = quantizer.code_bits();
    const std::int32_t step = range >= 1 << bits ? 2 : 1;
    return {lowest, step, range / step, bits};
  }

  std::int32_t NumberOf(std::int32_t code) const {
    return (code - lowest) / step;
  }
  std::int32_t CodeOf(std::int32_t number) const {
    return lowest + step * number;
  }
};

/// The bytes of `n` numbers of `bits` bits.
constexpr std::int64_t PackedSize(std::int64_t n, int bits) {
  return (n * bits + 7) / 8;
}

/// Writes the numbers of codes, 1 to 16 bits each, one after the other, the
/// first in the lowest bits of the first byte: PackedSize bytes, the last one
/// filled up with zeros.
void PackCodes(const CodeNumbers& numbers, const std::int32_t* codes,
               std::int64_t n, std::uint8_t* bytes);

/// The inverse, of the `n` codes from the one of index `begin`.
void UnpackCodes(const CodeNumbers& numbers, const std::uint8_t* bytes,
                 std::int64_t begin, std::int64_t n, std::int32_t* codes);

}  // namespace ul2q

#endif  // UL2Q_CORE_PACKING_HPP_

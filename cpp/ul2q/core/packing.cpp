#include "ul2q/core/packing.hpp"

namespace ul2q {

void PackCodes(const CodeNumbers& numbers, const std::int32_t* codes,
               std::int64_t n, std::uint8_t* bytes) {
  std::uint32_t held = 0;
  int held_bits = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    held |= static_cast<std::uint32_t>(numbers.NumberOf(codes[i])) << held_bits;
    for (held_bits += numbers.bits; held_bits >= 8; held_bits -= 8) {
      *bytes++ = static_cast<std::uint8_t>(held);
      held >>= 8;
    }
  }
  if (held_bits > 0) {
    *bytes = static_cast<std::uint8_t>(held);
  }
}

void UnpackCodes(const CodeNumbers& numbers, const std::uint8_t* bytes,
                 std::int64_t begin, std::int64_t n, std::int32_t* codes) {
  if (n == 0) {
    return;
  }
  const std::uint32_t mask = (1U << numbers.bits) - 1;
  const std::int64_t first = begin * numbers.bits;
  bytes += first / 8;
  std::uint32_t held = *bytes++ >> first % 8;
  int held_bits = 8 - static_cast<int>(first % 8);
  for (std::int64_t i = 0; i < n; ++i) {
    for (; held_bits < numbers.bits; held_bits += 8) {
      held |= static_cast<std::uint32_t>(*bytes++) << held_bits;
    }
    codes[i] = numbers.CodeOf(static_cast<std::int32_t>(held & mask));
    held >>= numbers.bits;
    held_bits -= numbers.bits;
  }
}

}  // namespace ul2q

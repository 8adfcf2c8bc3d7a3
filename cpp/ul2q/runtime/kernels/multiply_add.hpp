#ifndef UL2Q_RUNTIME_KERNELS_MULTIPLY_ADD_HPP_
#define UL2Q_RUNTIME_KERNELS_MULTIPLY_ADD_HPP_

#include <cstdint>
#include <cstring>

namespace ul2q {
namespace runtime {

/// a · b + c, rounded once, for processors that have no instruction for it.
///
/// The product of two floats is exact as a double. Their sum with c is rounded
/// to odd: where it is inexact its last bit becomes 1, so that the rounding to
/// a float that follows is that of the exact sum (Boldo and Melquiond 2008,
/// "Emulation of FMA and correctly rounded sums").
inline float FusedMultiplyAdd(float a, float b, float c) {
  const double product = static_cast<double>(a) * static_cast<double>(b);
  const double addend = c;
  double sum = product + addend;
  const double of_addend = sum - product;
  const double error = (product - (sum - of_addend)) + (addend - of_addend);
  if (error != 0) {
    std::int64_t bits;
    std::memcpy(&bits, &sum, sizeof(bits));
    if ((bits & 1) == 0) {
      bits += (error > 0) == (sum > 0) ? 1 : -1;
      std::memcpy(&sum, &bits, sizeof(bits));
    }
  }
  return static_cast<float>(sum);
}

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_KERNELS_MULTIPLY_ADD_HPP_

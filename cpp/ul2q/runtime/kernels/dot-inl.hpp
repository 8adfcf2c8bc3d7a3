// Sums of four products of bytes, by what each instruction set has for it. The
// result is exact, and so the same, on all of them. Highway includes this file
// once for each.

#if defined(UL2Q_RUNTIME_KERNELS_DOT_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef UL2Q_RUNTIME_KERNELS_DOT_INL_HPP_
#undef UL2Q_RUNTIME_KERNELS_DOT_INL_HPP_
#else
#define UL2Q_RUNTIME_KERNELS_DOT_INL_HPP_
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "ul2q/runtime/image.hpp"

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace runtime {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

#undef UL2Q_HAS_BYTE_VECTORS
// Highway's plain target has no vectors of bytes; kernels have plain loops for
// it.
#define UL2Q_HAS_BYTE_VECTORS (HWY_TARGET != HWY_SCALAR)

/// Vectors of 32-bit lanes, those of a panel at most.
using Int32s = hn::CappedTag<std::int32_t, kPanel>;
using Floats = hn::Rebind<float, Int32s>;
using Int32Vector = hn::Vec<Int32s>;
using FloatVector = hn::Vec<Floats>;

constexpr int kVectorLanes = static_cast<int>(hn::MaxLanes(Int32s()));

#if UL2Q_HAS_BYTE_VECTORS
using UnsignedBytes = hn::Repartition<std::uint8_t, Int32s>;
using SignedBytes = hn::Repartition<std::int8_t, Int32s>;

/// The four bytes from `bytes` on in every lane.
HWY_INLINE hn::Vec<UnsignedBytes> RepeatQuad(const std::uint8_t* bytes) {
  std::int32_t quad;
  std::memcpy(&quad, bytes, sizeof(quad));
  return hn::BitCast(UnsignedBytes(), hn::Set(Int32s(), quad));
}

#if HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128
#if HWY_TARGET <= HWY_AVX3
#define UL2Q_X86(name) _mm512_##name
#elif HWY_TARGET == HWY_AVX2
#define UL2Q_X86(name) _mm256_##name
#else
#define UL2Q_X86(name) _mm_##name
#endif

/// Σ of the products of two neighbouring 16-bit numbers each.
HWY_INLINE Int32Vector
DotPairs(hn::Vec<hn::Repartition<std::int16_t, Int32s>> a,
         hn::Vec<hn::Repartition<std::int16_t, Int32s>> b) {
  return Int32Vector{UL2Q_X86(madd_epi16)(a.raw, b.raw)};
}
#endif

/// sum + Σ a[i] · w[i] over the four bytes i of each lane. `kPairsFit`: two
/// such products together are known to fit 16 bits, which is so for weights of
/// up to 6 bits whatever a is: there is a faster instruction for that.
template <bool kPairsFit>
HWY_INLINE Int32Vector DotQuads(Int32Vector sum, hn::Vec<UnsignedBytes> a,
                                hn::Vec<SignedBytes> w) {
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3_DL
  // Highway 1.0.3 asks the processor for this instruction, but does not tell
  // the compiler, which then refuses the intrinsic.
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(a.raw), "v"(w.raw));
  return sum;
#elif HWY_ARCH_X86 && HWY_TARGET != HWY_EMU128
  const hn::Repartition<std::int16_t, Int32s> d16;
  const hn::Repartition<std::uint16_t, Int32s> du16;
#if HWY_TARGET <= HWY_SSSE3
  if (kPairsFit) {
    const hn::Vec<decltype(d16)> pairs{UL2Q_X86(maddubs_epi16)(a.raw, w.raw)};
    return hn::Add(sum, DotPairs(pairs, hn::Set(d16, 1)));
  }
#endif
  const auto a16 = hn::BitCast(du16, a);
  const auto w16 = hn::BitCast(d16, w);
  const auto even =
      DotPairs(hn::BitCast(d16, hn::And(a16, hn::Set(du16, 0xFF))),
               hn::ShiftRight<8>(hn::ShiftLeft<8>(w16)));
  const auto odd = DotPairs(hn::BitCast(d16, hn::ShiftRight<8>(a16)),
                            hn::ShiftRight<8>(w16));
  return hn::Add(sum, hn::Add(even, odd));
#else
  const Int32s d;
  const hn::Repartition<std::uint32_t, Int32s> du;
  const auto a32 = hn::BitCast(du, a);
  const auto w32 = hn::BitCast(d, w);
  const auto byte = hn::Set(du, 0xFF);
  const auto add = [&](auto of_a, auto of_w) HWY_ATTR {
    sum = hn::Add(sum, hn::Mul(hn::BitCast(d, of_a), hn::ShiftRight<24>(of_w)));
  };
  add(hn::And(a32, byte), hn::ShiftLeft<24>(w32));
  add(hn::And(hn::ShiftRight<8>(a32), byte), hn::ShiftLeft<16>(w32));
  add(hn::And(hn::ShiftRight<16>(a32), byte), hn::ShiftLeft<8>(w32));
  add(hn::ShiftRight<24>(a32), w32);
  return sum;
#endif
}

#undef UL2Q_X86
#endif  // UL2Q_HAS_BYTE_VECTORS

}  // namespace HWY_NAMESPACE
}  // namespace runtime
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#endif

// Fused multiplication and addition: one rounding, and so the same number on
// every processor, whether it has an instruction for that or not. Highway
// includes this file once for each instruction set.

#if defined(UL2Q_RUNTIME_KERNELS_MULTIPLY_ADD_INL_HPP_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef UL2Q_RUNTIME_KERNELS_MULTIPLY_ADD_INL_HPP_
#undef UL2Q_RUNTIME_KERNELS_MULTIPLY_ADD_INL_HPP_
#else
#define UL2Q_RUNTIME_KERNELS_MULTIPLY_ADD_INL_HPP_
#endif

#include <hwy/highway.h>

#include "ul2q/runtime/kernels/multiply_add.hpp"

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace runtime {
namespace HWY_NAMESPACE {

/// a · b + c
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> FusedMultiplyAdd(
    D d, hwy::HWY_NAMESPACE::Vec<D> a, hwy::HWY_NAMESPACE::Vec<D> b,
    hwy::HWY_NAMESPACE::Vec<D> c) {
  namespace hn = hwy::HWY_NAMESPACE;
#if (HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2) || \
    HWY_ARCH_ARM_A64 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
  (void)d;
  return hn::MulAdd(a, b, c);
#else
  constexpr auto kLanes = static_cast<int>(hn::MaxLanes(D()));
  alignas(64) float factors[2][kLanes], sums[kLanes];
  hn::StoreU(a, d, factors[0]);
  hn::StoreU(b, d, factors[1]);
  hn::StoreU(c, d, sums);
  for (int i = 0; i < kLanes; ++i) {
    sums[i] = runtime::FusedMultiplyAdd(factors[0][i], factors[1][i], sums[i]);
  }
  return hn::LoadU(d, sums);
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace runtime
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#endif

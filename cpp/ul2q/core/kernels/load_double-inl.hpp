// Highway includes this file once for each instruction set, after its own
// headers.
#if defined(UL2Q_CORE_KERNELS_LOAD_DOUBLE_INL_HPP_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef UL2Q_CORE_KERNELS_LOAD_DOUBLE_INL_HPP_
#undef UL2Q_CORE_KERNELS_LOAD_DOUBLE_INL_HPP_
#else
#define UL2Q_CORE_KERNELS_LOAD_DOUBLE_INL_HPP_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {

/// A vector of doubles from doubles or floats, which need not be aligned.
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> LoadDouble(D d, const double* values) {
  return hwy::HWY_NAMESPACE::LoadU(d, values);
}

template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> LoadDouble(D d, const float* values) {
  namespace hn = hwy::HWY_NAMESPACE;
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, D>(), values));
}

}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#endif  // UL2Q_CORE_KERNELS_LOAD_DOUBLE_INL_HPP_

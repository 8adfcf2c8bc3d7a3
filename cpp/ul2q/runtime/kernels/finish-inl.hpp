// From sums to codes or values, in vectors. Highway includes this file once for
// each instruction set.

#if defined(UL2Q_RUNTIME_KERNELS_FINISH_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef UL2Q_RUNTIME_KERNELS_FINISH_INL_HPP_
#undef UL2Q_RUNTIME_KERNELS_FINISH_INL_HPP_
#else
#define UL2Q_RUNTIME_KERNELS_FINISH_INL_HPP_
#endif

#include "ul2q/runtime/kernels/dot-inl.hpp"
#include "ul2q/runtime/kernels/finish.hpp"

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace runtime {
namespace HWY_NAMESPACE {

/// The number just below 1/2: what is added to a number from 0 up before its
/// fraction is cut off, so that the number just below 1/2 does not become 1.
constexpr float kBelowHalf = 0.49999997f;

HWY_INLINE void StoreResult(FloatVector y, std::uint8_t* codes) {
  const hn::Rebind<std::uint8_t, Int32s> d8;
  const auto rounded =
      hn::ConvertTo(Int32s(), hn::Add(y, hn::Set(Floats(), kBelowHalf)));
  hn::StoreU(hn::DemoteTo(d8, rounded), d8, codes);
}

HWY_INLINE void StoreResult(FloatVector y, float* values) {
  hn::StoreU(y, Floats(), values);
}

/// Applies a Finish to vectors of outputs.
class Finisher {
 public:
  HWY_INLINE explicit Finisher(const Finish& finish)
      : finish_(finish),
        lowest_(hn::Set(Floats(), finish.lowest)),
        highest_(hn::Set(Floats(), finish.highest)) {}

  /// The results of a pixel's outputs from `output` on; `beside` begins with
  /// that pixel.
  HWY_INLINE FloatVector Result(FloatVector sum, const Beside& beside,
                                std::int64_t output) const {
    const Floats d;
    auto shift = hn::LoadU(d, finish_.shift + output);
    if (finish_.code_scale != nullptr) {
      const auto codes = hn::ConvertTo(
          d, beside.of_outputs ? hn::LoadU(Int32s(), beside.codes + output)
                               : hn::Set(Int32s(), *beside.codes));
      shift = hn::Add(hn::Mul(hn::LoadU(d, finish_.code_scale + output), codes),
                      shift);
    }
    auto y = hn::Add(hn::Mul(hn::LoadU(d, finish_.scale + output), sum), shift);
    if (beside.added_codes != nullptr) {
      const hn::Rebind<std::uint8_t, Int32s> d8;
      const auto codes =
          hn::PromoteTo(Int32s(), hn::LoadU(d8, beside.added_codes + output));
      y = Plus(y, hn::ConvertTo(d, codes));
    } else if (beside.added_values != nullptr) {
      y = Plus(y, hn::LoadU(d, beside.added_values + output));
    }
    return hn::Min(hn::Max(y, lowest_), highest_);
  }

  HWY_INLINE FloatVector Result(Int32Vector sum, const Beside& beside,
                                std::int64_t output) const {
    return Result(hn::ConvertTo(Floats(), sum), beside, output);
  }

 private:
  HWY_INLINE FloatVector Plus(FloatVector y, FloatVector added) const {
    return hn::Add(y, hn::Mul(hn::Set(Floats(), finish_.added_scale), added));
  }

  const Finish finish_;
  const FloatVector lowest_, highest_;
};

}  // namespace HWY_NAMESPACE
}  // namespace runtime
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#endif

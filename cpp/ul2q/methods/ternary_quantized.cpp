// Ternary weights whose scale needs no float: Chen et al., "T-DLA", 2019.
//
// The scale of TERNARY, rounded to an integer of `bits` bits times a power of
// two.

#include <cmath>

#include "ul2q/methods/ternary.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
class TernaryQuantizedQuantizer : public TernaryQuantizer<Dtype> {
 public:
  explicit TernaryQuantizedQuantizer(const QuantizerOptions& options)
      : TernaryQuantizer<Dtype>(options), bits_(*options.bits) {}

  ScaleShift<Dtype> Nearest(const ScaleShift<Dtype>& fit) const override {
    int exponent = 0;
    const Dtype fraction = std::frexp(fit.scale, &exponent);
    ScaleShift<Dtype> nearest = fit;
    nearest.scale =
        std::ldexp(std::round(std::ldexp(fraction, bits_)), exponent - bits_);
    return nearest;
  }

 private:
  int bits_;  ///< of the scale
};

const MethodRegistration registration([] {
  Method method;
  method.name = "ternary_quantized";
  method.summary =
      "ternary, the scale an integer of `bits` bits times a power of two";
  method.levels = "-scale, 0, scale";
  method.make_float = &Make<TernaryQuantizedQuantizer, float>;
  method.make_double = &Make<TernaryQuantizedQuantizer, double>;
  return method;
}());

}  // namespace
}  // namespace ul2q

// Ternary weights whose scale needs no float: Chen et al., "T-DLA", 2019.
//
// The scale of TERNARY, rounded to an integer of `bits` bits times a power of
// two.

#include "ul2q/core/methods/ternary.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
class TernaryQuantizedQuantizer : public TernaryQuantizer<Dtype> {
 public:
  explicit TernaryQuantizedQuantizer(const QuantizerOptions& options)
      : TernaryQuantizer<Dtype>(
            options, {ScaleRounding::kShortInteger, *options.bits}) {}
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

// Binary weights: Rastegari et al., "XNOR-Net", 2016 (BWN there).
//
// The codes -1 and 1 times scale = mean |w|, which is the least squared error.

#include "ul2q/core/kernels/magnitudes.hpp"
#include "ul2q/core/kernels/sign.hpp"
#include "ul2q/core/methods/grid_quantizer.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
class BinaryQuantizer : public GridQuantizer<SignGrid, Dtype> {
 public:
  // There is no better fit, so an EMPIRICAL one is the same.
  explicit BinaryQuantizer(const QuantizerOptions&)
      : GridQuantizer<SignGrid, Dtype>({}, {FitRule::kMagnitude}, Fit::kExact) {
  }

  ScaleShift<Dtype> FitTo(const Dtype* w, std::int64_t n) const override {
    return {this->rule_.template Scale<Dtype>(MeanMagnitude(w, n))};
  }
};

const MethodRegistration registration([] {
  Method method;
  method.name = "binary";
  method.summary = "the sign, times the mean magnitude";
  method.levels = "-scale, scale";
  method.max_bits = 1;
  method.make_float = &Make<BinaryQuantizer, float>;
  method.make_double = &Make<BinaryQuantizer, double>;
  return method;
}());

}  // namespace
}  // namespace ul2q

// μL2Q: Gong et al., "An Ultra-Low Loss Quantization Method for DNN", 2019.
//
// scale = λσ and shift = μ for an array of mean μ and standard deviation σ; λ
// minimises the squared error on N(0, 1). The codes 1 - 2^(bits-1) to
// 2^(bits-1) stand for the levels shift + scale (code - 1/2).

#include <cmath>

#include "ul2q/core/kernels/moments.hpp"
#include "ul2q/core/kernels/uniform.hpp"
#include "ul2q/core/methods/grid_quantizer.hpp"

namespace ul2q {
namespace {

/// argmin over λ of E[(x - Q(x))²], x ~ N(0, 1), for 1 to 16 bits.
constexpr double kExact[kMaxBits] = {
    1.595769122,    0.9956866859,   0.5860194414,   0.3352006122,
    0.1881387903,   0.1040630094,   0.05686767238,  0.03076238758,
    0.01649895877,  0.008785464581, 0.004649841838, 0.002448411084,
    0.001283620739, 0.000670451793, 0.000349059386, 0.0001812235698};

/// Gong et al. 2019, Table I.
constexpr int kPaperBits = 8;
constexpr double kPaper[kPaperBits] = {1.5959, 0.9894, 0.5838, 0.3327,
                                       0.1897, 0.1043, 0.0563, 0.0304};

/// The same optimum for max(x, 0), x ~ N(0, 1), and the levels λc, c = 0 ...
/// 2^bits - 1.
constexpr double kRectified[kMaxBits] = {
    1.2240063619,    0.650769704,      0.35341131557,    0.1932485244,
    0.10548758606,   0.057261280721,   0.03087008604,    0.016528152831,
    0.0087933119353, 0.0046519357886,  0.002448966319,   0.0012837671783,
    0.0006704902386, 0.00034906943975, 0.00018122619003, 0.00009385722466};

template <typename Dtype>
class Ul2qQuantizer : public GridQuantizer<UniformGrid, Dtype> {
 public:
  using Fitted = ScaleShift<Dtype>;

  explicit Ul2qQuantizer(const QuantizerOptions& options)
      : GridQuantizer<UniformGrid, Dtype>(ShapeOf(options), RuleOf(options),
                                          options.fit, SearchOf(options)) {}

  Fitted FitTo(const Dtype* w, std::int64_t n) const override {
    const Moments moments = ComputeMoments(w, n);
    const Fitted fit = this->rule_.template Of<Dtype>(moments);
    this->CheckedFor(fit, {moments.min, moments.max});
    return this->is_searched()
               ? this->CheckedFor(this->Searched(fit, w, n, moments),
                                  {moments.min, moments.max})
               : fit;
  }

 private:
  static typename UniformGrid<Dtype>::Shape ShapeOf(
      const QuantizerOptions& options) {
    const std::int32_t half = 1 << (*options.bits - 1);
    if (!options.is_signed) {
      return {0, 2 * half - 1, Dtype(0)};
    }
    return {1 - half, half, Dtype(0.5)};
  }

  static FitRule RuleOf(const QuantizerOptions& options) {
    const int bits = *options.bits;
    FitRule rule;
    if (!options.is_signed) {
      // max(x, 0) has half the mean square of x.
      rule.statistic = FitRule::kRms;
      rule.factor = kRectified[bits - 1] * std::sqrt(2.0);
      return rule;
    }
    if (options.fit == Fit::kPaper && bits > kPaperBits) {
      return RangeRule(options);
    }
    rule.shift_is_mean = options.shift == Shift::kMean;
    rule.statistic = rule.shift_is_mean ? FitRule::kSigma : FitRule::kRms;
    rule.factor = (options.fit == Fit::kPaper ? kPaper : kExact)[bits - 1];
    return rule;
  }

  /// The rule that puts the outermost levels at the ends of the data.
  static FitRule RangeRule(const QuantizerOptions& options) {
    FitRule rule;
    rule.shift_is_mean = options.shift == Shift::kMean;
    rule.statistic =
        rule.shift_is_mean ? FitRule::kRange : FitRule::kMaxMagnitude;
    rule.factor = options.is_signed && !rule.shift_is_mean ? 2 : 1;
    rule.divisor = (1 << *options.bits) - 1;
    return rule;
  }

  static Search SearchOf(const QuantizerOptions& options) {
    Search search;
    search.shift_is_free = RuleOf(options).shift_is_mean;
    search.has_range = true;
    search.range = RangeRule(options);
    return search;
  }
};

const MethodRegistration registration([] {
  Method method;
  method.name = "ul2q";
  method.summary = "levels fitted to normally distributed weights";
  method.levels = "shift ± scale/2, shift ± 3 scale/2, ...";
  method.has_paper_fit = true;
  method.has_mean_shift = true;
  method.has_unsigned = true;
  method.make_float = &Make<Ul2qQuantizer, float>;
  method.make_double = &Make<Ul2qQuantizer, double>;
  return method;
}());

}  // namespace
}  // namespace ul2q

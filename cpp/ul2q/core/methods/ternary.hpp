#ifndef UL2Q_CORE_METHODS_TERNARY_HPP_
#define UL2Q_CORE_METHODS_TERNARY_HPP_

#include "ul2q/core/kernels/ternary.hpp"
#include "ul2q/core/methods/grid_quantizer.hpp"

namespace ul2q {

/// Ternary weights: Li et al., "Ternary Weight Networks", 2016.
///
/// Code 0 where |w| <= threshold = 0.7 mean |w|, else the sign; scale is the
/// mean of |w| over the others.
template <typename Dtype>
class TernaryQuantizer : public GridQuantizer<TernaryGrid, Dtype> {
 public:
  explicit TernaryQuantizer(const QuantizerOptions& options,
                            const ScaleRounding& rounding = {})
      : GridQuantizer<TernaryGrid, Dtype>({}, RuleWith(rounding), options.fit) {
  }

  ScaleShift<Dtype> FitTo(const Dtype* w, std::int64_t n) const override;

 private:
  static FitRule RuleWith(const ScaleRounding& rounding) {
    FitRule rule;
    rule.statistic = FitRule::kMagnitudeAboveThreshold;
    rule.threshold_factor = 0.7;
    rule.rounding = rounding;
    return rule;
  }
};

}  // namespace ul2q

#endif  // UL2Q_CORE_METHODS_TERNARY_HPP_

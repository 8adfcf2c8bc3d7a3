#include "ul2q/core/methods/clip.hpp"

#include "ul2q/core/kernels/moments.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
typename UniformGrid<Dtype>::Shape ShapeOf(const QuantizerOptions& options) {
  const std::int32_t half = 1 << (*options.bits - 1);
  if (options.is_signed) {
    return {-half, half - 1, Dtype(0)};
  }
  return {0, 2 * half - 1, Dtype(0)};
}

FitRule RuleOf(const QuantizerOptions& options, const ScaleRounding& rounding) {
  const int half = 1 << (*options.bits - 1);
  FitRule rule;
  rule.statistic =
      options.is_signed ? FitRule::kMaxMagnitude : FitRule::kMaxAboveZero;
  rule.divisor = options.is_signed ? half : 2 * half - 1;
  rule.rounding = rounding;
  return rule;
}

Search SearchOf(const QuantizerOptions& options) {
  Search search;
  // A step that spares the many small values may clip many large ones.
  search.halvings = *options.bits + 2;
  return search;
}

}  // namespace

template <typename Dtype>
ClipQuantizer<Dtype>::ClipQuantizer(const QuantizerOptions& options,
                                    const ScaleRounding& rounding)
    : GridQuantizer<UniformGrid, Dtype>(ShapeOf<Dtype>(options),
                                        RuleOf(options, rounding), options.fit,
                                        SearchOf(options)) {}

template <typename Dtype>
ScaleShift<Dtype> ClipQuantizer<Dtype>::FitTo(const Dtype* w,
                                              std::int64_t n) const {
  const Moments moments = ComputeMoments(w, n);
  const auto fit = this->rule_.template Of<Dtype>(moments);
  this->CheckedFor(fit, {moments.min, moments.max});
  return this->is_searched() ? this->Searched(fit, w, n, moments) : fit;
}

template class ClipQuantizer<float>;
template class ClipQuantizer<double>;

namespace {

const MethodRegistration registration([] {
  Method method;
  method.name = "clip";
  method.summary = "integers times a step that covers the range";
  method.levels = "scale × integer";
  method.has_unsigned = true;
  method.make_float = &Make<ClipQuantizer, float>;
  method.make_double = &Make<ClipQuantizer, double>;
  return method;
}());

}  // namespace
}  // namespace ul2q

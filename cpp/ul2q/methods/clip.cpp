#include "ul2q/methods/clip.hpp"

#include <vector>

#include "ul2q/kernels/moments.hpp"

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

}  // namespace

template <typename Dtype>
ClipQuantizer<Dtype>::ClipQuantizer(const QuantizerOptions& options)
    : GridQuantizer<UniformGrid, Dtype>(ShapeOf<Dtype>(options)),
      options_(options) {}

template <typename Dtype>
ScaleShift<Dtype> ClipQuantizer<Dtype>::FitTo(const Dtype* w,
                                              std::int64_t n) const {
  const Moments moments = ComputeMoments(w, n);
  const double scale = options_.is_signed
                           ? moments.max_magnitude() / -this->lowest_code()
                           : std::max(moments.max, 0.0) / this->highest_code();
  const ScaleShift<Dtype> fit = Covering({static_cast<Dtype>(scale)});
  this->CheckedFor(fit, {moments.min, moments.max});
  if (options_.fit != Fit::kEmpirical) {
    return fit;
  }
  // A step that spares the many small values may clip many large ones.
  std::vector<ScaleShift<Dtype>> smaller;
  for (int halvings = 1; halvings < *options_.bits + 3; ++halvings) {
    smaller.push_back({std::ldexp(fit.scale, -halvings)});
  }
  return this->Empirical(fit, smaller, w, n, false);
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

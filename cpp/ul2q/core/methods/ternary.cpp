#include "ul2q/core/methods/ternary.hpp"

#include "ul2q/core/kernels/magnitudes.hpp"

namespace ul2q {

template <typename Dtype>
ScaleShift<Dtype> TernaryQuantizer<Dtype>::FitTo(const Dtype* w,
                                                 std::int64_t n) const {
  ScaleShift<Dtype> fit;
  fit.threshold = this->rule_.template Threshold<Dtype>(MeanMagnitude(w, n));
  fit.scale = this->rule_.template Scale<Dtype>(
      MeanMagnitudeAbove(w, n, fit.threshold));
  this->CheckedFor(fit, {fit.scale});
  return this->is_searched() ? this->Searched(fit, w, n) : fit;
}

template class TernaryQuantizer<float>;
template class TernaryQuantizer<double>;

namespace {

const MethodRegistration registration([] {
  Method method;
  method.name = "ternary";
  method.summary = "0 for small weights, else the sign times a mean magnitude";
  method.levels = "-scale, 0, scale";
  method.min_bits = 2;
  method.max_bits = 2;
  method.make_float = &Make<TernaryQuantizer, float>;
  method.make_double = &Make<TernaryQuantizer, double>;
  return method;
}());

}  // namespace
}  // namespace ul2q

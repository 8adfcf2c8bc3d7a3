// Fixed point: the integers of CLIP times a power of two, the smallest that is
// no less than CLIP's scale.

#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/core/kernels/random.hpp"
#include "ul2q/core/methods/clip.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
class FixedPointQuantizer : public ClipQuantizer<Dtype> {
 public:
  using typename Quantizer<Dtype>::Seed;
  using Fitted = ScaleShift<Dtype>;

  explicit FixedPointQuantizer(const QuantizerOptions& options)
      : ClipQuantizer<Dtype>(options, {ScaleRounding::kPowerOfTwoAbove}),
        rounding_(options.rounding) {}

  void Encode(const Fitted& fit, const Dtype* w, std::int64_t n, Seed seed,
              std::int32_t* codes) const override {
    if (rounding_ == Rounding::kNearest || !seed) {
      return ClipQuantizer<Dtype>::Encode(fit, w, n, seed, codes);
    }
    ForEachStochasticCode(fit, w, n, *seed, [=](std::int64_t i, Dtype code) {
      codes[i] = static_cast<std::int32_t>(code);
    });
  }

  void Quantize(const Fitted& fit, const Dtype* w, std::int64_t n, Seed seed,
                Dtype* values) const override {
    if (rounding_ == Rounding::kNearest || !seed) {
      return ClipQuantizer<Dtype>::Quantize(fit, w, n, seed, values);
    }
    const UniformGrid<Dtype> grid = this->GridOf(fit);
    ForEachStochasticCode(fit, w, n, *seed, [=](std::int64_t i, Dtype code) {
      values[i] = grid.Value(code);
    });
  }

 private:
  template <typename Body>
  void ForEachStochasticCode(const Fitted& fit, const Dtype* w, std::int64_t n,
                             std::uint64_t seed, const Body& body) const {
    const UniformGrid<Dtype> grid = this->GridOf(fit);
    ForEachBlock(n, [=](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const Dtype uniform =
            RandomUniform<Dtype>(seed, static_cast<std::uint64_t>(i));
        body(i, grid.StochasticCode(w[i], uniform));
      }
    });
  }

  Rounding rounding_;
};

const MethodRegistration registration([] {
  Method method;
  method.name = "fixed_point";
  method.summary = "integers times a power of two that covers the range";
  method.levels = "scale × integer";
  method.has_stochastic_rounding = true;
  method.has_unsigned = true;
  method.make_float = &Make<FixedPointQuantizer, float>;
  method.make_double = &Make<FixedPointQuantizer, double>;
  return method;
}());

}  // namespace
}  // namespace ul2q

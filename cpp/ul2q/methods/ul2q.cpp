#include "ul2q/methods/ul2q.hpp"

#include <cmath>

#include "ul2q/kernels/blocks.hpp"
#include "ul2q/kernels/moments.hpp"
#include "ul2q/kernels/uniform.hpp"

namespace ul2q {

double Ul2qStep(int bits, Fit fit) {
  // argmin over λ of E[(x - Q_λ(x))²], x ~ N(0, 1).
  static constexpr double kExact[kMaxBits] = {
      1.595769122,    0.9956866859,   0.5860194414,   0.3352006122,
      0.1881387903,   0.1040630094,   0.05686767238,  0.03076238758,
      0.01649895877,  0.008785464581, 0.004649841838, 0.002448411084,
      0.001283620739, 0.000670451793, 0.000349059386, 0.0001812235698};
  // Gong et al. 2019, Table I.
  static constexpr int kPaperBits = 8;
  static constexpr double kPaper[kPaperBits] = {1.5959, 0.9894, 0.5838, 0.3327,
                                                0.1897, 0.1043, 0.0563, 0.0304};
  if (fit == Fit::kPaper) {
    return bits <= kPaperBits ? kPaper[bits - 1] : 0.0;
  }
  return kExact[bits - 1];
}

namespace {

template <typename Dtype>
class Ul2qQuantizer : public Quantizer<Dtype> {
 public:
  explicit Ul2qQuantizer(const QuantizerOptions& options)
      : bits_(options.bits), step_(Ul2qStep(options.bits, options.fit)) {}

  ScaleShift<Dtype> FitTo(const Dtype* w, std::int64_t n) const override {
    const Moments moments = ComputeMoments(w, n);
    const double scale = step_ > 0
                             ? step_ * moments.sigma
                             : (moments.max - moments.min) / ((1 << bits_) - 1);
    const UniformGrid<Dtype> grid(static_cast<Dtype>(scale),
                                  static_cast<Dtype>(moments.mean), bits_);
    // The outermost level in use may lie half a step beyond the data.
    for (const double end : {moments.min, moments.max}) {
      if (!std::isfinite(grid.scale) ||
          !std::isfinite(grid.Value(grid.Code(static_cast<Dtype>(end))))) {
        throw NonFiniteError(
            "holds values so large that their quantised values overflow");
      }
    }
    return {grid.scale, grid.shift};
  }

  void Encode(const ScaleShift<Dtype>& fit, const Dtype* w, std::int64_t n,
              std::int32_t* codes) const override {
    const UniformGrid<Dtype> grid(fit.scale, fit.shift, bits_);
    ForEachBlock(n, [=](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        codes[i] = static_cast<std::int32_t>(grid.Code(w[i]));
      }
    });
  }

  void Decode(const ScaleShift<Dtype>& fit, const std::int32_t* codes,
              std::int64_t n, Dtype* values) const override {
    const UniformGrid<Dtype> grid(fit.scale, fit.shift, bits_);
    ForEachBlock(n, [=](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        values[i] = grid.Value(static_cast<Dtype>(codes[i]));
      }
    });
  }

  void Quantize(const ScaleShift<Dtype>& fit, const Dtype* w, std::int64_t n,
                Dtype* values) const override {
    const UniformGrid<Dtype> grid(fit.scale, fit.shift, bits_);
    ForEachBlock(n, [=](std::int64_t, std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        values[i] = grid.Value(grid.Code(w[i]));
      }
    });
  }

 private:
  int bits_;
  double step_;
};

template <typename Dtype>
std::unique_ptr<Quantizer<Dtype>> Make(const QuantizerOptions& options) {
  return std::make_unique<Ul2qQuantizer<Dtype>>(options);
}

}  // namespace

const Method kUl2q = {"ul2q", &Make<float>, &Make<double>};

}  // namespace ul2q

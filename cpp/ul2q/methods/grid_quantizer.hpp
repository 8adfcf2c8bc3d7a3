#ifndef UL2Q_METHODS_GRID_QUANTIZER_HPP_
#define UL2Q_METHODS_GRID_QUANTIZER_HPP_

#include <cmath>
#include <initializer_list>
#include <memory>
#include <vector>

#include "ul2q/kernels/arrays.hpp"
#include "ul2q/kernels/fit_rule.hpp"
#include "ul2q/kernels/least_squares.hpp"
#include "ul2q/kernels/recipe.hpp"
#include "ul2q/method.hpp"
#include "ul2q/quantizer.hpp"

namespace ul2q {

/// A quantizer whose levels are a grid of kernels/: a method adds how it fits.
template <template <typename> class Grid, typename Dtype>
class GridQuantizer : public Quantizer<Dtype> {
 public:
  using typename Quantizer<Dtype>::Seed;
  using Fitted = ScaleShift<Dtype>;

  Fitted Nearest(const Fitted& fit) const override {
    return rule_.Nearest(fit);
  }

  void Encode(const Fitted& fit, const Dtype* w, std::int64_t n, Seed,
              std::int32_t* codes) const override {
    EncodeArray(GridOf(fit), w, n, codes);
  }
  void Decode(const Fitted& fit, const std::int32_t* codes, std::int64_t n,
              Dtype* values) const override {
    DecodeArray(GridOf(fit), codes, n, values);
  }
  void Quantize(const Fitted& fit, const Dtype* w, std::int64_t n, Seed,
                Dtype* values) const override {
    QuantizeArray(GridOf(fit), w, n, values);
  }
  int code_bits() const override { return shape_.code_bits(); }
  std::int32_t lowest_code() const override { return shape_.lowest; }
  std::int32_t highest_code() const override { return shape_.highest; }
  Recipe<Dtype> recipe() const override {
    return {rule_, shape_, fit_ == Fit::kEmpirical};
  }

 protected:
  using Shape = typename Grid<Dtype>::Shape;

  GridQuantizer(const Shape& shape, const FitRule& rule, Fit fit)
      : rule_(rule), fit_(fit), shape_(shape) {}

  Grid<Dtype> GridOf(const Fitted& fit) const { return {fit, shape_}; }

  /// `fit`, if the levels next to these values are finite; those not in use
  /// need not be. Throws NonFiniteError.
  Fitted CheckedFor(const Fitted& fit,
                    std::initializer_list<double> extremes) const {
    for (const double extreme : extremes) {
      if (!IsFinite(fit, shape_, extreme)) {
        throw NonFiniteError(
            "holds values so large that their quantised values overflow");
      }
    }
    return fit;
  }

  /// The EMPIRICAL fit from the method's own one, `exact`, and from `others`.
  Fitted Empirical(const Fitted& exact, std::vector<Fitted> others,
                   const Dtype* w, std::int64_t n, bool shift_is_free) const {
    const auto nearest = [this](const Fitted& fit) {
      Fitted possible = Nearest(fit);
      if constexpr (Shape::has_threshold) {
        possible.threshold = possible.scale / 2;
      }
      return possible;
    };
    std::vector<Fitted> starts = {exact};
    for (const double factor :
         {0.25, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.25, 1.5, 1.8, 2.2}) {
      Fitted start = exact;
      start.scale = static_cast<Dtype>(start.scale * factor);
      starts.push_back(nearest(start));
    }
    if (shift_is_free) {
      for (const double steps : {-1.0, -0.5, -0.25, 0.25, 0.5, 1.0}) {
        Fitted start = exact;
        start.shift = static_cast<Dtype>(start.shift + steps * start.scale);
        starts.push_back(start);
      }
    }
    for (const Fitted& start : others) {
      starts.push_back(nearest(start));
    }
    return LeastSquaresFit<Grid, Dtype, decltype(nearest)>(
               shape_, w, n, shift_is_free, nearest)
        .Best(starts);
  }

  const FitRule rule_;  ///< of the method's own fit
  const Fit fit_;

 private:
  const Shape shape_;
};

/// For Method's two makers.
template <template <typename> class MethodQuantizer, typename Dtype>
std::unique_ptr<Quantizer<Dtype>> Make(const QuantizerOptions& options) {
  return std::make_unique<MethodQuantizer<Dtype>>(options);
}

}  // namespace ul2q

#endif  // UL2Q_METHODS_GRID_QUANTIZER_HPP_

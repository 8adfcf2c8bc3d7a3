#ifndef UL2Q_CORE_METHODS_GRID_QUANTIZER_HPP_
#define UL2Q_CORE_METHODS_GRID_QUANTIZER_HPP_

#include <initializer_list>
#include <memory>
#include <optional>

#include "ul2q/core/kernels/arrays.hpp"
#include "ul2q/core/kernels/fit_rule.hpp"
#include "ul2q/core/kernels/least_squares.hpp"
#include "ul2q/core/kernels/moments.hpp"
#include "ul2q/core/kernels/recipe.hpp"
#include "ul2q/core/kernels/search.hpp"
#include "ul2q/core/method.hpp"
#include "ul2q/core/quantizer.hpp"

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
  Recipe<Dtype> recipe() const override { return {rule_, shape_, search_}; }

 protected:
  using Shape = typename Grid<Dtype>::Shape;

  /// `search` is how an EMPIRICAL fit is searched for, but for the rule and the
  /// threshold, which follow from the rest.
  GridQuantizer(const Shape& shape, const FitRule& rule, Fit fit,
                const Search& search = {})
      : rule_(rule), search_(SearchFor(rule, fit, search)), shape_(shape) {}

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

  bool is_searched() const { return search_.has_value(); }

  /// The fit that is searched for, from the method's own, and from the moments
  /// that it may follow from.
  Fitted Searched(const Fitted& exact, const Dtype* w, std::int64_t n,
                  const Moments& moments = {}) const {
    return LeastSquaresFit<Grid, Dtype>(*search_, shape_, w, n)
        .Best(exact, moments);
  }

  const FitRule rule_;  ///< of the method's own fit

 private:
  static std::optional<Search> SearchFor(const FitRule& rule, Fit fit,
                                         Search search) {
    if (fit != Fit::kEmpirical) {
      return std::nullopt;
    }
    search.rule = rule;
    search.has_threshold = Shape::has_threshold;
    return search;
  }

  const std::optional<Search> search_;
  const Shape shape_;
};

/// What Method::make_float and make_double are for a class of quantizers.
template <template <typename> class MethodQuantizer, typename Dtype>
std::unique_ptr<Quantizer<Dtype>> Make(const QuantizerOptions& options) {
  return std::make_unique<MethodQuantizer<Dtype>>(options);
}

}  // namespace ul2q

#endif  // UL2Q_CORE_METHODS_GRID_QUANTIZER_HPP_

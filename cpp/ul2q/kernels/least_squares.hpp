#ifndef UL2Q_KERNELS_LEAST_SQUARES_HPP_
#define UL2Q_KERNELS_LEAST_SQUARES_HPP_

#include <cstdint>
#include <limits>
#include <vector>

#include "ul2q/kernels/sums.hpp"
#include "ul2q/quantizer.hpp"

namespace ul2q {

/// A fit and the sum of its squared errors on an array.
template <typename Dtype>
struct Candidate {
  ScaleShift<Dtype> fit;
  double error = std::numeric_limits<double>::infinity();
};

/// The fit of least squared error that can be found on `w` by turns: the codes
/// of the nearest levels for a given fit, then the scale (and the shift, where
/// `shift_is_free`) of least squares for given codes, until the error falls no
/// more, as it does once the codes stand still. Where levels are many each turn
/// gains little, so the next fit lies beyond that solution, twice as far each
/// time, as long as the error falls.
///
/// That ends in a local minimum, so it begins at several fits: small arrays,
/// whose minima are many, descend from each of `starts` and take the best;
/// large ones descend from the best start alone. The error is never larger than
/// that of any start, and the first wins a tie. `nearest` turns the solution of
/// least squares into a fit that the method can have.
template <template <typename> class Grid, typename Dtype, typename Nearest>
class LeastSquaresFit {
 public:
  LeastSquaresFit(const typename Grid<Dtype>::Shape& shape, const Dtype* w,
                  std::int64_t n, bool shift_is_free, const Nearest& nearest)
      : shape_(shape),
        w_(w),
        n_(n),
        shift_is_free_(shift_is_free),
        nearest_(nearest) {}

  ScaleShift<Dtype> Best(const std::vector<ScaleShift<Dtype>>& starts) const {
    constexpr std::int64_t kFewElements = 4096;
    Candidate<Dtype> best{starts.front()};
    for (const ScaleShift<Dtype>& start : starts) {
      const Candidate<Dtype> end =
          Descend(start, n_ <= kFewElements ? kMaxTurns : 1);
      best = end.error < best.error ? end : best;
    }
    return n_ <= kFewElements ? best.fit : Descend(best.fit, kMaxTurns).fit;
  }

 private:
  /// A bound: normal, Laplace and uniform data stand still after 15 to 50.
  static constexpr int kMaxTurns = 200;

  Candidate<Dtype> Descend(const ScaleShift<Dtype>& start, int turns) const {
    Candidate<Dtype> best{start};
    ScaleShift<Dtype> next = start, solution = start;
    double stride = 1;
    for (int turn = 0; turn < turns; ++turn) {
      const Sums sums = SumsFor(next);
      if (sums[Terms::kError] < best.error) {
        stride *= turn > 0 ? 2 : 1;
        best = {next, sums[Terms::kError]};
        solution = Solve(next, sums);
      } else if (stride > 1) {
        stride = 1;
      } else {
        break;
      }
      next = stride > 1 ? Beyond(best.fit, solution, stride) : solution;
    }
    return best;
  }

  /// `stride` times as far from `fit` as `solution` is; where that is no fit,
  /// the solution.
  ScaleShift<Dtype> Beyond(const ScaleShift<Dtype>& fit,
                           const ScaleShift<Dtype>& solution,
                           double stride) const {
    const auto beyond = [stride](double from, double to) {
      return static_cast<Dtype>(from + stride * (to - from));
    };
    ScaleShift<Dtype> result = solution;
    result.scale = beyond(fit.scale, solution.scale);
    result.shift = beyond(fit.shift, solution.shift);
    return result.scale > 0 ? nearest_(result) : solution;
  }

  using Terms = LeastSquaresTerms<Grid, Dtype>;
  using Sums = TermSums<Terms::kCount>;

  /// About the fit's shift, so that a large one costs no digits.
  Sums SumsFor(const ScaleShift<Dtype>& fit) const {
    return SumTerms(Terms{w_, Grid<Dtype>(fit, shape_), fit.shift}, n_);
  }

  /// Minimises the sum of (value - scale · level - shift)² for given levels.
  ScaleShift<Dtype> Solve(ScaleShift<Dtype> fit, const Sums& sums) const {
    const double n = static_cast<double>(n_);
    double spread = sums[Terms::kLevelSquare], product = sums[Terms::kProduct];
    if (shift_is_free_) {
      spread -= sums[Terms::kLevel] * sums[Terms::kLevel] / n;
      product -= sums[Terms::kLevel] * sums[Terms::kValue] / n;
    }
    double scale = fit.scale;
    // Where all levels are the same there is nothing to tell the scale from.
    constexpr double kRounding = 1e-12;
    if (spread > kRounding * sums[Terms::kLevelSquare] && product > 0) {
      scale = product / spread;
      fit.scale = static_cast<Dtype>(scale);
    }
    if (shift_is_free_) {
      fit.shift = static_cast<Dtype>(
          fit.shift + (sums[Terms::kValue] - scale * sums[Terms::kLevel]) / n);
    }
    return nearest_(fit);
  }

  typename Grid<Dtype>::Shape shape_;
  const Dtype* w_;
  std::int64_t n_;
  bool shift_is_free_;
  const Nearest& nearest_;
};

}  // namespace ul2q

#endif  // UL2Q_KERNELS_LEAST_SQUARES_HPP_

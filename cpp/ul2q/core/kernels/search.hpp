#ifndef UL2Q_CORE_KERNELS_SEARCH_HPP_
#define UL2Q_CORE_KERNELS_SEARCH_HPP_

#include <cmath>
#include <cstdint>
#include <limits>

#include "ul2q/core/kernels/fit_rule.hpp"
#include "ul2q/core/kernels/host_device.hpp"
#include "ul2q/core/kernels/moments.hpp"
#include "ul2q/core/kernels/terms.hpp"
#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// A fit on its way to one of least squared error.
template <typename Dtype>
struct Descent {
  ScaleShift<Dtype> next;  ///< whose error the next turn finds out
  ScaleShift<Dtype> best = next;
  double error = std::numeric_limits<double>::infinity();  ///< of the best
  ScaleShift<Dtype> solution = next;  ///< of least squares for its codes
  double stride = 1;
  int turns = 0;
  bool has_ended = false;
};

/// How the fit of least squared error is searched for, the same for CPUs and
/// CUDA: by turns, the codes of the nearest levels for a given fit, then the
/// scale (and the shift, where it is free) of least squares for given codes,
/// until the error falls no more, as it does once the codes stand still. Where
/// levels are many each turn gains little, so the next fit lies beyond that
/// solution, twice as far each time, as long as the error falls.
///
/// That ends in a local minimum, so it begins at several fits: small arrays,
/// whose minima are many, descend from each of them and take the best; large
/// ones descend from the best start alone. The error is never larger than that
/// of any start, and the first wins a tie.
struct Search {
  /// A bound: normal, Laplace and uniform data stand still after 15 to 50.
  static constexpr int kMaxTurns = 200;
  /// Up to so many elements an array is small.
  static constexpr std::int64_t kFewElements = 4096;

  FitRule rule = {};           ///< the method's own fit
  bool has_threshold = false;  ///< half of the scale
  bool shift_is_free = false;
  bool has_range = false;
  FitRule range = {};  ///< a start: the levels spread over the data's range
  int halvings = 0;    ///< starts: halves of the own scale, a quarter of it, …

  UL2Q_HOST_DEVICE int starts() const {
    return 1 + kFactors + (shift_is_free ? kSteps : 0) + (has_range ? 1 : 0) +
           halvings;
  }

  /// How many turns each start gets for an array of n elements.
  UL2Q_HOST_DEVICE static int TurnsOfStart(std::int64_t n) {
    return n <= kFewElements ? kMaxTurns : 1;
  }

  /// The i-th start for an array with these moments, whose own fit is `exact`.
  template <typename Dtype>
  UL2Q_HOST_DEVICE ScaleShift<Dtype> Start(int i,
                                           const ScaleShift<Dtype>& exact,
                                           const Moments& moments) const {
    const double factors[kFactors] = {0.25, 0.35, 0.5,  0.6, 0.7, 0.8,
                                      0.9,  1.1,  1.25, 1.5, 1.8, 2.2};
    const double steps[kSteps] = {-1, -0.5, -0.25, 0.25, 0.5, 1};
    ScaleShift<Dtype> start = exact;
    if (i == 0) {
      return start;
    }
    i -= 1;
    if (i < kFactors) {
      start.scale = static_cast<Dtype>(start.scale * factors[i]);
      return Nearest(start);
    }
    i -= kFactors;
    if (shift_is_free) {
      if (i < kSteps) {
        start.shift = static_cast<Dtype>(start.shift + steps[i] * start.scale);
        return start;
      }
      i -= kSteps;
    }
    if (has_range) {
      if (i == 0) {
        start = range.Of<Dtype>(moments);
        if (shift_is_free) {
          start.shift = static_cast<Dtype>(moments.min / 2 + moments.max / 2);
        }
        return Nearest(start);
      }
      i -= 1;
    }
    start.scale = std::ldexp(start.scale, -(i + 1));
    return Nearest(start);
  }

  /// Goes on with the sums of LeastSquaresTerms for `next`, about its shift, so
  /// that a large one costs no digits, of n elements.
  template <typename Dtype>
  UL2Q_HOST_DEVICE void Turn(const double* sums, std::int64_t n,
                             Descent<Dtype>* descent) const {
    if (sums[LeastSquaresSum::kError] < descent->error) {
      descent->stride *= descent->turns > 0 ? 2 : 1;
      descent->best = descent->next;
      descent->error = sums[LeastSquaresSum::kError];
      descent->solution = Solve(descent->next, sums, static_cast<double>(n));
    } else if (descent->stride > 1) {
      descent->stride = 1;
    } else {
      descent->has_ended = true;
      return;
    }
    ++descent->turns;
    descent->next = descent->stride > 1 ? Beyond(*descent) : descent->solution;
  }

 private:
  static constexpr int kFactors = 12;
  static constexpr int kSteps = 6;

  /// The nearest fit that the method can have.
  template <typename Dtype>
  UL2Q_HOST_DEVICE ScaleShift<Dtype> Nearest(
      const ScaleShift<Dtype>& fit) const {
    ScaleShift<Dtype> nearest = rule.Nearest(fit);
    if (has_threshold) {
      nearest.threshold = nearest.scale / 2;
    }
    return nearest;
  }

  /// `stride` times as far from the best fit as the solution is; where that is
  /// no fit, the solution.
  template <typename Dtype>
  UL2Q_HOST_DEVICE ScaleShift<Dtype> Beyond(
      const Descent<Dtype>& descent) const {
    const double from_scale = descent.best.scale;
    const double from_shift = descent.best.shift;
    ScaleShift<Dtype> beyond = descent.solution;
    beyond.scale = static_cast<Dtype>(
        from_scale + descent.stride * (beyond.scale - from_scale));
    beyond.shift = static_cast<Dtype>(
        from_shift + descent.stride * (beyond.shift - from_shift));
    return beyond.scale > 0 ? Nearest(beyond) : descent.solution;
  }

  /// Minimises the sum of (value - scale · multiple - shift)² for given
  /// multiples of the scale, those of the codes.
  template <typename Dtype>
  UL2Q_HOST_DEVICE ScaleShift<Dtype> Solve(ScaleShift<Dtype> fit,
                                           const double* sums, double n) const {
    using Sum = LeastSquaresSum;
    double spread = sums[Sum::kMultipleSquare], product = sums[Sum::kProduct];
    if (shift_is_free) {
      spread -= sums[Sum::kMultiple] * sums[Sum::kMultiple] / n;
      product -= sums[Sum::kMultiple] * sums[Sum::kValue] / n;
    }
    double scale = fit.scale;
    // Where all multiples are the same there is nothing to tell the scale from.
    constexpr double kRounding = 1e-12;
    if (spread > kRounding * sums[Sum::kMultipleSquare] && product > 0) {
      scale = product / spread;
      fit.scale = static_cast<Dtype>(scale);
    }
    if (shift_is_free) {
      fit.shift = static_cast<Dtype>(
          fit.shift + (sums[Sum::kValue] - scale * sums[Sum::kMultiple]) / n);
    }
    return Nearest(fit);
  }
};

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_SEARCH_HPP_

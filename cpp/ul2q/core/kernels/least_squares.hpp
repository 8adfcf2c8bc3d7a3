#ifndef UL2Q_CORE_KERNELS_LEAST_SQUARES_HPP_
#define UL2Q_CORE_KERNELS_LEAST_SQUARES_HPP_

#include <cstdint>

#include "ul2q/core/kernels/moments.hpp"
#include "ul2q/core/kernels/search.hpp"
#include "ul2q/core/kernels/sums.hpp"
#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// The fit of least squared error on an array that a Search finds.
template <template <typename> class Grid, typename Dtype>
class LeastSquaresFit {
 public:
  LeastSquaresFit(const Search& search,
                  const typename Grid<Dtype>::Shape& shape, const Dtype* w,
                  std::int64_t n)
      : search_(search), shape_(shape), w_(w), n_(n) {}

  /// From the method's own fit, and the moments that it may follow from.
  ScaleShift<Dtype> Best(const ScaleShift<Dtype>& exact,
                         const Moments& moments) const {
    Descent<Dtype> best = {exact};
    for (int i = 0; i < search_.starts(); ++i) {
      const Descent<Dtype> end =
          Descend(search_.Start(i, exact, moments), Search::TurnsOfStart(n_));
      best = end.error < best.error ? end : best;
    }
    return n_ <= Search::kFewElements
               ? best.best
               : Descend(best.best, Search::kMaxTurns).best;
  }

 private:
  Descent<Dtype> Descend(const ScaleShift<Dtype>& start, int turns) const {
    Descent<Dtype> descent = {start};
    for (int turn = 0; turn < turns && !descent.has_ended; ++turn) {
      const ScaleShift<Dtype>& fit = descent.next;
      const LeastSquaresTerms<Grid<Dtype>, Dtype> terms = {
          w_, Grid<Dtype>(fit, shape_), fit.shift};
      const auto sums = SumTerms(terms, n_);
      search_.Turn(sums.data(), n_, &descent);
    }
    return descent;
  }

  const Search search_;
  const typename Grid<Dtype>::Shape shape_;
  const Dtype* const w_;
  const std::int64_t n_;
};

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_LEAST_SQUARES_HPP_

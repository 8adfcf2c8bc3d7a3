#ifndef UL2Q_FLOAT_ENGINE_LRN_LOOPS_HPP_
#define UL2Q_FLOAT_ENGINE_LRN_LOOPS_HPP_

#include <cstdint>

namespace ul2q {

/// Local response normalisation of a slice, rows × columns elements with
/// `stride` from one row to the next: each element x becomes
///
///   y = x · s^-beta,  s = k + alpha · Σ x²
///
/// with the sum over the rows within `row_reach` and the columns within
/// `column_reach` of it, as far as they exist.
template <typename Dtype>
struct LocalResponse {
  int rows, columns;
  std::int64_t stride;
  int row_reach, column_reach;
  Dtype k, alpha, beta;

  /// Elements of working memory.
  std::int64_t ForwardScratch() const;
  std::int64_t BackwardScratch() const;
};

/// The loops over a slice, each compiled for several instruction sets.
template <typename Dtype>
struct LrnLoops {
  void (*forward)(const LocalResponse<Dtype>& response, const Dtype* x,
                  Dtype* scratch, Dtype* y);
  /// dx = s^-beta · dy - 2 · alpha · beta · x · Σ dy · x · s^(-beta - 1), the
  /// sum over the same neighbours.
  void (*backward)(const LocalResponse<Dtype>& response, const Dtype* x,
                   const Dtype* dy, Dtype* scratch, Dtype* dx);
};

/// Those for the best instruction set that the processor has.
template <typename Dtype>
const LrnLoops<Dtype>& GetLrnLoops();

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_LRN_LOOPS_HPP_

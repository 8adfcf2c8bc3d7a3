#ifndef UL2Q_CORE_KERNELS_LOOPS_HPP_
#define UL2Q_CORE_KERNELS_LOOPS_HPP_

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <utility>

#include "ul2q/core/kernels/sign.hpp"
#include "ul2q/core/kernels/terms.hpp"
#include "ul2q/core/kernels/ternary.hpp"
#include "ul2q/core/kernels/uniform.hpp"

namespace ul2q {

// The loops over an array, one thread's work. Each is compiled for several
// instruction sets; all give the same bits.

/// A grid's formulas on n elements.
template <template <typename> class Grid, typename Dtype>
struct GridLoops {
  /// codes[i] = grid.Code(w[i])
  void (*encode)(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
                 std::int32_t* codes);
  /// values[i] = grid.Value(codes[i])
  void (*decode)(const Grid<Dtype>& grid, const std::int32_t* codes,
                 std::int64_t n, Dtype* values);
  /// values[i] = grid.Value(grid.Code(w[i])) for at most a tile; w may be
  /// values. The tile at `next` is what the thread reads next, if anything.
  void (*quantize)(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
                   const Dtype* next, Dtype* values);
  /// The same past the cache. `values` is aligned to kStreamAlignment, and the
  /// thread ends with hwy::FlushStream.
  void (*stream)(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
                 const Dtype* next, Dtype* values);
};

/// The bytes of a line of memory.
constexpr std::size_t kStreamAlignment = 64;

template <typename Dtype>
struct BlockSums {
  double value;   ///< Σw
  double square;  ///< Σw²
  Dtype min, max;
};

template <typename Dtype>
struct MomentLoop {
  /// The sums of each block of at most a tile; `next` as above.
  void (*sum)(const Dtype* w, std::int64_t n, const Dtype* next,
              BlockSums<Dtype>* sums);
};

template <typename Terms>
struct TermLoop {
  /// Σ terms(i) over [begin, end)
  TermSums<Terms::kCount> (*sum)(const Terms& terms, std::int64_t begin,
                                 std::int64_t end);
};

template <typename Dtype>
using LoopsForType =
    std::tuple<GridLoops<UniformGrid, Dtype>, GridLoops<TernaryGrid, Dtype>,
               GridLoops<SignGrid, Dtype>, MomentLoop<Dtype>,
               TermLoop<Deviation<Dtype>>, TermLoop<Magnitude<Dtype>>,
               TermLoop<MagnitudeAbove<Dtype>>, TermLoop<SquaredError<Dtype>>,
               TermLoop<LeastSquaresTerms<UniformGrid<Dtype>, Dtype>>,
               TermLoop<LeastSquaresTerms<TernaryGrid<Dtype>, Dtype>>,
               TermLoop<LeastSquaresTerms<SignGrid<Dtype>, Dtype>>>;

using LoopTable = decltype(std::tuple_cat(
    std::declval<LoopsForType<float>>(), std::declval<LoopsForType<double>>()));

/// Those for the best instruction set that the processor has:
///
///   std::get<MomentLoop<float>>(Loops()).sum(w, n)
const LoopTable& Loops();

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_LOOPS_HPP_

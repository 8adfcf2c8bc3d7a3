#ifndef UL2Q_CORE_KERNELS_ARRAYS_HPP_
#define UL2Q_CORE_KERNELS_ARRAYS_HPP_

#include <cstdint>

namespace ul2q {

// A grid's formulas on arrays of n elements; output may be the input. Made for
// UniformGrid, TernaryGrid and SignGrid.

/// codes[i] = grid.Code(w[i])
template <template <typename> class Grid, typename Dtype>
void EncodeArray(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
                 std::int32_t* codes);

/// values[i] = grid.Value(codes[i])
template <template <typename> class Grid, typename Dtype>
void DecodeArray(const Grid<Dtype>& grid, const std::int32_t* codes,
                 std::int64_t n, Dtype* values);

/// How values are stored.
enum class Stores {
  kOrdinary,
  kStreaming  ///< past the cache, without reading what they replace
};

/// values[i] = grid.Value(grid.Code(w[i]))
template <template <typename> class Grid, typename Dtype>
void QuantizeArray(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
                   Dtype* values, Stores stores);

/// The same by the stores that are faster for an array of that size.
template <template <typename> class Grid, typename Dtype>
void QuantizeArray(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
                   Dtype* values);

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_ARRAYS_HPP_

#include "ul2q/kernels/arrays.hpp"

#include "ul2q/kernels/blocks.hpp"
#include "ul2q/kernels/sign.hpp"
#include "ul2q/kernels/ternary.hpp"
#include "ul2q/kernels/uniform.hpp"

namespace ul2q {

template <template <typename> class Grid, typename Dtype>
void EncodeArray(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
                 std::int32_t* codes) {
  ForEachBlock(n, [=](std::int64_t, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      codes[i] = static_cast<std::int32_t>(grid.Code(w[i]));
    }
  });
}

template <template <typename> class Grid, typename Dtype>
void DecodeArray(const Grid<Dtype>& grid, const std::int32_t* codes,
                 std::int64_t n, Dtype* values) {
  ForEachBlock(n, [=](std::int64_t, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      values[i] = grid.Value(static_cast<Dtype>(codes[i]));
    }
  });
}

template <template <typename> class Grid, typename Dtype>
void QuantizeArray(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
                   Dtype* values) {
  ForEachBlock(n, [=](std::int64_t, std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      values[i] = grid.Value(grid.Code(w[i]));
    }
  });
}

#define UL2Q_INSTANTIATE(Grid, Dtype)                                         \
  template void EncodeArray(const Grid<Dtype>&, const Dtype*, std::int64_t,   \
                            std::int32_t*);                                   \
  template void DecodeArray(const Grid<Dtype>&, const std::int32_t*,          \
                            std::int64_t, Dtype*);                            \
  template void QuantizeArray(const Grid<Dtype>&, const Dtype*, std::int64_t, \
                              Dtype*)

UL2Q_INSTANTIATE(UniformGrid, float);
UL2Q_INSTANTIATE(UniformGrid, double);
UL2Q_INSTANTIATE(TernaryGrid, float);
UL2Q_INSTANTIATE(TernaryGrid, double);
UL2Q_INSTANTIATE(SignGrid, float);
UL2Q_INSTANTIATE(SignGrid, double);

#undef UL2Q_INSTANTIATE

}  // namespace ul2q

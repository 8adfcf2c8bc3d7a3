#include "ul2q/core/kernels/arrays.hpp"

#include <hwy/cache_control.h>

#include <algorithm>
#include <cstddef>
#include <tuple>

#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/core/kernels/loops.hpp"

namespace ul2q {
namespace {

/// From so many bytes on, streaming is faster, though whoever reads the values
/// next has to fetch them from memory.
constexpr std::int64_t kStreamingBytes = std::int64_t{64} << 20;

template <template <typename> class Grid, typename Dtype>
const GridLoops<Grid, Dtype>& LoopsOf(const Grid<Dtype>&) {
  return std::get<GridLoops<Grid, Dtype>>(Loops());
}

template <typename Dtype>
std::int64_t ElementsBeforeAligned(const Dtype* values) {
  const std::size_t past =
      reinterpret_cast<std::uintptr_t>(values) % kStreamAlignment;
  return past == 0 ? 0 : (kStreamAlignment - past) / sizeof(Dtype);
}

}  // namespace

template <template <typename> class Grid, typename Dtype>
void EncodeArray(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
                 std::int32_t* codes) {
  const auto encode = LoopsOf(grid).encode;
  ForEachBlock(n, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    encode(grid, w + begin, end - begin, codes + begin);
  });
}

template <template <typename> class Grid, typename Dtype>
void DecodeArray(const Grid<Dtype>& grid, const std::int32_t* codes,
                 std::int64_t n, Dtype* values) {
  const auto decode = LoopsOf(grid).decode;
  ForEachBlock(n, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
    decode(grid, codes + begin, end - begin, values + begin);
  });
}

template <template <typename> class Grid, typename Dtype>
void QuantizeArray(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
                   Dtype* values, Stores stores) {
  const bool streaming = stores == Stores::kStreaming;
  const GridLoops<Grid, Dtype>& loops = LoopsOf(grid);
  const auto quantize = streaming ? loops.stream : loops.quantize;
  // Streaming needs aligned values, and ordinary stores are faster so; less
  // than a tile is not streamed.
  if (n >= kTileSize) {
    const std::int64_t head = std::min(n, ElementsBeforeAligned(values));
    loops.quantize(grid, w, head, w, values);
    w += head;
    values += head;
    n -= head;
  }
  ForEachThread(n, [&](std::int64_t begin, std::int64_t end) {
    // Backwards: of what the fit has just read, the cache has the end.
    const std::int64_t tiles = TileCount(end - begin);
    for (std::int64_t i = begin + tiles * kTileSize; i > begin;) {
      i -= kTileSize;
      quantize(grid, w + i, std::min(kTileSize, end - i), w + i - kTileSize,
               values + i);
    }
    if (streaming) {
      hwy::FlushStream();
    }
  });
}

template <template <typename> class Grid, typename Dtype>
void QuantizeArray(const Grid<Dtype>& grid, const Dtype* w, std::int64_t n,
                   Dtype* values) {
  const bool is_large =
      n * static_cast<std::int64_t>(sizeof(Dtype)) >= kStreamingBytes;
  // In place, the read has brought the line to the cache.
  QuantizeArray(
      grid, w, n, values,
      is_large && w != values ? Stores::kStreaming : Stores::kOrdinary);
}

#define UL2Q_INSTANTIATE(Grid, Dtype)                                         \
  template void EncodeArray(const Grid<Dtype>&, const Dtype*, std::int64_t,   \
                            std::int32_t*);                                   \
  template void DecodeArray(const Grid<Dtype>&, const std::int32_t*,          \
                            std::int64_t, Dtype*);                            \
  template void QuantizeArray(const Grid<Dtype>&, const Dtype*, std::int64_t, \
                              Dtype*, Stores);                                \
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

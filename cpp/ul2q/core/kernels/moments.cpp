#include "ul2q/core/kernels/moments.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <vector>

#include "ul2q/core/kernels/block_moments.hpp"
#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/core/kernels/finite.hpp"
#include "ul2q/core/kernels/loops.hpp"
#include "ul2q/core/kernels/sums.hpp"

namespace ul2q {
namespace {

/// The squares of doubles may have lost so much to underflow.
constexpr double kUnderflow = 0x1p-1000;

/// The moments of a block of n elements, from its sums.
template <typename Dtype>
BlockMoments MomentsOf(const Dtype* w, std::int64_t n,
                       const BlockSums<Dtype>& sums) {
  const double count = static_cast<double>(n);
  double mean = sums.value / count;
  double squares = sums.square - sums.value * mean;
  if (!(squares > sums.square / 16 + kUnderflow)) {
    // Too much has cancelled, or overflowed. Nothing does about the mean, which
    // for a constant block is its value.
    const double origin = std::clamp<double>(mean, sums.min, sums.max);
    const auto [deviation, square] =
        std::get<TermLoop<Deviation<Dtype>>>(Loops()).sum({w, origin}, 0, n);
    mean = origin + deviation / count;
    squares = square - deviation * (deviation / count);
  }
  // Negative only where squares underflow.
  return {count, mean, squares < 0 ? 0 : squares, sums.min, sums.max};
}

/// The moments of a tile, or of the fewer elements at the end of an array.
template <typename Dtype>
BlockMoments MomentsOfTile(const Dtype* w, std::int64_t n) {
  BlockSums<Dtype> sums[kTileSize / kBlockSize];
  std::get<MomentLoop<Dtype>>(Loops()).sum(w, n, w + kTileSize, sums);
  BlockMoments merged = MomentsOf(w, std::min(kBlockSize, n), sums[0]);
  for (std::int64_t i = kBlockSize; i < n; i += kBlockSize) {
    merged = Merge(merged, MomentsOf(w + i, std::min(kBlockSize, n - i),
                                     sums[i / kBlockSize]));
  }
  return merged;
}

/// The moments of an array of several tiles.
template <typename Dtype>
BlockMoments MomentsOfTiles(const Dtype* w, std::int64_t n) {
  std::vector<BlockMoments> tiles(TileCount(n));
  ForEachThread(n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += kTileSize) {
      tiles[i / kTileSize] = MomentsOfTile(w + i, std::min(kTileSize, end - i));
    }
  });
  // A pointer to Merge, which is always inlined, compiles with optimisation
  // alone.
  return std::accumulate(
      tiles.begin() + 1, tiles.end(), tiles.front(),
      [](const BlockMoments& a, const BlockMoments& b) { return Merge(a, b); });
}

}  // namespace

template <typename Dtype>
Moments ComputeMoments(const Dtype* w, std::int64_t n) {
  if (n == 0) {
    return {};
  }
  // An array of one tile needs no memory for several.
  const BlockMoments total =
      n <= kTileSize ? MomentsOfTile(w, n) : MomentsOfTiles(w, n);
  if (!std::isfinite(total.squares)) {
    ThrowNonFinite(w, n, "variance");
  }
  return {total.mean, std::sqrt(total.squares / total.count), total.min,
          total.max};
}

template <typename Dtype>
double MeanSquaredError(const Dtype* a, const Dtype* b, std::int64_t n) {
  if (n == 0) {
    return 0;
  }
  const auto [sum] = SumTerms(SquaredError<Dtype>{a, b}, n);
  return sum / static_cast<double>(n);
}

template Moments ComputeMoments(const float*, std::int64_t);
template Moments ComputeMoments(const double*, std::int64_t);
template double MeanSquaredError(const float*, const float*, std::int64_t);
template double MeanSquaredError(const double*, const double*, std::int64_t);

}  // namespace ul2q

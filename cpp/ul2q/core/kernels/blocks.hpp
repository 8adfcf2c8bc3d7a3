#ifndef UL2Q_CORE_KERNELS_BLOCKS_HPP_
#define UL2Q_CORE_KERNELS_BLOCKS_HPP_

#include <omp.h>

#include <algorithm>
#include <cstdint>

namespace ul2q {

/// Elements of a block, the slice of an array that a loop sums by itself.
/// Blocks do not depend on the number of threads, so neither does what is
/// computed from them; one of doubles fits the L1 cache.
constexpr std::int64_t kBlockSize = 2048;

inline std::int64_t BlockCount(std::int64_t n) {
  return (n + kBlockSize - 1) / kBlockSize;
}

/// Elements of a tile: blocks that a loop may go through side by side.
constexpr std::int64_t kTileSize = 4 * kBlockSize;

inline std::int64_t TileCount(std::int64_t n) {
  return (n + kTileSize - 1) / kTileSize;
}

/// Whether threads finish what has some work for each of `n` elements sooner
/// than one of them would: to wake the others takes 0.1 ms and more.
inline bool IsWorthThreads(std::int64_t n) { return n > 128 * kBlockSize; }

/// The same of a plain pass over `n` elements.
inline bool IsPassWorthThreads(std::int64_t n) { return n >= 512 * kBlockSize; }

/// Calls body(begin, end) on each of Caffe's OpenMP threads, where there is
/// enough to do, with the thread's share of [0, n): whole tiles, one after the
/// other.
template <typename Body>
void ForEachThread(std::int64_t n, const Body& body) {
  if (!IsPassWorthThreads(n)) {
    body(std::int64_t{0}, n);
    return;
  }
  const std::int64_t tiles = TileCount(n);
#pragma omp parallel
  {
    const std::int64_t thread = omp_get_thread_num();
    const std::int64_t threads = omp_get_num_threads();
    const auto first_of = [=](std::int64_t i) {
      return std::min(n, tiles * i / threads * kTileSize);
    };
    body(first_of(thread), first_of(thread + 1));
  }
}

/// Calls body(block, begin, end) for each block of [0, n), on several threads
/// where there is enough to do.
template <typename Body>
void ForEachBlock(std::int64_t n, const Body& body) {
  ForEachThread(n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += kBlockSize) {
      body(i / kBlockSize, i, std::min(end, i + kBlockSize));
    }
  });
}

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_BLOCKS_HPP_

#ifndef UL2Q_KERNELS_BLOCKS_HPP_
#define UL2Q_KERNELS_BLOCKS_HPP_

#include <algorithm>
#include <cstdint>

namespace ul2q {

/// Elements a block. Blocks do not depend on the number of threads, so neither
/// does what is computed from them; one of doubles fits the L1 cache.
constexpr std::int64_t kBlockSize = 2048;

inline std::int64_t BlockCount(std::int64_t n) {
  return (n + kBlockSize - 1) / kBlockSize;
}

/// Whether threads finish `n` elements sooner than one of them would.
inline bool IsWorthThreads(std::int64_t n) { return n > 16 * kBlockSize; }

/// Calls body(block, begin, end) for each block of [0, n), on Caffe's OpenMP
/// threads where there is enough to do.
template <typename Body>
void ForEachBlock(std::int64_t n, const Body& body) {
  const std::int64_t blocks = BlockCount(n);
#pragma omp parallel for schedule(static) if (IsWorthThreads(n))
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t begin = block * kBlockSize;
    body(block, begin, std::min(n, begin + kBlockSize));
  }
}

}  // namespace ul2q

#endif  // UL2Q_KERNELS_BLOCKS_HPP_

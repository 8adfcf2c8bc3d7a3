#ifndef UL2Q_CORE_KERNELS_BLOCK_MOMENTS_HPP_
#define UL2Q_CORE_KERNELS_BLOCK_MOMENTS_HPP_

#include <algorithm>

#include "ul2q/core/kernels/host_device.hpp"

namespace ul2q {

/// Moments of a block, or of several.
struct BlockMoments {
  double count, mean;
  double squares;  ///< Σ(w - mean)²
  double min, max;
};

/// Those of both, neither of them empty: Chan, Golub and LeVeque (1979).
UL2Q_HOST_DEVICE inline BlockMoments Merge(const BlockMoments& a,
                                           const BlockMoments& b) {
  BlockMoments merged;
  merged.count = a.count + b.count;
  const double delta = b.mean - a.mean;
  merged.mean = a.mean + delta * (b.count / merged.count);
  merged.squares = a.squares + b.squares +
                   delta * delta * (a.count / merged.count) * b.count;
  merged.min = std::min(a.min, b.min);
  merged.max = std::max(a.max, b.max);
  return merged;
}

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_BLOCK_MOMENTS_HPP_

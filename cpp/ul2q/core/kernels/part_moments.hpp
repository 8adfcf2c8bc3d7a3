#ifndef UL2Q_CORE_KERNELS_PART_MOMENTS_HPP_
#define UL2Q_CORE_KERNELS_PART_MOMENTS_HPP_

#include <algorithm>

#include "ul2q/core/kernels/host_device.hpp"

namespace ul2q {

/// Of some elements of an array.
struct PartMoments {
  double count, mean;
  double squares;  ///< Σ(w - mean)²
  double min, max;
};

/// Of both parts, neither of them empty: Chan, Golub and LeVeque (1979).
UL2Q_HOST_DEVICE inline PartMoments Merge(const PartMoments& a,
                                          const PartMoments& b) {
  PartMoments merged;
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

#endif  // UL2Q_CORE_KERNELS_PART_MOMENTS_HPP_

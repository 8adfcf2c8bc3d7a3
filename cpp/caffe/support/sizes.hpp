#ifndef UL2Q_SUPPORT_SIZES_HPP_
#define UL2Q_SUPPORT_SIZES_HPP_

#include <glog/logging.h>

#include <climits>
#include <cstdint>

namespace ul2q {

/// `size` as the extent of an axis. Throws CaffeError if it is negative or more
/// than 32 bits hold, where BVLC cuts it to another.
inline int CheckedSize(std::int64_t size) {
  CHECK(size >= 0 && size <= INT_MAX)
      << "a shape has the extent " << size << "; must be in 0.." << INT_MAX;
  return static_cast<int>(size);
}

/// The product of two extents, as an extent.
inline int CheckedProduct(int a, int b) {
  return CheckedSize(std::int64_t(a) * b);
}

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_SIZES_HPP_

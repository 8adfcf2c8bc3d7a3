#ifndef UL2Q_CORE_KERNELS_LANES_HPP_
#define UL2Q_CORE_KERNELS_LANES_HPP_

#include <hwy/base.h>

#include <cstdint>

namespace ul2q {

/// A sum over a block runs in lanes: element i belongs to lane i % kLanes, and
/// the lanes are added pairwise at the end. So the order of the additions, and
/// with it the last bit of the sum, is the same whether a processor takes 2, 4
/// or 8 lanes at a time.
constexpr std::int64_t kLanes = 16;

template <typename Value>
struct alignas(64) Lanes {
  Value of[kLanes];

  HWY_INLINE void Fill(Value value) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      of[lane] = value;
    }
  }

  /// Merges all lanes into one by op(a, b), which uses them up.
  template <typename Op>
  HWY_INLINE Value Reduce(const Op& op) {
    for (std::int64_t half = kLanes / 2; half > 0; half /= 2) {
      for (std::int64_t lane = 0; lane < half; ++lane) {
        of[lane] = op(of[lane], of[lane + half]);
      }
    }
    return of[0];
  }
};

// How two lanes become one.
struct Sum {
  template <typename Value>
  HWY_INLINE Value operator()(Value a, Value b) const {
    return a + b;
  }
};
struct Lowest {
  template <typename Value>
  HWY_INLINE Value operator()(Value a, Value b) const {
    return b < a ? b : a;
  }
};
struct Highest {
  template <typename Value>
  HWY_INLINE Value operator()(Value a, Value b) const {
    return b > a ? b : a;
  }
};

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_LANES_HPP_

#ifndef UL2Q_FLOAT_ENGINE_POOLING_LOOPS_HPP_
#define UL2Q_FLOAT_ENGINE_POOLING_LOOPS_HPP_

#include <cstdint>

namespace ul2q {

/// The windows of a pooling layer over a plane of height × width elements.
struct PoolingWindows {
  int height, width;
  int pooled_height, pooled_width;
  int kernel_h, kernel_w;
  int stride_h, stride_w;
  int pad_h, pad_w;
};

/// Where a window's maximum lies: so many elements after the window's first
/// element, which padding may put before the plane.
using WindowOffset = std::uint16_t;

/// Of a window without a number above -FLT_MAX.
constexpr WindowOffset kNoMaximum = UINT16_MAX;

/// The loops over one plane, each compiled for several instruction sets.
template <typename Dtype>
struct PoolingLoops {
  /// The first maximum of each window and where it lies. The last offset of a
  /// window must be below kNoMaximum.
  void (*max)(const PoolingWindows& windows, const Dtype* bottom, Dtype* top,
              WindowOffset* offsets);
  void (*max_backward)(const PoolingWindows& windows, const Dtype* top_diff,
                       const WindowOffset* offsets, Dtype* bottom_diff);
  /// Padding counts as zeros, but not what lies beyond it.
  void (*average)(const PoolingWindows& windows, const Dtype* bottom,
                  Dtype* top);
  /// `scratch`: width + pooled_width elements.
  void (*average_backward)(const PoolingWindows& windows, const Dtype* top_diff,
                           Dtype* scratch, Dtype* bottom_diff);
};

/// Those for the best instruction set that the processor has.
template <typename Dtype>
const PoolingLoops<Dtype>& GetPoolingLoops();

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_POOLING_LOOPS_HPP_

#ifndef UL2Q_RUNTIME_STEPS_SLIDING_WINDOW_HPP_
#define UL2Q_RUNTIME_STEPS_SLIDING_WINDOW_HPP_

#include <algorithm>
#include <cstdint>

#include "ul2q/runtime/graph.hpp"
#include "ul2q/runtime/image.hpp"

namespace ul2q {
namespace runtime {

/// The window of a convolution.
struct SlidingWindow {
  Pair kernel, stride, pad, dilation;

  static SlidingWindow Of(const Convolution& convolution) {
    return {convolution.kernel, convolution.stride, convolution.pad,
            convolution.dilation};
  }

  /// Rows and columns that `count` outputs side by side read.
  std::int64_t Rows(std::int64_t count) const {
    return (count - 1) * stride.height + (kernel.height - 1) * dilation.height +
           1;
  }
  std::int64_t Columns(std::int64_t count) const {
    return (count - 1) * stride.width + (kernel.width - 1) * dilation.width + 1;
  }

  /// Makes the border of `image` wide enough for height × width outputs.
  void WidenFor(std::int64_t height, std::int64_t width, Image& image) const {
    image.Widen(
        pad.height,
        std::max(std::int64_t{0}, Rows(height) - pad.height - image.height),
        pad.width,
        std::max(std::int64_t{0}, Columns(width) - pad.width - image.width));
  }
};

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_SLIDING_WINDOW_HPP_

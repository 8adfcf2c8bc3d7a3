#ifndef UL2Q_RUNTIME_STEPS_WINDOW_SUMS_HPP_
#define UL2Q_RUNTIME_STEPS_WINDOW_SUMS_HPP_

#include <cstdint>

#include "ul2q/runtime/image.hpp"
#include "ul2q/runtime/steps/sliding_window.hpp"

namespace ul2q {
namespace runtime {

/// The sums of all codes that the outputs of a convolution read: of weights
/// whose levels lie about another number than 0, each such code is multiplied
/// by that number, whatever the weight.
class WindowSums {
 public:
  /// Of all channels.
  WindowSums(const Image& image, const SlidingWindow& window)
      : WindowSums(image, window, 0, image.channel_stride) {}

  /// Of those of a group.
  WindowSums(const Image& image, const SlidingWindow& window,
             std::int64_t first_channel, std::int64_t channels)
      : image_(image),
        window_(window),
        first_channel_(first_channel),
        channels_(channels) {}

  /// Elements of working memory for `rows` rows of outputs.
  std::int64_t scratch(std::int64_t rows) const;

  /// sums[(y - first) · width + x] for the output rows first ... first + rows.
  void Compute(const std::uint8_t* codes, std::int64_t first, std::int64_t rows,
               std::int64_t width, std::int32_t* scratch,
               std::int32_t* sums) const;

 private:
  std::int64_t pixels_per_row() const {
    return image_.left + image_.width + image_.right;
  }

  Image image_;
  SlidingWindow window_;
  std::int64_t first_channel_, channels_;
};

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_WINDOW_SUMS_HPP_

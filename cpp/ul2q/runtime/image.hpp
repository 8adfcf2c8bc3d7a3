#ifndef UL2Q_RUNTIME_IMAGE_HPP_
#define UL2Q_RUNTIME_IMAGE_HPP_

#include <algorithm>
#include <cstdint>

namespace ul2q {
namespace runtime {

constexpr std::int64_t RoundUp(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}

/// Outputs of a panel, the unit in which weights are laid out: as many as the
/// widest vectors have lanes of 32 bits.
constexpr std::int64_t kPanel = 16;

/// Outputs that one call of a product's kernel computes: two panels.
constexpr std::int64_t kTileOutputs = 2 * kPanel;

/// How an image lies in memory: pixel after pixel, each with its channels one
/// behind the other and, up to `channel_stride`, zeros; around it a border of
/// zeros that convolutions read. A vector is an image of one pixel.
struct Image {
  std::int64_t channels = 0, height = 1, width = 1;
  std::int64_t channel_stride = 0;
  std::int64_t top = 0, bottom = 0, left = 0, right = 0;  ///< the border

  static Image Of(std::int64_t channels, std::int64_t height,
                  std::int64_t width) {
    Image image;
    image.channels = channels;
    image.height = height;
    image.width = width;
    image.channel_stride = RoundUp(channels, kPanel);
    return image;
  }

  std::int64_t row_stride() const {
    return (left + width + right) * channel_stride;
  }
  std::int64_t count() const { return (top + height + bottom) * row_stride(); }

  /// Where a pixel begins; those of the border have negative numbers, too.
  std::int64_t At(std::int64_t y, std::int64_t x) const {
    return (top + y) * row_stride() + (left + x) * channel_stride;
  }

  /// Makes the border as wide as a reader needs it.
  void Widen(std::int64_t above, std::int64_t below, std::int64_t before,
             std::int64_t behind) {
    top = std::max(top, above);
    bottom = std::max(bottom, below);
    left = std::max(left, before);
    right = std::max(right, behind);
  }

  /// Clears what is behind each pixel's channels.
  template <typename Value>
  void ClearTails(Value* pixels) const {
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        Value* pixel = pixels + At(y, x);
        std::fill(pixel + channels, pixel + channel_stride, Value(0));
      }
    }
  }

  template <typename Value>
  void ClearBorder(Value* pixels) const {
    const std::int64_t row = row_stride();
    std::fill(pixels, pixels + top * row, Value(0));
    if (left + right > 0) {
      for (std::int64_t y = top; y < top + height; ++y) {
        Value* begin = pixels + y * row;
        std::fill(begin, begin + left * channel_stride, Value(0));
        std::fill(begin + (left + width) * channel_stride, begin + row,
                  Value(0));
      }
    }
    std::fill(pixels + (top + height) * row, pixels + count(), Value(0));
  }
};

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_IMAGE_HPP_

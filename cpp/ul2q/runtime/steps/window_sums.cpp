#include "ul2q/runtime/steps/window_sums.hpp"

#include "ul2q/runtime/kernels/images.hpp"

namespace ul2q {
namespace runtime {

std::int64_t WindowSums::scratch(std::int64_t rows) const {
  // Sums of pixels, and of columns of them.
  return (window_.Rows(rows) + 1) * pixels_per_row();
}

void WindowSums::Compute(const std::uint8_t* codes, std::int64_t first,
                         std::int64_t rows, std::int64_t width,
                         std::int32_t* scratch, std::int32_t* sums) const {
  const std::int64_t columns = pixels_per_row();
  const std::int64_t above = first * window_.stride.height - window_.pad.height;
  std::int32_t* pixels = scratch + columns;
  SumPixels(codes + (image_.top + above) * image_.row_stride() + first_channel_,
            window_.Rows(rows) * columns, image_.channel_stride, channels_,
            pixels);
  const std::int64_t left = image_.left - window_.pad.width;
  for (std::int64_t y = 0; y < rows; ++y) {
    const std::int32_t* row = pixels + y * window_.stride.height * columns;
    for (std::int64_t x = 0; x < columns; ++x) {
      std::int32_t sum = 0;
      for (std::int64_t k = 0; k < window_.kernel.height; ++k) {
        sum += row[k * window_.dilation.height * columns + x];
      }
      scratch[x] = sum;
    }
    for (std::int64_t x = 0; x < width; ++x) {
      const std::int32_t* column = scratch + left + x * window_.stride.width;
      std::int32_t sum = 0;
      for (std::int64_t k = 0; k < window_.kernel.width; ++k) {
        sum += column[k * window_.dilation.width];
      }
      *sums++ = sum;
    }
  }
}

}  // namespace runtime
}  // namespace ul2q

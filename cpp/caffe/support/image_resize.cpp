#include <glog/logging.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <opencv2/core/core.hpp>
#include <vector>

namespace cv {
namespace {

/// Where an output pixel comes from along one axis.
struct Source {
  int first, second;                ///< neighbours
  int first_weight, second_weight;  ///< of kOne
};
constexpr int kWeightBits = 11;
constexpr int kOne = 1 << kWeightBits;

/// The sources of `to` pixels from `from` ones. The centres of the outermost
/// pixels lie half a pixel inside the borders of both images.
std::vector<Source> Sources(int from, int to) {
  std::vector<Source> sources(to);
  const double scale = static_cast<double>(from) / to;
  for (int i = 0; i < to; ++i) {
    const float at = static_cast<float>((i + 0.5) * scale - 0.5);
    int first = static_cast<int>(std::floor(at));
    float fraction = at - static_cast<float>(first);
    if (first < 0) {
      first = 0;
      fraction = 0;
    } else if (first >= from - 1) {
      first = from - 1;
      fraction = 0;
    }
    const auto weight = [](float share) {
      return static_cast<int>(std::lrint(share * kOne));
    };
    sources[i] = {first, std::min(first + 1, from - 1), weight(1 - fraction),
                  weight(fraction)};
  }
  return sources;
}

/// A row of `columns.size()` pixels, times kOne.
void ResizeRow(const uchar* row, int channels,
               const std::vector<Source>& columns, std::int32_t* result) {
  for (const Source& column : columns) {
    for (int c = 0; c < channels; ++c) {
      *result++ = row[column.first * channels + c] * column.first_weight +
                  row[column.second * channels + c] * column.second_weight;
    }
  }
}

}  // namespace

Mat Mat::operator()(const Rect& part) const {
  CHECK(part.x >= 0 && part.y >= 0 && part.width > 0 && part.height > 0 &&
        part.width <= cols - part.x && part.height <= rows - part.y)
      << "a window of " << part.width << " x " << part.height << " pixels at "
      << part.x << ", " << part.y << " is not within the image, which has "
      << cols << " x " << rows;
  Mat mat = *this;
  mat.rows = part.height;
  mat.cols = part.width;
  mat.data += part.y * step_ + static_cast<std::size_t>(part.x) * channels_;
  return mat;
}

void resize(const Mat& image, Mat& result, Size size, double /*fx*/,
            double /*fy*/, int /*interpolation*/) {
  CHECK(image.data != nullptr && size.width > 0 && size.height > 0)
      << "an image of " << image.cols << " x " << image.rows
      << " pixels cannot be resized to " << size.width << " x " << size.height;
  const int channels = image.channels();
  Mat resized(size.height, size.width, channels);
  const std::vector<Source> rows = Sources(image.rows, size.height);
  const std::vector<Source> columns = Sources(image.cols, size.width);
  const std::size_t width = columns.size() * channels;
  std::vector<std::int32_t> first(width), second(width);
  for (int y = 0; y < size.height; ++y) {
    const Source& row = rows[y];
    ResizeRow(image.ptr<uchar>(row.first), channels, columns, first.data());
    ResizeRow(image.ptr<uchar>(row.second), channels, columns, second.data());
    uchar* pixels = resized.ptr<uchar>(y);
    for (std::size_t i = 0; i < width; ++i) {
      // OpenCV's shifts: each product is cut to 16 bits less than it has.
      const std::int32_t sum = ((row.first_weight * (first[i] >> 4)) >> 16) +
                               ((row.second_weight * (second[i] >> 4)) >> 16);
      pixels[i] = static_cast<uchar>(std::clamp((sum + 2) >> 2, 0, 255));
    }
  }
  result = resized;
}

void flip(const Mat& image, Mat& result, int /*code*/) {
  const int channels = image.channels();
  Mat flipped(image.rows, image.cols, channels);
  for (int y = 0; y < image.rows; ++y) {
    const uchar* from = image.ptr<uchar>(y);
    uchar* to = flipped.ptr<uchar>(y);
    for (int x = 0; x < image.cols; ++x) {
      std::copy_n(from + static_cast<std::size_t>(x) * channels, channels,
                  to + static_cast<std::size_t>(image.cols - 1 - x) * channels);
    }
  }
  result = flipped;
}

}  // namespace cv

#ifndef UL2Q_LAYERS_OF_FORKS_REGIONS_HPP_
#define UL2Q_LAYERS_OF_FORKS_REGIONS_HPP_

#include <cmath>
#include <cstdint>

#include "caffe/blob.hpp"
#include "ul2q/core/kernels/host_device.hpp"

namespace ul2q {

/// A bin of a region: rows and columns of an image, from first to before last.
struct Bin {
  int top, bottom, left, right;

  UL2Q_HOST_DEVICE bool is_empty() const {
    return bottom <= top || right <= left;
  }
};

UL2Q_HOST_DEVICE inline int ClampTo(int i, int size) {
  return i < 0 ? 0 : (i > size ? size : i);
}

/// The images that regions are pooled from, N × C × H × W, and the bins of a
/// region.
struct RegionShape {
  int channels, height, width;
  int bins_h, bins_w;
};

/// The bins of Fast R-CNN: a region's borders are rounded to pixels, which all
/// belong to it; a region has 1 × 1 pixels at least.
struct PixelBins {
  template <typename Dtype>
  UL2Q_HOST_DEVICE static Bin Of(const RegionShape& shape, const Dtype* region,
                                 Dtype scale, int h, int w) {
    const auto left = static_cast<int>(round(region[1] * scale));
    const auto top = static_cast<int>(round(region[2] * scale));
    const auto right = static_cast<int>(round(region[3] * scale));
    const auto bottom = static_cast<int>(round(region[4] * scale));
    const int height = bottom - top + 1 > 1 ? bottom - top + 1 : 1;
    const int width = right - left + 1 > 1 ? right - left + 1 : 1;
    const Dtype step_h = static_cast<Dtype>(height) / shape.bins_h;
    const Dtype step_w = static_cast<Dtype>(width) / shape.bins_w;
    return {
        ClampTo(top + static_cast<int>(floor(h * step_h)), shape.height),
        ClampTo(top + static_cast<int>(ceil((h + 1) * step_h)), shape.height),
        ClampTo(left + static_cast<int>(floor(w * step_w)), shape.width),
        ClampTo(left + static_cast<int>(ceil((w + 1) * step_w)), shape.width)};
  }
};

/// The bins of R-FCN: borders are rounded in the image, and bins to pixels only
/// in the end.
struct FineBins {
  template <typename Dtype>
  UL2Q_HOST_DEVICE static Bin Of(const RegionShape& shape, const Dtype* region,
                                 Dtype scale, int h, int w) {
    const Dtype left = Dtype(round(region[1])) * scale;
    const Dtype top = Dtype(round(region[2])) * scale;
    const Dtype width = (Dtype(round(region[3])) + 1) * scale - left;
    const Dtype height = (Dtype(round(region[4])) + 1) * scale - top;
    const Dtype least = Dtype(0.1);
    const Dtype step_h = (height > least ? height : least) / shape.bins_h;
    const Dtype step_w = (width > least ? width : least) / shape.bins_w;
    return {
        ClampTo(static_cast<int>(floor(h * step_h + top)), shape.height),
        ClampTo(static_cast<int>(ceil((h + 1) * step_h + top)), shape.height),
        ClampTo(static_cast<int>(floor(w * step_w + left)), shape.width),
        ClampTo(static_cast<int>(ceil((w + 1) * step_w + left)), shape.width)};
  }
};

/// That each of the regions, R × 5, names an image that there is, and is no
/// NaN.
template <typename Dtype>
void CheckRegions(const caffe::Blob<Dtype>& regions, int images) {
  const Dtype* region = regions.cpu_data();
  for (int i = 0; i < regions.shape(0); ++i, region += 5) {
    CHECK(region[0] >= 0 && region[0] < images)
        << "region " << i << " is of image " << region[0]
        << "; the first bottom has " << images;
    for (int k = 1; k < 5; ++k) {
      CHECK_LT(std::abs(region[k]), 1e8)
          << "region " << i << " has a coordinate " << region[k];
    }
  }
}

/// That the second bottom of a layer is R × 5 (× 1 × 1).
template <typename Dtype>
void CheckRegionShape(const caffe::Blob<Dtype>& regions) {
  CHECK(regions.num_axes() >= 2 && regions.count(1) == 5)
      << "the second bottom, " << regions.shape_string()
      << ", must be regions, R x 5: image, x1, y1, x2, y2";
}

}  // namespace ul2q

#endif  // UL2Q_LAYERS_OF_FORKS_REGIONS_HPP_

#ifndef UL2Q_FLOAT_ENGINE_CONVOLUTION_SHAPE_HPP_
#define UL2Q_FLOAT_ENGINE_CONVOLUTION_SHAPE_HPP_

#include <array>
#include <cstdint>
#include <tuple>

namespace ul2q {

/// A 2-D convolution or deconvolution as Caffe defines them: the bottom is
/// images × channels × bottom[0] × bottom[1], the top
/// images × num_output × top[0] × top[1]. Pairs are (height, width).
///
/// Weights are num_output × channels/group × kernel, for a deconvolution
/// channels × num_output/group × kernel.
struct ConvolutionShape {
  using Pair = std::array<std::int64_t, 2>;

  bool is_deconvolution;
  bool has_bias;
  std::int64_t images, channels, num_output, group;
  Pair bottom, top, kernel, stride, pad, dilation;

  bool operator==(const ConvolutionShape& other) const {
    const auto fields = [](const ConvolutionShape& s) {
      return std::tie(s.is_deconvolution, s.has_bias, s.images, s.channels,
                      s.num_output, s.group, s.bottom, s.top, s.kernel,
                      s.stride, s.pad, s.dilation);
    };
    return fields(*this) == fields(other);
  }

  /// Elements an image.
  std::int64_t bottom_size() const { return channels * bottom[0] * bottom[1]; }
  std::int64_t top_size() const { return num_output * top[0] * top[1]; }

  std::int64_t weights_size() const {
    return channels * num_output / group * kernel[0] * kernel[1];
  }
};

/// A shape seen as a convolution, which it is for one of its two directions: a
/// deconvolution's forward pass is a convolution's gradient and the other way
/// round. The convolution makes the maps of the field; the weights are
/// maps × field/group × kernel.
struct ConvolutionGeometry {
  using Pair = ConvolutionShape::Pair;

  explicit ConvolutionGeometry(const ConvolutionShape& s)
      : images(s.images),
        group(s.group),
        field_channels(s.is_deconvolution ? s.num_output : s.channels),
        map_channels(s.is_deconvolution ? s.channels : s.num_output),
        field(s.is_deconvolution ? s.top : s.bottom),
        map(s.is_deconvolution ? s.bottom : s.top),
        kernel(s.kernel),
        stride(s.stride),
        pad(s.pad),
        dilation(s.dilation) {}

  std::int64_t field_pixels() const { return field[0] * field[1]; }
  std::int64_t map_pixels() const { return map[0] * map[1]; }
  std::int64_t field_size() const { return field_channels * field_pixels(); }
  std::int64_t map_size() const { return map_channels * map_pixels(); }
  std::int64_t taps() const { return kernel[0] * kernel[1]; }

  std::int64_t images, group, field_channels, map_channels;
  Pair field, map, kernel, stride, pad, dilation;
};

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_CONVOLUTION_SHAPE_HPP_

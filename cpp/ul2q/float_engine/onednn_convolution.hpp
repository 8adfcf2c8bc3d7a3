#ifndef UL2Q_FLOAT_ENGINE_ONEDNN_CONVOLUTION_HPP_
#define UL2Q_FLOAT_ENGINE_ONEDNN_CONVOLUTION_HPP_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace ul2q {

/// A 2-D convolution or deconvolution as Caffe defines them: the bottom is
/// images × channels × bottom[0] × bottom[1], the top
/// images × num_output × top[0] × top[1]. Pairs are (height, width).
struct ConvolutionShape {
  using Pair = std::array<std::int64_t, 2>;

  bool is_deconvolution;
  bool has_bias;
  std::int64_t images, channels, num_output, group;
  Pair bottom, top, kernel, stride, pad, dilation;
  /// Of a ReLU that the forward pass ends with, for negative values.
  std::optional<float> relu_slope = std::nullopt;

  bool operator==(const ConvolutionShape& other) const;

  std::int64_t bottom_size() const;   ///< elements an image
  std::int64_t top_size() const;      ///< elements an image
  std::int64_t weights_size() const;  ///< elements
};

/// Float convolutions of one shape by oneDNN, from and to Caffe's plain blobs
/// and in its convention of weights: num_output × channels/group × kernel, for
/// a deconvolution channels × num_output/group × kernel.
///
/// oneDNN computes fastest in formats of its own, which have the channels in
/// blocks. Images are therefore brought into them, computed with and brought
/// back a few at a time, so many as stay in the cache; the copies lie in the
/// thread's workspace.
///
/// All functions throw dnnl::error.
class OneDnnConvolution {
 public:
  /// With status dnnl_unimplemented if oneDNN has nothing but its reference
  /// for the shape. No dimension may be 0.
  explicit OneDnnConvolution(const ConvolutionShape& shape);
  ~OneDnnConvolution();

  const ConvolutionShape& shape() const { return shape_; }

  /// `bias` is ignored if the shape has none. The weights in oneDNN's format
  /// are kept for the next pass with the same `version`, unless that is 0.
  void Forward(const float* bottom, const float* weights, std::uint64_t version,
               const float* bias, float* top);

  /// Gets ready for Backward, which has to be done but once.
  void PrepareBackward();

  /// Sets `bottom_diff`, and adds to `weights_diff` and `bias_diff`; each may
  /// be null, the last must be without the last but one.
  void Backward(const float* bottom, const float* weights,
                const float* top_diff, float* bottom_diff, float* weights_diff,
                float* bias_diff);

 private:
  class Plan;

  int ThreadCount() const;
  /// Makes the plans if there are none for the present number of threads.
  void Prepare();

  ConvolutionShape shape_;
  int threads_ = 0;  ///< that the plans are for
  /// Of the images one after the other: for the same number of them as often
  /// as possible, then for the rest.
  std::vector<std::unique_ptr<Plan>> plans_;
};

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_ONEDNN_CONVOLUTION_HPP_

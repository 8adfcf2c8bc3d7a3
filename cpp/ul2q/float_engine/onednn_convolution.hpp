#ifndef UL2Q_FLOAT_ENGINE_ONEDNN_CONVOLUTION_HPP_
#define UL2Q_FLOAT_ENGINE_ONEDNN_CONVOLUTION_HPP_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ul2q/float_engine/convolution_shape.hpp"

namespace ul2q {

enum class ConvolutionPass { kForward, kBackwardData, kBackwardWeights };

/// Float convolutions of one shape by oneDNN, from and to Caffe's plain blobs.
/// A deconvolution is computed as the convolution whose gradient it is.
///
/// oneDNN computes fastest in formats of its own, which have the channels in
/// blocks. Images are therefore brought into them, computed with and brought
/// back a few at a time, so many as stay in the cache; the copies lie in the
/// thread's workspace.
///
/// All functions throw dnnl::error.
class OneDnnConvolution {
 public:
  /// No dimension may be 0. With a slope, forward passes end with a ReLU.
  explicit OneDnnConvolution(const ConvolutionShape& shape,
                             std::optional<float> relu_slope = std::nullopt);
  ~OneDnnConvolution();

  const ConvolutionShape& shape() const { return shape_; }
  std::optional<float> relu_slope() const { return relu_slope_; }

  /// Gets ready for a pass with the present number of threads, which costs
  /// nothing if it is. False if oneDNN has no kernel that does all of the pass,
  /// but would use a matrix product or plain loops, or would have these do the
  /// ReLU.
  bool Prepare(ConvolutionPass pass);

  /// What oneDNN calls the kernel of a pass; "" if there is none or it is not
  /// prepared.
  std::string KernelOf(ConvolutionPass pass) const;

  // The passes have to be prepared.

  /// `bias` is ignored if the shape has none. The weights in oneDNN's format
  /// are kept for the next pass with the same `version`, unless that is 0.
  void Forward(const float* bottom, const float* weights, std::uint64_t version,
               const float* bias, float* top);

  /// Sets `bottom_diff`, and adds to `weights_diff` and `bias_diff`; each may
  /// be null, the last must be for a deconvolution and without the last but
  /// one.
  void Backward(const float* bottom, const float* weights,
                const float* top_diff, float* bottom_diff, float* weights_diff,
                float* bias_diff);

 private:
  class Plan;

  int ThreadCount() const;
  /// Makes the plans if there are none for the present number of threads.
  void FollowThreads();

  const ConvolutionShape shape_;
  const std::optional<float> relu_slope_;
  int threads_ = 0;  ///< that the plans are for
  /// Of the images one after the other: for the same number of them as often
  /// as possible, then for the rest.
  std::vector<std::unique_ptr<Plan>> plans_;
  /// Whether there is a kernel for each pass, as far as that is known.
  std::array<std::optional<bool>, 3> has_kernel_;
};

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_ONEDNN_CONVOLUTION_HPP_

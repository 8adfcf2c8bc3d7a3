#ifndef UL2Q_FLOAT_ENGINE_PLAIN_CONVOLUTION_HPP_
#define UL2Q_FLOAT_ENGINE_PLAIN_CONVOLUTION_HPP_

#include <memory>

#include "ul2q/float_engine/convolution_shape.hpp"
#include "ul2q/float_engine/plane_loops.hpp"

namespace ul2q {

/// Float convolutions of one shape in Caffe's plain formats, for what oneDNN
/// has no kernel for or would spend more time on rearranging weights than on
/// computing.
class PlainConvolution {
 public:
  virtual ~PlainConvolution() = default;

  /// The maps from the field: a convolution's forward pass.
  virtual void Project(const float* field, const float* weights,
                       const PassEnding& ending, float* map) const = 0;
  /// The field from the maps: a deconvolution's forward pass.
  virtual void Spread(const float* map, const float* weights,
                      const PassEnding& ending, float* field) const = 0;
  /// Adds the gradient of the weights.
  virtual void AddGradient(const float* field, const float* map,
                           float* weights_diff) const = 0;

  /// AddGradient, then Project to `projected`: a deconvolution's backward pass.
  virtual void AddGradientAndProject(const float* field, const float* map,
                                     const float* weights, float* weights_diff,
                                     float* projected) const {
    AddGradient(field, map, weights_diff);
    Project(field, weights, {}, projected);
  }
};

/// By a matrix product over columns of the field, as BVLC's layers, several
/// small images at a time.
std::unique_ptr<PlainConvolution> MakeGemmConvolution(
    const ConvolutionGeometry& geometry);

/// Tap by tap, plane by plane: for few maps a group, which columns would serve
/// but a few times.
std::unique_ptr<PlainConvolution> MakeDirectConvolution(
    const ConvolutionGeometry& geometry);

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_PLAIN_CONVOLUTION_HPP_

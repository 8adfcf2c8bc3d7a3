#ifndef UL2Q_CORE_METHODS_CLIP_HPP_
#define UL2Q_CORE_METHODS_CLIP_HPP_

#include "ul2q/core/kernels/uniform.hpp"
#include "ul2q/core/methods/grid_quantizer.hpp"

namespace ul2q {

/// Symmetric linear quantisation: integers of `bits` bits times a step.
///
/// Signed: codes -2^(bits-1) to 2^(bits-1) - 1, scale = max |w| / 2^(bits-1);
/// the largest positive values are clipped by up to a step. Unsigned: codes 0
/// to 2^bits - 1, scale = max w / (2^bits - 1).
template <typename Dtype>
class ClipQuantizer : public GridQuantizer<UniformGrid, Dtype> {
 public:
  /// With a rounding that does not make scales smaller.
  explicit ClipQuantizer(const QuantizerOptions& options,
                         const ScaleRounding& rounding = {});

  ScaleShift<Dtype> FitTo(const Dtype* w, std::int64_t n) const override;
};

}  // namespace ul2q

#endif  // UL2Q_CORE_METHODS_CLIP_HPP_

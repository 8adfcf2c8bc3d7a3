#ifndef UL2Q_RUNTIME_KERNELS_FINISH_HPP_
#define UL2Q_RUNTIME_KERNELS_FINISH_HPP_

#include <cstdint>

namespace ul2q {
namespace runtime {

/// What becomes of the sums of a product's outputs:
///
///   y = scale · sum + (code_scale · codes + shift), no less than lowest, no
///   more than highest
///
/// `codes` is the sum of the codes that were multiplied, for weights whose
/// levels lie about another number than 0. y is the result, or its nearest
/// integer is its code. All in float32 and in this order, without contraction:
/// the same on every processor. An array has an element for each output, up to
/// a multiple of a tile's.
struct Finish {
  const float* scale = nullptr;
  const float* code_scale = nullptr;  ///< null: there is no such term
  const float* shift = nullptr;
  float lowest = 0, highest = 0;

  /// Those of the outputs from `first` on.
  Finish From(std::int64_t first) const {
    return {scale + first, code_scale ? code_scale + first : nullptr,
            shift + first, lowest, highest};
  }
};

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_KERNELS_FINISH_HPP_

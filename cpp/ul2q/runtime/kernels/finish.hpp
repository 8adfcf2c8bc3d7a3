#ifndef UL2Q_RUNTIME_KERNELS_FINISH_HPP_
#define UL2Q_RUNTIME_KERNELS_FINISH_HPP_

#include <cstdint>

namespace ul2q {
namespace runtime {

/// What becomes of the sums of a product's outputs:
///
///   y = scale · sum + (code_scale · codes + shift) + added_scale · added,
///   no less than lowest, no more than highest
///
/// `codes` is the sum of the codes that were multiplied, for weights whose
/// levels lie about another number than 0; `added` is of another tensor, which
/// need not be there. y is the result, or its nearest integer is its code. All
/// in float32 and in this order, without contraction: the same on every
/// processor. An array has an element for each output, up to a multiple of a
/// tile's.
struct Finish {
  const float* scale = nullptr;
  const float* code_scale = nullptr;  ///< null: there is no such term
  const float* shift = nullptr;
  float added_scale = 0;
  float lowest = 0, highest = 0;
};

/// What a pixel's results are made of beside the sums of products.
struct Beside {
  /// The sum of the codes that were multiplied: a number for each pixel, or
  /// for each output of each, kTileOutputs a pixel. Null without a code_scale.
  const std::int32_t* codes = nullptr;
  bool of_outputs = false;
  /// The tensor that is added, as codes or as values; null: there is none.
  const std::uint8_t* added_codes = nullptr;
  const float* added_values = nullptr;
  std::int64_t added_stride = 0;  ///< from one pixel to the next

  /// Of the pixels from `first` on.
  Beside From(std::int64_t first, std::int64_t tile_outputs) const {
    Beside beside = *this;
    if (codes != nullptr) {
      beside.codes += first * (of_outputs ? tile_outputs : 1);
    }
    if (added_codes != nullptr) {
      beside.added_codes += first * added_stride;
    }
    if (added_values != nullptr) {
      beside.added_values += first * added_stride;
    }
    return beside;
  }
};

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_KERNELS_FINISH_HPP_

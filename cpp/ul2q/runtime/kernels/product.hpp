#ifndef UL2Q_RUNTIME_KERNELS_PRODUCT_HPP_
#define UL2Q_RUNTIME_KERNELS_PRODUCT_HPP_

#include <cstdint>

#include "ul2q/runtime/kernels/finish.hpp"

namespace ul2q {
namespace runtime {

// Products of rows with weights, which convolutions and inner products are made
// of. A row is what one output pixel reads: segments of `length` elements each,
// which begin at `offsets` behind the row's first element; the next row begins
// `stride` behind it.
//
// Weights lie in panels of kPanel outputs: for each step of the rows' elements,
// the weights of all outputs; a step is four codes, or one float. A tile is two
// panels, which lie `panel_stride` elements apart.

template <typename Value>
struct Rows {
  const Value* first;
  std::int64_t stride;
  const std::int64_t* offsets;
  std::int64_t segments;
  std::int64_t length;  ///< of codes a multiple of four
};

/// How many rows one call may take.
int MaxTileRows();

/// sums[row · kTileOutputs + output] = start[output] + Σ row · weights,
/// exactly; `start` may be null. `pairs_fit`: two products of a code with a
/// weight fit 16 bits together.
void MultiplyCodes(const Rows<std::uint8_t>& rows, int count,
                   const std::int8_t* weights, std::int64_t panel_stride,
                   bool pairs_fit, const std::int32_t* start,
                   std::int32_t* sums);

/// The same of floats, added up in the order of the row by fused
/// multiplications and additions: the same on every processor.
void MultiplyFloats(const Rows<float>& rows, int count, const float* weights,
                    std::int64_t panel_stride, float* sums);

/// Finishes the sums of `count` pixels, whose outputs go to
/// out + pixel · pixel_stride: `outputs` of them, a multiple of kPanel.
template <typename Sum, typename Result>
void FinishTile(const Sum* sums, int count, const Beside& beside,
                const Finish& finish, std::int64_t outputs,
                std::int64_t pixel_stride, Result* out);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_KERNELS_PRODUCT_HPP_

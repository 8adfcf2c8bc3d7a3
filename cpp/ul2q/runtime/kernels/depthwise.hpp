#ifndef UL2Q_RUNTIME_KERNELS_DEPTHWISE_HPP_
#define UL2Q_RUNTIME_KERNELS_DEPTHWISE_HPP_

#include <cstdint>

namespace ul2q {
namespace runtime {

/// Pixels side by side that are multiplied together.
constexpr int kDepthwisePixels = 4;

/// What kDepthwisePixels outputs of depthwise convolutions read: each a tap for
/// each of `offsets`, behind the first pixel's first element; the next begins
/// `stride` behind it.
template <typename Value>
struct Taps {
  const Value* first;
  std::int64_t stride;
  const std::int64_t* offsets;
  std::int64_t count;
};

/// sums[pixel · kTileOutputs + c] = Σ tap[c] · weights[tap · channels + c] for
/// the first `channels` of a tile, a multiple of kPanel, exactly. `codes`: the
/// sums of the taps alone, in the same places; may be null. `fits_16_bits`: no
/// sum goes beyond 16 bits.
void MultiplyTaps(const Taps<std::uint8_t>& taps, const std::int16_t* weights,
                  std::int64_t channels, bool fits_16_bits, std::int32_t* sums,
                  std::int32_t* codes);

/// The same of floats, added up in the order of the taps and not contracted.
void MultiplyTaps(const Taps<float>& taps, const float* weights,
                  std::int64_t channels, float* sums);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_KERNELS_DEPTHWISE_HPP_

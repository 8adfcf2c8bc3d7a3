#ifndef UL2Q_RUNTIME_KERNELS_WINOGRAD_HPP_
#define UL2Q_RUNTIME_KERNELS_WINOGRAD_HPP_

#include <cstdint>

#include "ul2q/runtime/kernels/finish.hpp"

namespace ul2q {
namespace runtime {

// Winograd's minimal filtering F(2×2, 3×3) in integers (Lavin and Gray 2016,
// "Fast Algorithms for Convolutional Neural Networks"): 2 × 2 outputs y of a
// 3 × 3 kernel g and a window d of 4 × 4 pixels,
//
//   y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A
//
// with 16 products for each pair of channels where the plain sum has 36. G has
// halves in it, so 2G takes its place: all are integers then, and the sums are
// four times the true ones, exactly. With codes of up to 5 bits and weights of
// up to 3 bits both factors fit a byte.

constexpr int kPlaces = 16;  ///< of a window of 4 × 4

/// What is added to Bᵀ d B so that it is a byte without sign.
constexpr int kWindowShift = 128;

/// The largest code for which Bᵀ d B fits a byte: elements are sums of up to
/// four codes, or differences of sums of two.
constexpr int kMaxWindowCode = 31;

/// (2G) g (2G)ᵀ of the 9 weights of a kernel; false where one does not fit a
/// signed byte.
bool TransformKernel(const std::int8_t* kernel, std::int8_t* transformed);

/// Bᵀ d B + kWindowShift of `count` windows side by side, two pixels apart, for
/// all channels, a multiple of kPanel. `x` is the first window's first pixel;
/// place p of window i goes to v + p · place_stride + i · channels.
void TransformWindows(const std::uint8_t* x, std::int64_t row_stride,
                      std::int64_t channels, int count, std::uint8_t* v,
                      std::int64_t place_stride);

/// The place of 2 × 2 results.
template <typename Result>
struct Quartet {
  Result* out;                ///< the upper left pixel
  std::int64_t row_stride;    ///< from one row to the next
  std::int64_t pixel_stride;  ///< from one pixel to the next
  bool has_right, has_lower;  ///< whether these pixels exist
};

/// Aᵀ m A of `count` windows side by side for `outputs` outputs, at most
/// kTileOutputs, finished; `finish.scale` is a quarter of the true one. Place p
/// of window i lies at sums + p · place_stride + i · kTileOutputs. `rows`: what
/// is beside the upper and the lower results. Of the last window the right
/// column may not exist.
template <typename Result>
void FinishWindows(const std::int32_t* sums, std::int64_t place_stride,
                   int count, const Beside (&rows)[2], const Finish& finish,
                   std::int64_t outputs, const Quartet<Result>& first);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_KERNELS_WINOGRAD_HPP_

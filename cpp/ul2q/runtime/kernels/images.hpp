#ifndef UL2Q_RUNTIME_KERNELS_IMAGES_HPP_
#define UL2Q_RUNTIME_KERNELS_IMAGES_HPP_

#include <cstdint>

namespace ul2q {
namespace runtime {

// Loops over pixels with their channels one behind the other.

/// sums[i] = Σ of `channels` channels of pixel i, which begins at
/// pixels + i · stride.
void SumPixels(const std::uint8_t* pixels, std::int64_t count,
               std::int64_t stride, std::int64_t channels, std::int32_t* sums);

/// A window of an image: rows × columns pixels from `first` on.
template <typename Value>
struct Window {
  const Value* first;
  std::int64_t rows, columns;
  std::int64_t row_stride;
};

/// out[c] = the largest value of channel c.
template <typename Value>
void MaxOfWindow(const Window<Value>& window, std::int64_t channels,
                 Value* out);

/// out[c] = Σ of channel c, divided by `divisor`.
void MeanOfWindow(const Window<float>& window, std::int64_t channels,
                  float divisor, float* out);

/// sums[c] = Σ of channel c.
void SumOfWindow(const Window<std::uint8_t>& window, std::int64_t channels,
                 std::int32_t* sums);

/// From sums to scale · sum + shift, no less than lowest and no more than
/// highest, or to the nearest code of that.
void StoreScaled(const std::int32_t* sums, std::int64_t n, float scale,
                 float shift, float lowest, float highest, float* values);
void StoreScaled(const std::int32_t* sums, std::int64_t n, float scale,
                 float shift, float lowest, float highest, std::uint8_t* codes);

/// y[i] += scale · x[i]
void AddScaled(const float* x, std::int64_t n, float scale, float* y);
void AddScaled(const std::uint8_t* x, std::int64_t n, float scale, float* y);

/// x no less than lowest and no more than highest, or the nearest code of that.
void StoreClamped(const float* x, std::int64_t n, float lowest, float highest,
                  float* values);
void StoreClamped(const float* x, std::int64_t n, float lowest, float highest,
                  std::uint8_t* codes);

/// y[i] += x[i], and y[i] = the larger of both.
void AddCodes(const std::uint8_t* x, std::int64_t n, std::uint8_t* y);
void MaximumOfCodes(const std::uint8_t* x, std::int64_t n, std::uint8_t* y);

/// y[i] = x[i]²
void Square(const float* x, std::int64_t n, float* y);

/// y[i] = x[i] (k + alpha sums[i])^-beta
void Normalize(const float* x, const float* sums, std::int64_t n, float k,
               float alpha, float beta, float* y);

/// From position x · scale + shift to the nearest code, no less than lowest and
/// no more than highest, of n values.
void QuantizeValues(const float* x, std::int64_t n, float scale, float shift,
                    float lowest, float highest, std::uint8_t* codes);

/// values[i] = scale · codes[i] + shift
void DequantizeCodes(const std::uint8_t* codes, std::int64_t n, float scale,
                     float shift, float* values);

/// y[i] = scale[i] x[i] + shift[i]
void ScaleAndShift(const float* x, std::int64_t n, const float* scale,
                   const float* shift, float* y);

/// y[i] = max(x[i], 0) + slopes[i] min(x[i], 0)
void Rectify(const float* x, std::int64_t n, const float* slopes, float* y);

/// Whether all are finite.
bool AreFinite(const float* x, std::int64_t n);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_KERNELS_IMAGES_HPP_

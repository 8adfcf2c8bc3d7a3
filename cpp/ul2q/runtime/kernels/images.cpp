#include "ul2q/runtime/kernels/images.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

// Highway includes this file once more for each instruction set; the compiler
// turns the plain loops into its vector instructions.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/runtime/kernels/images.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ul2q/runtime/image.hpp"

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace runtime {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

void PixelSums(const std::uint8_t* pixels, std::int64_t count,
               std::int64_t stride, std::int64_t channels, std::int32_t* sums) {
  for (std::int64_t i = 0; i < count; ++i) {
    std::int64_t c = 0;
    sums[i] = 0;
#if HWY_TARGET != HWY_SCALAR
    const hn::CappedTag<std::uint8_t, kPanel> d;
    const hn::Repartition<std::uint64_t, decltype(d)> d64;
    auto sum = hn::Zero(d64);
    for (; c + kPanel <= channels; c += kPanel) {
      sum = hn::Add(sum, hn::SumsOf8(hn::LoadU(d, pixels + c)));
    }
    sums[i] = static_cast<std::int32_t>(hn::GetLane(hn::SumOfLanes(d64, sum)));
#endif
    for (; c < channels; ++c) {
      sums[i] += pixels[c];
    }
    pixels += stride;
  }
}

template <typename Value>
HWY_INLINE void Maximum(const Window<Value>& given, std::int64_t channels,
                        Value* out) {
  const Window<Value> window = given;  // no output can change it
  std::copy(window.first, window.first + channels, out);
  for (std::int64_t y = 0; y < window.rows; ++y) {
    for (std::int64_t x = 0; x < window.columns; ++x) {
      const Value* pixel = window.first + y * window.row_stride + x * channels;
#pragma GCC ivdep
      for (std::int64_t c = 0; c < channels; ++c) {
        out[c] = out[c] < pixel[c] ? pixel[c] : out[c];
      }
    }
  }
}

void MaxOfCodes(const Window<std::uint8_t>& window, std::int64_t channels,
                std::uint8_t* out) {
  Maximum(window, channels, out);
}

void MaxOfFloats(const Window<float>& window, std::int64_t channels,
                 float* out) {
  Maximum(window, channels, out);
}

void Mean(const Window<float>& given, std::int64_t channels, float divisor,
          float* out) {
  const Window<float> window = given;
  std::fill(out, out + channels, 0.0f);
  for (std::int64_t y = 0; y < window.rows; ++y) {
    for (std::int64_t x = 0; x < window.columns; ++x) {
      const float* pixel = window.first + y * window.row_stride + x * channels;
#pragma GCC ivdep
      for (std::int64_t c = 0; c < channels; ++c) {
        out[c] += pixel[c];
      }
    }
  }
  const float factor = 1 / divisor;
  for (std::int64_t c = 0; c < channels; ++c) {
    out[c] *= factor;
  }
}

void WindowSum(const Window<std::uint8_t>& given, std::int64_t channels,
               std::int32_t* sums) {
  const Window<std::uint8_t> window = given;
  std::fill(sums, sums + channels, 0);
  for (std::int64_t y = 0; y < window.rows; ++y) {
    for (std::int64_t x = 0; x < window.columns; ++x) {
      const std::uint8_t* pixel =
          window.first + y * window.row_stride + x * channels;
#pragma GCC ivdep
      for (std::int64_t c = 0; c < channels; ++c) {
        sums[c] += pixel[c];
      }
    }
  }
}

/// The number just below 1/2: see StoreResult.
constexpr float kBelowHalf = 0.49999997f;

HWY_INLINE void Store(float position, float lowest, float highest, float* to) {
  position = position > lowest ? position : lowest;
  *to = position < highest ? position : highest;
}

HWY_INLINE void Store(float position, float lowest, float highest,
                      std::uint8_t* to) {
  position = position > lowest ? position : lowest;
  position = position < highest ? position : highest;
  *to = static_cast<std::uint8_t>(
      static_cast<std::int32_t>(position + kBelowHalf));
}

template <typename Result>
HWY_INLINE void ScaledSums(const std::int32_t* sums, std::int64_t n,
                           float scale, float shift, float lowest,
                           float highest, Result* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    Store(scale * static_cast<float>(sums[i]) + shift, lowest, highest, y + i);
  }
}

void SumsToValues(const std::int32_t* sums, std::int64_t n, float scale,
                  float shift, float lowest, float highest, float* values) {
  ScaledSums(sums, n, scale, shift, lowest, highest, values);
}

void SumsToCodes(const std::int32_t* sums, std::int64_t n, float scale,
                 float shift, float lowest, float highest,
                 std::uint8_t* codes) {
  ScaledSums(sums, n, scale, shift, lowest, highest, codes);
}

template <typename Value>
HWY_INLINE void Accumulate(const Value* x, std::int64_t n, float scale,
                           float* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] += scale * static_cast<float>(x[i]);
  }
}

void AddScaledValues(const float* x, std::int64_t n, float scale, float* y) {
  Accumulate(x, n, scale, y);
}

void AddScaledCodes(const std::uint8_t* x, std::int64_t n, float scale,
                    float* y) {
  Accumulate(x, n, scale, y);
}

void ClampValues(const float* x, std::int64_t n, float lowest, float highest,
                 float* values) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    Store(x[i], lowest, highest, values + i);
  }
}

void SumCodes(const std::uint8_t* x, std::int64_t n, std::uint8_t* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = static_cast<std::uint8_t>(y[i] + x[i]);
  }
}

void LargerCodes(const std::uint8_t* x, std::int64_t n, std::uint8_t* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = y[i] < x[i] ? x[i] : y[i];
  }
}

void Squares(const float* x, std::int64_t n, float* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = x[i] * x[i];
  }
}

/// 1 / √x to a few roundings, for x from 1e-30 up: Newton's iteration, which
/// begins with half the exponent, negated (Lomont 2003, "Fast Inverse Square
/// Root").
HWY_INLINE float ReciprocalRoot(float x) {
  std::int32_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  bits = 0x5f375a86 - (bits >> 1);
  float y;
  std::memcpy(&y, &bits, sizeof(y));
  for (int i = 0; i < 4; ++i) {
    y = y * (1.5f - 0.5f * x * y * y);
  }
  return y;
}

void Normal(const float* x, const float* sums, std::int64_t n, float k,
            float alpha, float beta, float* y) {
  if (beta != 0.75f) {
    for (std::int64_t i = 0; i < n; ++i) {
      y[i] = x[i] * std::pow(k + alpha * sums[i], -beta);
    }
    return;
  }
  // s^(-3/4) by two reciprocal roots instead of a power, a root or a division.
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    const float root = ReciprocalRoot(k + alpha * sums[i]);
    y[i] = x[i] * (root * root * ReciprocalRoot(root));
  }
}

void ToCodes(const float* x, std::int64_t n, float scale, float shift,
             float lowest, float highest, std::uint8_t* codes) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    Store(x[i] * scale + shift, lowest, highest, codes + i);
  }
}

void ToValues(const std::uint8_t* codes, std::int64_t n, float scale,
              float shift, float* values) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    values[i] = scale * static_cast<float>(codes[i]) + shift;
  }
}

void AffineOf(const float* x, std::int64_t n, const float* scale,
              const float* shift, float* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = scale[i] * x[i] + shift[i];
  }
}

void Rectified(const float* x, std::int64_t n, const float* slopes, float* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = x[i] > 0 ? x[i] : slopes[i] * x[i];
  }
}

bool Finite(const float* x, std::int64_t n) {
  std::int32_t bad = 0;  // to the end: an early way out is slower
  for (std::int64_t i = 0; i < n; ++i) {
    bad |= !(std::abs(x[i]) <= std::numeric_limits<float>::max());
  }
  return bad == 0;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace runtime
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {
namespace runtime {

HWY_EXPORT(PixelSums);
HWY_EXPORT(MaxOfCodes);
HWY_EXPORT(MaxOfFloats);
HWY_EXPORT(Mean);
HWY_EXPORT(WindowSum);
HWY_EXPORT(SumsToValues);
HWY_EXPORT(SumsToCodes);
HWY_EXPORT(AddScaledValues);
HWY_EXPORT(AddScaledCodes);
HWY_EXPORT(ClampValues);
HWY_EXPORT(SumCodes);
HWY_EXPORT(LargerCodes);
HWY_EXPORT(Squares);
HWY_EXPORT(Normal);
HWY_EXPORT(ToCodes);
HWY_EXPORT(ToValues);
HWY_EXPORT(AffineOf);
HWY_EXPORT(Rectified);
HWY_EXPORT(Finite);

void SumPixels(const std::uint8_t* pixels, std::int64_t count,
               std::int64_t stride, std::int64_t channels, std::int32_t* sums) {
  HWY_DYNAMIC_DISPATCH(PixelSums)(pixels, count, stride, channels, sums);
}

template <>
void MaxOfWindow(const Window<std::uint8_t>& window, std::int64_t channels,
                 std::uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(MaxOfCodes)(window, channels, out);
}

template <>
void MaxOfWindow(const Window<float>& window, std::int64_t channels,
                 float* out) {
  HWY_DYNAMIC_DISPATCH(MaxOfFloats)(window, channels, out);
}

void MeanOfWindow(const Window<float>& window, std::int64_t channels,
                  float divisor, float* out) {
  HWY_DYNAMIC_DISPATCH(Mean)(window, channels, divisor, out);
}

void SumOfWindow(const Window<std::uint8_t>& window, std::int64_t channels,
                 std::int32_t* sums) {
  HWY_DYNAMIC_DISPATCH(WindowSum)(window, channels, sums);
}

void StoreScaled(const std::int32_t* sums, std::int64_t n, float scale,
                 float shift, float lowest, float highest, float* values) {
  HWY_DYNAMIC_DISPATCH(SumsToValues)
  (sums, n, scale, shift, lowest, highest, values);
}

void StoreScaled(const std::int32_t* sums, std::int64_t n, float scale,
                 float shift, float lowest, float highest,
                 std::uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(SumsToCodes)
  (sums, n, scale, shift, lowest, highest, codes);
}

void AddScaled(const float* x, std::int64_t n, float scale, float* y) {
  HWY_DYNAMIC_DISPATCH(AddScaledValues)(x, n, scale, y);
}

void AddScaled(const std::uint8_t* x, std::int64_t n, float scale, float* y) {
  HWY_DYNAMIC_DISPATCH(AddScaledCodes)(x, n, scale, y);
}

void StoreClamped(const float* x, std::int64_t n, float lowest, float highest,
                  float* values) {
  HWY_DYNAMIC_DISPATCH(ClampValues)(x, n, lowest, highest, values);
}

void StoreClamped(const float* x, std::int64_t n, float lowest, float highest,
                  std::uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(ToCodes)(x, n, 1, 0, lowest, highest, codes);
}

void AddCodes(const std::uint8_t* x, std::int64_t n, std::uint8_t* y) {
  HWY_DYNAMIC_DISPATCH(SumCodes)(x, n, y);
}

void MaximumOfCodes(const std::uint8_t* x, std::int64_t n, std::uint8_t* y) {
  HWY_DYNAMIC_DISPATCH(LargerCodes)(x, n, y);
}

void Square(const float* x, std::int64_t n, float* y) {
  HWY_DYNAMIC_DISPATCH(Squares)(x, n, y);
}

void Normalize(const float* x, const float* sums, std::int64_t n, float k,
               float alpha, float beta, float* y) {
  HWY_DYNAMIC_DISPATCH(Normal)(x, sums, n, k, alpha, beta, y);
}

void QuantizeValues(const float* x, std::int64_t n, float scale, float shift,
                    float lowest, float highest, std::uint8_t* codes) {
  HWY_DYNAMIC_DISPATCH(ToCodes)(x, n, scale, shift, lowest, highest, codes);
}

void DequantizeCodes(const std::uint8_t* codes, std::int64_t n, float scale,
                     float shift, float* values) {
  HWY_DYNAMIC_DISPATCH(ToValues)(codes, n, scale, shift, values);
}

void ScaleAndShift(const float* x, std::int64_t n, const float* scale,
                   const float* shift, float* y) {
  HWY_DYNAMIC_DISPATCH(AffineOf)(x, n, scale, shift, y);
}

void Rectify(const float* x, std::int64_t n, const float* slopes, float* y) {
  HWY_DYNAMIC_DISPATCH(Rectified)(x, n, slopes, y);
}

bool AreFinite(const float* x, std::int64_t n) {
  return HWY_DYNAMIC_DISPATCH(Finite)(x, n);
}

}  // namespace runtime
}  // namespace ul2q
#endif

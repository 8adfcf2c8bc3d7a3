#include "ul2q/runtime/kernels/depthwise.hpp"

#include <type_traits>

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/runtime/kernels/depthwise.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ul2q/runtime/image.hpp"

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace runtime {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int64_t kPixels = kDepthwisePixels;

/// As many numbers as a vector of D has lanes, as those of D.
template <class D, typename Number>
HWY_INLINE hn::Vec<D> LoadAs(D d, const Number* numbers) {
  if constexpr (std::is_same_v<Number, hn::TFromD<D>>) {
    return hn::LoadU(d, numbers);
  } else {
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<Number, D>(), numbers));
  }
}

/// Of 16 bits, as 32.
template <class D, typename Sum>
HWY_INLINE void StoreSums(D d, hn::Vec<D> sum, Sum* sums) {
  if constexpr (sizeof(hn::TFromD<D>) == sizeof(Sum)) {
    hn::StoreU(sum, d, sums);
  } else {
    constexpr auto kLanes = static_cast<std::size_t>(hn::MaxLanes(D()));
    alignas(64) std::int16_t narrow[kLanes];
    hn::StoreU(sum, d, narrow);
    const hn::CappedTag<std::int32_t, kLanes> d32;
    for (std::size_t i = 0; i < kLanes; i += hn::MaxLanes(d32)) {
      hn::StoreU(LoadAs(d32, narrow + i), d32, sums + i);
    }
  }
}

template <bool kWithCodes, class D, typename Value, typename Weight,
          typename Sum>
HWY_INLINE void Products(D d, const Taps<Value>& taps, const Weight* weights,
                         std::int64_t channels, Sum* sums, Sum* codes) {
  constexpr auto kLanes = static_cast<std::int64_t>(hn::MaxLanes(D()));
  for (std::int64_t c = 0; c < channels; c += kLanes) {
    hn::Vec<D> sum[kPixels], of_codes[kPixels];
    for (std::int64_t pixel = 0; pixel < kPixels; ++pixel) {
      sum[pixel] = of_codes[pixel] = hn::Zero(d);
    }
    for (std::int64_t t = 0; t < taps.count; ++t) {
      const auto w = LoadAs(d, weights + t * channels + c);
      const Value* x = taps.first + taps.offsets[t] + c;
#pragma GCC unroll 4
      for (std::int64_t pixel = 0; pixel < kPixels; ++pixel) {
        const auto tap = LoadAs(d, x + pixel * taps.stride);
        sum[pixel] = hn::Add(sum[pixel], hn::Mul(tap, w));
        if constexpr (kWithCodes) {
          of_codes[pixel] = hn::Add(of_codes[pixel], tap);
        }
      }
    }
    for (std::int64_t pixel = 0; pixel < kPixels; ++pixel) {
      StoreSums(d, sum[pixel], sums + pixel * kTileOutputs + c);
      if constexpr (kWithCodes) {
        StoreSums(d, of_codes[pixel], codes + pixel * kTileOutputs + c);
      }
    }
  }
}

template <class D>
HWY_INLINE void CodeProducts(D d, const Taps<std::uint8_t>& taps,
                             const std::int16_t* weights, std::int64_t channels,
                             std::int32_t* sums, std::int32_t* codes) {
  if (codes != nullptr) {
    Products<true>(d, taps, weights, channels, sums, codes);
  } else {
    Products<false>(d, taps, weights, channels, sums, codes);
  }
}

void OfCodes(const Taps<std::uint8_t>& taps, const std::int16_t* weights,
             std::int64_t channels, bool fits_16_bits, std::int32_t* sums,
             std::int32_t* codes) {
  if (fits_16_bits) {
    CodeProducts(hn::CappedTag<std::int16_t, kPanel>(), taps, weights, channels,
                 sums, codes);
  } else {
    CodeProducts(hn::CappedTag<std::int32_t, kPanel>(), taps, weights, channels,
                 sums, codes);
  }
}

void OfFloats(const Taps<float>& taps, const float* weights,
              std::int64_t channels, float* sums) {
  Products<false>(hn::CappedTag<float, kPanel>(), taps, weights, channels, sums,
                  static_cast<float*>(nullptr));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace runtime
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {
namespace runtime {

HWY_EXPORT(OfCodes);
HWY_EXPORT(OfFloats);

void MultiplyTaps(const Taps<std::uint8_t>& taps, const std::int16_t* weights,
                  std::int64_t channels, bool fits_16_bits, std::int32_t* sums,
                  std::int32_t* codes) {
  HWY_DYNAMIC_DISPATCH(OfCodes)
  (taps, weights, channels, fits_16_bits, sums, codes);
}

void MultiplyTaps(const Taps<float>& taps, const float* weights,
                  std::int64_t channels, float* sums) {
  HWY_DYNAMIC_DISPATCH(OfFloats)(taps, weights, channels, sums);
}

}  // namespace runtime
}  // namespace ul2q
#endif

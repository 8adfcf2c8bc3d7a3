#include "ul2q/runtime/kernels/product.hpp"

#include <array>
#include <utility>

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/runtime/kernels/product.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ul2q/runtime/kernels/dot-inl.hpp"
#include "ul2q/runtime/kernels/finish-inl.hpp"
#include "ul2q/runtime/kernels/multiply_add-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace runtime {
namespace HWY_NAMESPACE {
namespace {

// What stays in registers: all sums, and the weights of one step. Vectors of 16
// lanes come with 32 registers, others with 16.
constexpr bool kIsWide = kVectorLanes == kPanel;
constexpr int kVectors = kIsWide ? 2 : kPanel / kVectorLanes;
constexpr int kPanelsAtOnce = kIsWide ? 2 : 1;
constexpr int kMaxRows = kIsWide ? 12 : kVectorLanes == 8 ? 4 : 2;

/// Two panels at once, or one after the other: where vector v of a step lies.
template <int kStep>
HWY_INLINE std::int64_t VectorOffset(int v, std::int64_t panel_stride) {
  return kIsWide ? v * panel_stride : v * kVectorLanes * kStep;
}

#if UL2Q_HAS_BYTE_VECTORS
template <int kRows, bool kPairsFit>
void CodesOfPanels(const Rows<std::uint8_t>& rows, const std::int8_t* weights,
                   std::int64_t panel_stride, const std::int32_t* start,
                   std::int32_t* sums) {
  constexpr int kStep = 4;
  const Int32s d;
  const SignedBytes d8;
  Int32Vector sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int v = 0; v < kVectors; ++v) {
    const auto first =
        start == nullptr ? hn::Zero(d) : hn::LoadU(d, start + v * kVectorLanes);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r) {
      sum[r][v] = first;
    }
  }
  const std::int64_t stride = rows.stride;
  for (std::int64_t s = 0; s < rows.segments; ++s) {
    const std::uint8_t* a = rows.first + rows.offsets[s];
    for (const std::uint8_t* end = a + rows.length; a < end; a += kStep) {
      hn::Vec<SignedBytes> w[kVectors];
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        w[v] = hn::LoadU(d8, weights + VectorOffset<kStep>(v, panel_stride));
      }
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const auto quad = RepeatQuad(a + r * stride);
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) {
          sum[r][v] = DotQuads<kPairsFit>(sum[r][v], quad, w[v]);
        }
      }
      weights += kPanel * kStep;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[r][v], d, sums + r * kTileOutputs + v * kVectorLanes);
    }
  }
}

#else
template <int kRows, bool kPairsFit>
void CodesOfPanels(const Rows<std::uint8_t>& rows, const std::int8_t* weights,
                   std::int64_t, const std::int32_t* start,
                   std::int32_t* sums) {
  for (int r = 0; r < kRows; ++r) {
    std::int32_t* to = sums + r * kTileOutputs;
    for (std::int64_t n = 0; n < kPanel; ++n) {
      to[n] = start == nullptr ? 0 : start[n];
    }
    const std::int8_t* w = weights;
    for (std::int64_t s = 0; s < rows.segments; ++s) {
      const std::uint8_t* a = rows.first + rows.offsets[s] + r * rows.stride;
      for (std::int64_t k = 0; k < rows.length; k += 4, w += 4 * kPanel) {
        for (std::int64_t n = 0; n < kPanel; ++n) {
          for (std::int64_t i = 0; i < 4; ++i) {
            to[n] += a[k + i] * w[4 * n + i];
          }
        }
      }
    }
  }
}
#endif

template <int kRows>
void FloatsOfPanels(const Rows<float>& rows, const float* weights,
                    std::int64_t panel_stride, float* sums) {
  const Floats d;
  FloatVector sum[kRows][kVectors];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = hn::Zero(d);
    }
  }
  const std::int64_t stride = rows.stride;
  for (std::int64_t s = 0; s < rows.segments; ++s) {
    const float* a = rows.first + rows.offsets[s];
    for (const float* end = a + rows.length; a < end; ++a) {
      FloatVector w[kVectors];
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) {
        w[v] = hn::LoadU(d, weights + VectorOffset<1>(v, panel_stride));
      }
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const auto x = hn::Set(d, a[r * stride]);
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) {
          sum[r][v] = FusedMultiplyAdd(d, x, w[v], sum[r][v]);
        }
      }
      weights += kPanel;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      hn::StoreU(sum[r][v], d, sums + r * kTileOutputs + v * kVectorLanes);
    }
  }
}

using CodesFunction = void (*)(const Rows<std::uint8_t>&, const std::int8_t*,
                               std::int64_t, const std::int32_t*,
                               std::int32_t*);
using FloatsFunction = void (*)(const Rows<float>&, const float*, std::int64_t,
                                float*);

template <bool kPairsFit, int... kRows>
constexpr std::array<CodesFunction, sizeof...(kRows)> CodesFunctions(
    std::integer_sequence<int, kRows...>) {
  return {&CodesOfPanels<kRows + 1, kPairsFit>...};
}

template <int... kRows>
constexpr std::array<FloatsFunction, sizeof...(kRows)> FloatsFunctions(
    std::integer_sequence<int, kRows...>) {
  return {&FloatsOfPanels<kRows + 1>...};
}

int TileRows() { return kMaxRows; }

void Codes(const Rows<std::uint8_t>& rows, int count,
           const std::int8_t* weights, std::int64_t panel_stride,
           bool pairs_fit, const std::int32_t* start, std::int32_t* sums) {
  using Counts = std::make_integer_sequence<int, kMaxRows>;
  static constexpr auto kFitting = CodesFunctions<true>(Counts());
  static constexpr auto kAny = CodesFunctions<false>(Counts());
  const CodesFunction function = (pairs_fit ? kFitting : kAny)[count - 1];
  for (int panel = 0; panel < 2; panel += kPanelsAtOnce) {
    function(rows, weights + panel * panel_stride, panel_stride,
             start == nullptr ? nullptr : start + panel * kPanel,
             sums + panel * kPanel);
  }
}

void FloatProducts(const Rows<float>& rows, int count, const float* weights,
                   std::int64_t panel_stride, float* sums) {
  static constexpr auto kFunctions =
      FloatsFunctions(std::make_integer_sequence<int, kMaxRows>());
  for (int panel = 0; panel < 2; panel += kPanelsAtOnce) {
    kFunctions[count - 1](rows, weights + panel * panel_stride, panel_stride,
                          sums + panel * kPanel);
  }
}

template <typename Sum, typename Result>
void FinishPixels(const Sum* sums, int count, const Beside& beside,
                  const Finish& finish, std::int64_t outputs,
                  std::int64_t pixel_stride, Result* out) {
  const Finisher finisher(finish);
  const hn::Rebind<Sum, Int32s> d;
  for (int pixel = 0; pixel < count; ++pixel) {
    const Beside of_pixel = beside.From(pixel, kTileOutputs);
    for (std::int64_t n = 0; n < outputs; n += kVectorLanes) {
      StoreResult(finisher.Result(hn::LoadU(d, sums + n), of_pixel, n),
                  out + n);
    }
    sums += kTileOutputs;
    out += pixel_stride;
  }
}

void FinishSumsAsCodes(const std::int32_t* sums, int count,
                       const Beside& beside, const Finish& finish,
                       std::int64_t outputs, std::int64_t pixel_stride,
                       std::uint8_t* out) {
  FinishPixels(sums, count, beside, finish, outputs, pixel_stride, out);
}

void FinishSumsAsFloats(const std::int32_t* sums, int count,
                        const Beside& beside, const Finish& finish,
                        std::int64_t outputs, std::int64_t pixel_stride,
                        float* out) {
  FinishPixels(sums, count, beside, finish, outputs, pixel_stride, out);
}

void FinishFloatsAsCodes(const float* sums, int count, const Beside& beside,
                         const Finish& finish, std::int64_t outputs,
                         std::int64_t pixel_stride, std::uint8_t* out) {
  FinishPixels(sums, count, beside, finish, outputs, pixel_stride, out);
}

void FinishFloatsAsFloats(const float* sums, int count, const Beside& beside,
                          const Finish& finish, std::int64_t outputs,
                          std::int64_t pixel_stride, float* out) {
  FinishPixels(sums, count, beside, finish, outputs, pixel_stride, out);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace runtime
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {
namespace runtime {

HWY_EXPORT(TileRows);
HWY_EXPORT(Codes);
HWY_EXPORT(FloatProducts);
HWY_EXPORT(FinishSumsAsCodes);
HWY_EXPORT(FinishSumsAsFloats);
HWY_EXPORT(FinishFloatsAsCodes);
HWY_EXPORT(FinishFloatsAsFloats);

int MaxTileRows() { return HWY_DYNAMIC_DISPATCH(TileRows)(); }

void MultiplyCodes(const Rows<std::uint8_t>& rows, int count,
                   const std::int8_t* weights, std::int64_t panel_stride,
                   bool pairs_fit, const std::int32_t* start,
                   std::int32_t* sums) {
  HWY_DYNAMIC_DISPATCH(Codes)
  (rows, count, weights, panel_stride, pairs_fit, start, sums);
}

void MultiplyFloats(const Rows<float>& rows, int count, const float* weights,
                    std::int64_t panel_stride, float* sums) {
  HWY_DYNAMIC_DISPATCH(FloatProducts)
  (rows, count, weights, panel_stride, sums);
}

template <>
void FinishTile(const std::int32_t* sums, int count, const Beside& beside,
                const Finish& finish, std::int64_t outputs,
                std::int64_t pixel_stride, std::uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(FinishSumsAsCodes)
  (sums, count, beside, finish, outputs, pixel_stride, out);
}

template <>
void FinishTile(const std::int32_t* sums, int count, const Beside& beside,
                const Finish& finish, std::int64_t outputs,
                std::int64_t pixel_stride, float* out) {
  HWY_DYNAMIC_DISPATCH(FinishSumsAsFloats)
  (sums, count, beside, finish, outputs, pixel_stride, out);
}

template <>
void FinishTile(const float* sums, int count, const Beside& beside,
                const Finish& finish, std::int64_t outputs,
                std::int64_t pixel_stride, std::uint8_t* out) {
  HWY_DYNAMIC_DISPATCH(FinishFloatsAsCodes)
  (sums, count, beside, finish, outputs, pixel_stride, out);
}

template <>
void FinishTile(const float* sums, int count, const Beside& beside,
                const Finish& finish, std::int64_t outputs,
                std::int64_t pixel_stride, float* out) {
  HWY_DYNAMIC_DISPATCH(FinishFloatsAsFloats)
  (sums, count, beside, finish, outputs, pixel_stride, out);
}

}  // namespace runtime
}  // namespace ul2q
#endif

#include "ul2q/runtime/kernels/winograd.hpp"

#include <algorithm>

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/runtime/kernels/winograd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ul2q/runtime/kernels/dot-inl.hpp"
#include "ul2q/runtime/kernels/finish-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace runtime {
namespace HWY_NAMESPACE {
namespace {

/// Bᵀ of four values: a - c, b + c, c - b, b - d.
#define UL2Q_WINDOW(a, b, c, d, to0, to1, to2, to3) \
  to0 = hn::Sub(a, c);                              \
  to1 = hn::Add(b, c);                              \
  to2 = hn::Sub(c, b);                              \
  to3 = hn::Sub(b, d)

/// As many channels as a vector has bytes. Bytes overflow on the way and come
/// out right, since the result fits.
template <class D>
HWY_INLINE void TransformWindow(D d8, const std::uint8_t* x,
                                std::int64_t row_stride,
                                std::int64_t pixel_stride, std::uint8_t* v,
                                std::int64_t place_stride) {
  using V = hn::Vec<D>;
  V t[4][4];
#pragma GCC unroll 4
  for (int column = 0; column < 4; ++column) {
    const std::uint8_t* at = x + column * pixel_stride;
    const V a = hn::LoadU(d8, at), b = hn::LoadU(d8, at + row_stride),
            c = hn::LoadU(d8, at + 2 * row_stride),
            d = hn::LoadU(d8, at + 3 * row_stride);
    UL2Q_WINDOW(a, b, c, d, t[0][column], t[1][column], t[2][column],
                t[3][column]);
  }
  const V shift = hn::Set(d8, std::uint8_t{kWindowShift});
#pragma GCC unroll 4
  for (int row = 0; row < 4; ++row) {
    V u[4];
    UL2Q_WINDOW(t[row][0], t[row][1], t[row][2], t[row][3], u[0], u[1], u[2],
                u[3]);
#pragma GCC unroll 4
    for (int column = 0; column < 4; ++column) {
      hn::StoreU(hn::Add(u[column], shift), d8,
                 v + (4 * row + column) * place_stride);
    }
  }
}

void Windows(const std::uint8_t* x, std::int64_t row_stride,
             std::int64_t channels, int count, std::uint8_t* v,
             std::int64_t place_stride) {
  const hn::CappedTag<std::uint8_t, 4 * kPanel> wide;
  const hn::CappedTag<std::uint8_t, kPanel> narrow;
  constexpr auto kWide =
      static_cast<std::int64_t>(hn::MaxLanes(decltype(wide)()));
  constexpr auto kNarrow =
      static_cast<std::int64_t>(hn::MaxLanes(decltype(narrow)()));
  for (int i = 0; i < count; ++i) {
    std::int64_t c = 0;
    for (; c + kWide <= channels; c += kWide) {
      TransformWindow(wide, x + c, row_stride, channels, v + c, place_stride);
    }
    for (; c < channels; c += kNarrow) {
      TransformWindow(narrow, x + c, row_stride, channels, v + c, place_stride);
    }
    x += 2 * channels;
    v += channels;
  }
}

/// Aᵀ of four values: a + b + c, b - c - d.
#define UL2Q_RESULT(a, b, c, d, to0, to1) \
  to0 = hn::Add(a, hn::Add(b, c));        \
  to1 = hn::Sub(b, hn::Add(c, d))

template <typename Result>
void Results(const std::int32_t* sums, std::int64_t place_stride, int count,
             const Beside (&rows)[2], const Finish& finish,
             std::int64_t outputs, const Quartet<Result>& first) {
  const Int32s d;
  const Finisher finisher(finish);
  Result* out = first.out;
  for (int i = 0; i < count; ++i) {
    const bool has_right = i + 1 < count || first.has_right;
    Beside beside[2][2];
    for (int row = 0; row < 2; ++row) {
      beside[row][0] = rows[row].From(2 * i, kTileOutputs);
      beside[row][1] = rows[row].From(2 * i + 1, kTileOutputs);
    }
    for (std::int64_t n = 0; n < outputs; n += kVectorLanes) {
      Int32Vector t[2][4];
#pragma GCC unroll 4
      for (int column = 0; column < 4; ++column) {
        const std::int32_t* at = sums + column * place_stride + n;
        UL2Q_RESULT(hn::LoadU(d, at), hn::LoadU(d, at + 4 * place_stride),
                    hn::LoadU(d, at + 8 * place_stride),
                    hn::LoadU(d, at + 12 * place_stride), t[0][column],
                    t[1][column]);
      }
#pragma GCC unroll 2
      for (int row = 0; row < 2; ++row) {
        if (row == 1 && !first.has_lower) {
          continue;
        }
        Int32Vector left, right;
        UL2Q_RESULT(t[row][0], t[row][1], t[row][2], t[row][3], left, right);
        Result* at = out + row * first.row_stride + n;
        StoreResult(finisher.Result(left, beside[row][0], n), at);
        if (has_right) {
          StoreResult(finisher.Result(right, beside[row][1], n),
                      at + first.pixel_stride);
        }
      }
    }
    sums += kTileOutputs;
    out += 2 * first.pixel_stride;
  }
}

#undef UL2Q_WINDOW
#undef UL2Q_RESULT

void ResultsAsCodes(const std::int32_t* sums, std::int64_t place_stride,
                    int count, const Beside (&rows)[2], const Finish& finish,
                    std::int64_t outputs, const Quartet<std::uint8_t>& first) {
  Results(sums, place_stride, count, rows, finish, outputs, first);
}

void ResultsAsFloats(const std::int32_t* sums, std::int64_t place_stride,
                     int count, const Beside (&rows)[2], const Finish& finish,
                     std::int64_t outputs, const Quartet<float>& first) {
  Results(sums, place_stride, count, rows, finish, outputs, first);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace runtime
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {
namespace runtime {

HWY_EXPORT(Windows);
HWY_EXPORT(ResultsAsCodes);
HWY_EXPORT(ResultsAsFloats);

bool TransformKernel(const std::int8_t* kernel, std::int8_t* transformed) {
  // 2G of three values: 2a, a + b + c, a - b + c, 2c.
  int half[4][3];
  for (int x = 0; x < 3; ++x) {
    const int a = kernel[x], b = kernel[3 + x], c = kernel[6 + x];
    half[0][x] = 2 * a;
    half[1][x] = a + b + c;
    half[2][x] = a - b + c;
    half[3][x] = 2 * c;
  }
  int places[kPlaces];
  for (int y = 0; y < 4; ++y) {
    const auto [a, b, c] = half[y];
    places[4 * y] = 2 * a;
    places[4 * y + 1] = a + b + c;
    places[4 * y + 2] = a - b + c;
    places[4 * y + 3] = 2 * c;
  }
  const bool fits = std::all_of(places, places + kPlaces, [](int place) {
    return -128 <= place && place <= 127;
  });
  std::copy(places, places + kPlaces, transformed);
  return fits;
}

void TransformWindows(const std::uint8_t* x, std::int64_t row_stride,
                      std::int64_t channels, int count, std::uint8_t* v,
                      std::int64_t place_stride) {
  HWY_DYNAMIC_DISPATCH(Windows)
  (x, row_stride, channels, count, v, place_stride);
}

template <>
void FinishWindows(const std::int32_t* sums, std::int64_t place_stride,
                   int count, const Beside (&rows)[2], const Finish& finish,
                   std::int64_t outputs, const Quartet<std::uint8_t>& first) {
  HWY_DYNAMIC_DISPATCH(ResultsAsCodes)
  (sums, place_stride, count, rows, finish, outputs, first);
}

template <>
void FinishWindows(const std::int32_t* sums, std::int64_t place_stride,
                   int count, const Beside (&rows)[2], const Finish& finish,
                   std::int64_t outputs, const Quartet<float>& first) {
  HWY_DYNAMIC_DISPATCH(ResultsAsFloats)
  (sums, place_stride, count, rows, finish, outputs, first);
}

}  // namespace runtime
}  // namespace ul2q
#endif

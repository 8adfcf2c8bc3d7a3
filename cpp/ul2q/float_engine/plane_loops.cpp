#include "ul2q/float_engine/plane_loops.hpp"

#include <algorithm>

#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/parallel.hpp"
#include "ul2q/float_engine/relu.hpp"

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/plane_loops.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// So few elements are faster one by one: what is stored by a mask has to reach
/// the cache before it can be loaded.
constexpr std::int64_t kFewElements = 4;

/// Calls vector(i) for each full vector of n elements, then either last(i,
/// mask) for the rest at once or scalar(i) for each of it. Rows of a plane are
/// often shorter than a vector.
template <class D, class Vector, class Last, class Scalar>
HWY_INLINE void ForRow(D d, std::int64_t n, const Vector& vector,
                       const Last& last, const Scalar& scalar) {
  const std::int64_t lanes = hn::Lanes(d);
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    vector(i);
  }
  if (n - i < kFewElements) {
    for (; i < n; ++i) {
      scalar(i);
    }
    return;
  }
  // Instruction sets of short vectors lack masks, which are emulated by reading
  // beyond the row.
  if constexpr (HWY_MAX_BYTES > 16) {
    last(i, hn::FirstN(d, n - i));
  } else {
    for (; i < n; ++i) {
      scalar(i);
    }
  }
}

template <typename Dtype>
HWY_INLINE void Zero(Dtype* y, std::int64_t n) {
  const hn::ScalableTag<Dtype> d;
  ForRow(
      d, n, [&](std::int64_t i) HWY_ATTR { hn::StoreU(hn::Zero(d), d, y + i); },
      [&](std::int64_t i, auto mask)
          HWY_ATTR { hn::BlendedStore(hn::Zero(d), mask, d, y + i); },
      [&](std::int64_t i) { y[i] = 0; });
}

template <typename Dtype>
HWY_INLINE void Copy(const Dtype* x, std::int64_t n, Dtype* y) {
  const hn::ScalableTag<Dtype> d;
  ForRow(
      d, n,
      [&](std::int64_t i)
          HWY_ATTR { hn::StoreU(hn::LoadU(d, x + i), d, y + i); },
      [&](std::int64_t i, auto mask) HWY_ATTR {
        hn::BlendedStore(hn::MaskedLoad(mask, d, x + i), mask, d, y + i);
      },
      [&](std::int64_t i) { y[i] = x[i]; });
}

/// y += factor·x
template <typename Dtype>
HWY_INLINE void AddProduct(Dtype factor, const Dtype* x, std::int64_t n,
                           Dtype* y) {
  const hn::ScalableTag<Dtype> d;
  const auto f = hn::Set(d, factor);
  ForRow(
      d, n,
      [&](std::int64_t i) HWY_ATTR {
        hn::StoreU(hn::MulAdd(f, hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d,
                   y + i);
      },
      [&](std::int64_t i, auto mask) HWY_ATTR {
        hn::BlendedStore(hn::MulAdd(f, hn::MaskedLoad(mask, d, x + i),
                                    hn::MaskedLoad(mask, d, y + i)),
                         mask, d, y + i);
      },
      [&](std::int64_t i) { y[i] += factor * x[i]; });
}

/// Calls body(row of the map, row of the field) for each row of a tap, by the
/// offsets of its first pixels.
template <class Body>
HWY_INLINE void ForEachRow(const PlaneTaps& taps, const Tap& tap,
                           const Body& body) {
  std::int64_t map = tap.map, field = tap.field;
  for (std::int64_t row = 0; row < tap.rows; ++row) {
    body(map, field);
    map += taps.map_width;
    field += taps.row_step;
  }
}

template <typename Dtype>
void Fetch(const PlaneTaps& taps, const Dtype* field, Dtype* columns,
           std::int64_t column_step) {
  for (const Tap& tap : taps.taps) {
    Dtype* out = columns + tap.index * column_step;
    if (tap.n < taps.map_width || tap.rows < taps.map_height) {
      Zero(out, taps.map_size());
    }
    if (taps.step == 1) {
      ForEachRow(taps, tap, [&](std::int64_t m, std::int64_t f) HWY_ATTR {
        Copy(field + f, tap.n, out + m);
      });
    } else {
      ForEachRow(taps, tap, [&](std::int64_t m, std::int64_t f) {
        for (std::int64_t i = 0; i < tap.n; ++i) {
          out[m + i] = field[f + i * taps.step];
        }
      });
    }
  }
}

template <typename Dtype>
void Give(const PlaneTaps& taps, const Dtype* columns, std::int64_t column_step,
          Dtype* field) {
  for (const Tap& tap : taps.taps) {
    const Dtype* from = columns + tap.index * column_step;
    if (taps.step == 1) {
      ForEachRow(taps, tap, [&](std::int64_t m, std::int64_t f) HWY_ATTR {
        AddProduct(Dtype(1), from + m, tap.n, field + f);
      });
    } else {
      ForEachRow(taps, tap, [&](std::int64_t m, std::int64_t f) {
        for (std::int64_t i = 0; i < tap.n; ++i) {
          field[f + i * taps.step] += from[m + i];
        }
      });
    }
  }
}

template <typename Dtype>
void Split(const PlaneTaps& taps, const Dtype* field, Dtype* split) {
  const std::int64_t width = taps.field_width;
  for (std::int64_t row = 0; row < taps.field_height; ++row, field += width) {
    for (std::int64_t phase = 0; phase < taps.phases;
         ++phase, split += taps.phase_width) {
      std::int64_t i = 0;
      if (taps.phases == 2) {
        const std::int64_t n = (width + 1 - phase) / 2;
#pragma GCC ivdep
        for (i = 0; i < n; ++i) {
          split[i] = field[phase + 2 * i];
        }
      } else {
        for (std::int64_t j = phase; j < width; j += taps.phases) {
          split[i++] = field[j];
        }
      }
      for (; i < taps.phase_width; ++i) {
        split[i] = 0;
      }
    }
  }
}

template <typename Dtype>
void Join(const PlaneTaps& taps, const Dtype* split, Dtype* field) {
  const std::int64_t width = taps.field_width;
  for (std::int64_t row = 0; row < taps.field_height; ++row, field += width) {
    if (taps.phases == 2) {
      const Dtype* odd = split + taps.phase_width;
      const std::int64_t pairs = width / 2;
#pragma GCC ivdep
      for (std::int64_t i = 0; i < pairs; ++i) {
        field[2 * i] = split[i];
        field[2 * i + 1] = odd[i];
      }
      if (width % 2 != 0) {
        field[width - 1] = split[pairs];
      }
      split += 2 * taps.phase_width;
      continue;
    }
    for (std::int64_t phase = 0; phase < taps.phases;
         ++phase, split += taps.phase_width) {
      const Dtype* from = split;
      for (std::int64_t j = phase; j < width; j += taps.phases) {
        field[j] = *from++;
      }
    }
  }
}

template <typename Dtype>
void Finish(const Dtype* x, std::int64_t n, Dtype bias, Dtype slope, Dtype* y) {
#pragma GCC ivdep  // y may be x, but no other part of it
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = Relu(x[i] + bias, slope);
  }
}

template <typename Dtype>
PlaneLoops<Dtype> MakeLoops() {
  return {&Fetch<Dtype>, &Give<Dtype>, &Split<Dtype>, &Join<Dtype>,
          &Finish<Dtype>};
}

UL2Q_LOOP_TABLE(PlaneLoops);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

UL2Q_EXPORT_LOOPS(PlaneLoops);

namespace {

/// Where along one axis a tap meets the field: pixel i of the map meets pixel
/// offset + i·stride, for begin ≤ i < end.
struct Range {
  std::int64_t offset, begin, end;
};

Range RangeOf(const ConvolutionGeometry& geometry, int axis, std::int64_t tap) {
  const std::int64_t stride = geometry.stride[axis];
  const std::int64_t offset =
      tap * geometry.dilation[axis] - geometry.pad[axis];
  const std::int64_t last = geometry.field[axis] - 1 - offset;
  const std::int64_t end =
      last < 0 ? 0 : std::min(geometry.map[axis], last / stride + 1);
  const std::int64_t begin = offset < 0 ? (stride - 1 - offset) / stride : 0;
  return {offset, std::min(begin, end), end};
}

}  // namespace

PlaneTaps::PlaneTaps(const ConvolutionGeometry& geometry)
    : map_width(geometry.map[1]),
      map_height(geometry.map[0]),
      field_width(geometry.field[1]),
      field_height(geometry.field[0]) {
  const auto [stride_y, stride_x] = geometry.stride;
  phases = geometry.kernel[1] > stride_x ? stride_x : 1;
  phase_width = (field_width + phases - 1) / phases;
  step = has_phases() ? 1 : stride_x;
  row_step = stride_y * phases * phase_width;
  for (std::int64_t y = 0; y < geometry.kernel[0]; ++y) {
    const Range of_y = RangeOf(geometry, 0, y);
    for (std::int64_t x = 0; x < geometry.kernel[1]; ++x) {
      const Range of_x = RangeOf(geometry, 1, x);
      const std::int64_t index = y * geometry.kernel[1] + x;
      const std::int64_t rows = of_y.end - of_y.begin;
      const std::int64_t n = of_x.end - of_x.begin;
      if (rows == 0 || n == 0) {
        taps.push_back({index, 0, 0, 0, 0});
        continue;
      }
      const std::int64_t row = of_y.offset + of_y.begin * stride_y;
      const std::int64_t column = of_x.offset + of_x.begin * stride_x;
      taps.push_back(
          {index, rows, n, of_y.begin * map_width + of_x.begin,
           (row * phases + column % phases) * phase_width + column / phases});
    }
  }
}

void FinishPlanes(const PassEnding& ending, std::int64_t images,
                  std::int64_t channels, std::int64_t pixels, float* planes) {
  if (ending.is_nothing()) {
    return;
  }
  const auto finish = GetPlaneLoops<float>().finish;
  ParallelFor(images * channels, images * channels * pixels,
              [&](std::int64_t i) {
                float* plane = planes + i * pixels;
                finish(plane, pixels, ending.bias_of(i % channels),
                       ending.slope, plane);
              });
}

}  // namespace ul2q
#endif

#include "ul2q/float_engine/pooling_loops.hpp"

#include <algorithm>
#include <cfloat>

#include "ul2q/core/kernels/lanes.hpp"
#include "ul2q/float_engine/dispatch.hpp"

// Highway includes this file once more for each instruction set; see
// kernels/loops.cpp.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/pooling_loops.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

/// A range of rows or columns.
struct Range {
  int begin, end;
};

/// What window i covers of an axis of `size` elements.
HWY_INLINE Range Covered(int i, int kernel, int stride, int pad, int size) {
  const int begin = i * stride - pad;
  return {std::max(begin, 0), std::min(begin + kernel, size)};
}

/// The extent of window i, padding included.
HWY_INLINE int Extent(int i, int kernel, int stride, int pad, int size) {
  const int begin = i * stride - pad;
  return std::min(begin + kernel, size + pad) - begin;
}

/// The windows that lie within an axis.
HWY_INLINE Range Inner(int count, int kernel, int stride, int pad, int size) {
  const int begin = std::clamp((pad + stride - 1) / stride, 0, count);
  const int room = size + pad - kernel;
  const int end = room < 0 ? 0 : std::min(room / stride + 1, count);
  return {begin, std::max(begin, end)};
}

template <typename Dtype>
struct Max {
  Dtype value = Dtype(-FLT_MAX);
  int offset = kNoMaximum;

  HWY_INLINE void Add(Dtype x, int x_offset) {
    const bool is_above = x > value;
    value = is_above ? x : value;
    offset = is_above ? x_offset : offset;
  }
};

/// Pools by the maximum: what PoolPlane asks for.
template <typename Dtype>
struct MaxPooling {
  const PoolingWindows& windows;
  const Dtype* bottom;
  Dtype* top;
  WindowOffset* offsets;

  /// The windows [columns) of row ph, all within the plane.
  template <int kKernel, int kStride>
  HWY_INLINE void PoolInner(int ph, Range columns) const {
    const int width = windows.width;
    const Dtype* first =
        bottom + (ph * kStride - windows.pad_h) * width - windows.pad_w;
    Dtype* values = top + ph * windows.pooled_width;
    WindowOffset* where = offsets + ph * windows.pooled_width;
#pragma GCC ivdep  // no output is an input
    for (int pw = columns.begin; pw < columns.end; ++pw) {
      Max<Dtype> max;
      for (int kh = 0; kh < kKernel; ++kh) {
        for (int kw = 0; kw < kKernel; ++kw) {
          const int offset = kh * width + kw;
          max.Add(first[pw * kStride + offset], offset);
        }
      }
      values[pw] = max.value;
      where[pw] = static_cast<WindowOffset>(max.offset);
    }
  }

  HWY_INLINE void PoolAny(int ph, int pw, Range rows, Range columns) const {
    const int first = (ph * windows.stride_h - windows.pad_h) * windows.width +
                      pw * windows.stride_w - windows.pad_w;
    Max<Dtype> max;
    for (int h = rows.begin; h < rows.end; ++h) {
      for (int w = columns.begin; w < columns.end; ++w) {
        const int index = h * windows.width + w;
        max.Add(bottom[index], index - first);
      }
    }
    top[ph * windows.pooled_width + pw] = max.value;
    offsets[ph * windows.pooled_width + pw] =
        static_cast<WindowOffset>(max.offset);
  }
};

template <typename Dtype>
HWY_INLINE Dtype SumOf(const Dtype* x, int n) {
  Lanes<Dtype> lanes;
  lanes.Fill(0);
  int i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      lanes.of[lane] += x[i + lane];
    }
  }
  for (int lane = 0; i + lane < n; ++lane) {
    lanes.of[lane] += x[i + lane];
  }
  return lanes.Reduce(Sum());
}

/// Pools by the average, in the same way.
template <typename Dtype>
struct AveragePooling {
  const PoolingWindows& windows;
  const Dtype* bottom;
  Dtype* top;

  template <int kKernel, int kStride>
  HWY_INLINE void PoolInner(int ph, Range columns) const {
    const int width = windows.width;
    const Dtype* first =
        bottom + (ph * kStride - windows.pad_h) * width - windows.pad_w;
    Dtype* values = top + ph * windows.pooled_width;
#pragma GCC ivdep
    for (int pw = columns.begin; pw < columns.end; ++pw) {
      Dtype sum = 0;
      for (int kh = 0; kh < kKernel; ++kh) {
        for (int kw = 0; kw < kKernel; ++kw) {
          sum += first[pw * kStride + kh * width + kw];
        }
      }
      values[pw] = sum / (kKernel * kKernel);
    }
  }

  HWY_INLINE void PoolAny(int ph, int pw, Range rows, Range columns) const {
    const int width = windows.width;
    Dtype sum = 0;
    if (columns.begin == 0 && columns.end == width && rows.begin < rows.end) {
      sum = SumOf(bottom + rows.begin * width, (rows.end - rows.begin) * width);
    } else {
      for (int h = rows.begin; h < rows.end; ++h) {
        for (int w = columns.begin; w < columns.end; ++w) {
          sum += bottom[h * width + w];
        }
      }
    }
    top[ph * windows.pooled_width + pw] =
        sum / (Extent(ph, windows.kernel_h, windows.stride_h, windows.pad_h,
                      windows.height) *
               Extent(pw, windows.kernel_w, windows.stride_w, windows.pad_w,
                      windows.width));
  }
};

/// kKernel: 0 for windows of any size.
template <int kKernel, int kStride, typename Pooling>
void PoolWindows(const Pooling& pooling) {
  const PoolingWindows w = pooling.windows;
  Range inner_rows{0, 0}, inner_columns{0, 0};
  if (kKernel > 0) {
    inner_rows =
        Inner(w.pooled_height, w.kernel_h, w.stride_h, w.pad_h, w.height);
    inner_columns =
        Inner(w.pooled_width, w.kernel_w, w.stride_w, w.pad_w, w.width);
  }
  for (int ph = 0; ph < w.pooled_height; ++ph) {
    const Range rows = Covered(ph, w.kernel_h, w.stride_h, w.pad_h, w.height);
    const bool has_inner = inner_rows.begin <= ph && ph < inner_rows.end;
    for (int pw = 0; pw < w.pooled_width; ++pw) {
      if (has_inner && inner_columns.begin <= pw && pw < inner_columns.end) {
        if constexpr (kKernel > 0) {
          pooling.template PoolInner<kKernel, kStride>(ph, inner_columns);
        }
        pw = inner_columns.end - 1;
        continue;
      }
      pooling.PoolAny(ph, pw, rows,
                      Covered(pw, w.kernel_w, w.stride_w, w.pad_w, w.width));
    }
  }
}

HWY_INLINE bool Is(const PoolingWindows& w, int kernel, int stride) {
  return w.kernel_h == kernel && w.kernel_w == kernel && w.stride_h == stride &&
         w.stride_w == stride;
}

template <typename Pooling>
void PoolPlane(const Pooling& pooling) {
  if (Is(pooling.windows, 2, 2)) {
    PoolWindows<2, 2>(pooling);
  } else if (Is(pooling.windows, 3, 2)) {
    PoolWindows<3, 2>(pooling);
  } else if (Is(pooling.windows, 3, 1)) {
    PoolWindows<3, 1>(pooling);
  } else {
    PoolWindows<0, 0>(pooling);
  }
}

template <typename Dtype>
void MaxPool(const PoolingWindows& windows, const Dtype* bottom, Dtype* top,
             WindowOffset* offsets) {
  PoolPlane(MaxPooling<Dtype>{windows, bottom, top, offsets});
}

template <typename Dtype>
void AveragePool(const PoolingWindows& windows, const Dtype* bottom,
                 Dtype* top) {
  PoolPlane(AveragePooling<Dtype>{windows, bottom, top});
}

template <typename Dtype>
void MaxPoolBackward(const PoolingWindows& windows, const Dtype* top_diff,
                     const WindowOffset* offsets, Dtype* bottom_diff) {
  const PoolingWindows w = windows;
  std::fill(bottom_diff, bottom_diff + w.height * w.width, Dtype(0));
  for (int ph = 0; ph < w.pooled_height; ++ph) {
    const int row = (ph * w.stride_h - w.pad_h) * w.width - w.pad_w;
    for (int pw = 0; pw < w.pooled_width; ++pw) {
      const int i = ph * w.pooled_width + pw;
      if (offsets[i] != kNoMaximum) {
        bottom_diff[row + pw * w.stride_w + offsets[i]] += top_diff[i];
      }
    }
  }
}

template <typename Dtype>
void AveragePoolBackward(const PoolingWindows& windows, const Dtype* top_diff,
                         Dtype* scratch, Dtype* bottom_diff) {
  const PoolingWindows w = windows;
  Dtype* shares = scratch;                 // one a window
  Dtype* sums = scratch + w.pooled_width;  // one a column
  std::fill(bottom_diff, bottom_diff + w.height * w.width, Dtype(0));
  for (int ph = 0; ph < w.pooled_height; ++ph) {
    const int height = Extent(ph, w.kernel_h, w.stride_h, w.pad_h, w.height);
    for (int pw = 0; pw < w.pooled_width; ++pw) {
      const int width = Extent(pw, w.kernel_w, w.stride_w, w.pad_w, w.width);
      shares[pw] = top_diff[ph * w.pooled_width + pw] / (height * width);
    }
    std::fill(sums, sums + w.width, Dtype(0));
    for (int kw = 0; kw < w.kernel_w; ++kw) {
      // The windows whose column kw lies within the plane.
      const Range inner =
          Inner(w.pooled_width, 1, w.stride_w, w.pad_w - kw, w.width);
      for (int pw = inner.begin; pw < inner.end; ++pw) {
        sums[pw * w.stride_w + kw - w.pad_w] += shares[pw];
      }
    }
    const Range rows = Covered(ph, w.kernel_h, w.stride_h, w.pad_h, w.height);
    for (int h = rows.begin; h < rows.end; ++h) {
      Dtype* diff = bottom_diff + h * w.width;
#pragma GCC ivdep  // the sums are no part of the diff
      for (int i = 0; i < w.width; ++i) {
        diff[i] += sums[i];
      }
    }
  }
}

template <typename Dtype>
PoolingLoops<Dtype> MakeLoops() {
  return {&MaxPool<Dtype>, &MaxPoolBackward<Dtype>, &AveragePool<Dtype>,
          &AveragePoolBackward<Dtype>};
}

const EngineTable<PoolingLoops>& Table() {
  static const EngineTable<PoolingLoops> table{MakeLoops<float>(),
                                               MakeLoops<double>()};
  return table;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

HWY_EXPORT(Table);
UL2Q_DISPATCH(PoolingLoops);

}  // namespace ul2q
#endif

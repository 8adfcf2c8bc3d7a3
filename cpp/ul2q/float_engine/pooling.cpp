// MAX and AVE pooling, vectorised and on several threads. Of each maximum two
// bytes are kept for the backward pass, BVLC's keeps four. When testing, they
// are only looked for if there is a backward pass.

#include <algorithm>
#include <cfloat>
#include <cstdint>
#include <vector>

#include "caffe/layers/pooling_layer.hpp"
#include "ul2q/core/kernels/lanes.hpp"
#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/engine.hpp"
#include "ul2q/float_engine/parallel.hpp"

#ifndef UL2Q_FLOAT_ENGINE_POOLING_CPP_  // once, before the instruction sets
#define UL2Q_FLOAT_ENGINE_POOLING_CPP_
namespace ul2q {

/// The windows of a pooling layer over a plane of height × width elements.
struct PoolingWindows {
  int height, width;
  int pooled_height, pooled_width;
  int kernel_h, kernel_w;
  int stride_h, stride_w;
  int pad_h, pad_w;
};

/// Where a window's maximum lies: so many elements after the window's first
/// element, which padding may put before the plane.
using WindowOffset = std::uint16_t;

/// The offset of a window that has no number above -FLT_MAX.
constexpr WindowOffset kNoMaximum = UINT16_MAX;

/// Columns from the first window's first one, padding included, to the last
/// window's last one.
inline std::int64_t SpannedColumns(const PoolingWindows& w) {
  return std::int64_t{w.pooled_width - 1} * w.stride_w + w.kernel_w;
}

/// Elements that a forward pass needs of working memory: of each row of windows
/// what becomes of each column, the windows' extents, and room for vectors that
/// reach beyond the last row.
inline std::int64_t ScratchSize(const PoolingWindows& w) {
  constexpr std::int64_t kRoom = 256;
  return w.pooled_height * SpannedColumns(w) + w.pooled_width + kRoom;
}

/// The loops over one plane.
template <typename Dtype>
struct PoolingLoops {
  /// The first maximum of each window and where it lies. The last offset of a
  /// window must be below kNoMaximum.
  void (*max)(const PoolingWindows& windows, const Dtype* bottom, Dtype* top,
              WindowOffset* offsets);
  void (*max_backward)(const PoolingWindows& windows, const Dtype* top_diff,
                       const WindowOffset* offsets, Dtype* bottom_diff);
  /// The maxima alone. `scratch` has ScratchSize(windows) elements.
  void (*max_values)(const PoolingWindows& windows, const Dtype* bottom,
                     Dtype* scratch, Dtype* top);
  /// Padding counts as zeros, but not what lies beyond it. `scratch` is as
  /// above.
  void (*average)(const PoolingWindows& windows, const Dtype* bottom,
                  Dtype* scratch, Dtype* top);
  /// `scratch` has width + pooled_width elements.
  void (*average_backward)(const PoolingWindows& windows, const Dtype* top_diff,
                           Dtype* scratch, Dtype* bottom_diff);
};

}  // namespace ul2q
#endif

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/pooling.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

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

/// The maxima and where they lie.
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

/// Pools each window by its columns: what becomes of a column is the same for
/// the windows beside each other.
template <typename Operation, typename Dtype>
void PoolByColumns(const PoolingWindows& windows, const Dtype* bottom,
                   const Operation& operation, Dtype* scratch, Dtype* top) {
  const PoolingWindows w = windows;
  const hn::ScalableTag<Dtype> d;
  const std::int64_t lanes = hn::Lanes(d);
  const auto none = hn::Set(d, operation.None());
  const std::int64_t row_size = SpannedColumns(w);
  const std::int64_t columns =
      std::min<std::int64_t>(w.width, row_size - w.pad_w);
  // The results of columns first, then those of rows, so that no vector is read
  // that is just being written.
  for (int ph = 0; ph < w.pooled_height; ++ph) {
    const Range rows = Covered(ph, w.kernel_h, w.stride_h, w.pad_h, w.height);
    Dtype* of_columns = scratch + ph * row_size;
    std::fill_n(of_columns, w.pad_w, operation.None());
    of_columns += w.pad_w;
    std::fill(of_columns + columns, scratch + (ph + 1) * row_size,
              operation.None());
    std::int64_t i = 0;
    for (; i + lanes <= columns; i += lanes) {
      auto result = none;
      for (int h = rows.begin; h < rows.end; ++h) {
        result =
            operation.Add(d, result, hn::LoadU(d, bottom + h * w.width + i));
      }
      hn::StoreU(result, d, of_columns + i);
    }
    if constexpr (HWY_MAX_BYTES > 16) {  // which have masks
      const auto last = hn::FirstN(d, columns - i);
      auto result = none;
      for (int h = rows.begin; h < rows.end; ++h) {
        result = operation.Add(
            d, result, hn::MaskedLoad(last, d, bottom + h * w.width + i));
      }
      hn::BlendedStore(result, last, d, of_columns + i);
    } else {
      for (; i < columns; ++i) {
        Dtype result = operation.None();
        for (int h = rows.begin; h < rows.end; ++h) {
          result = operation.Add(result, bottom[h * w.width + i]);
        }
        of_columns[i] = result;
      }
    }
  }
  for (int ph = 0; ph < w.pooled_height; ++ph) {
    const Dtype* of_columns = scratch + ph * row_size;
    Dtype* out = top + std::int64_t{ph} * w.pooled_width;
    const auto of_row = operation.OfRow(ph);
    std::int64_t pw = 0;
    const auto window = [&](std::int64_t i) HWY_ATTR {
      auto result = none;
      if (w.stride_w == 1) {
        for (int kw = 0; kw < w.kernel_w; ++kw) {
          result = operation.Add(d, result, hn::LoadU(d, of_columns + i + kw));
        }
        return result;
      }
      for (int kw = 0; kw < w.kernel_w; kw += 2) {
        auto even = none, odd = none;
        hn::LoadInterleaved2(d, of_columns + 2 * i + kw, even, odd);
        result = operation.Add(d, result, even);
        if (kw + 1 < w.kernel_w) {
          result = operation.Add(d, result, odd);
        }
      }
      return result;
    };
    if (w.stride_w <= 2) {
      for (; pw + lanes <= w.pooled_width; pw += lanes) {
        hn::StoreU(of_row.Finish(d, window(pw), pw), d, out + pw);
      }
      if constexpr (HWY_MAX_BYTES > 16) {
        // Reads beyond the row, whose last results nobody gets.
        const auto last = hn::FirstN(d, w.pooled_width - pw);
        hn::BlendedStore(of_row.Finish(d, window(pw), pw), last, d, out + pw);
        continue;
      }
    }
    for (; pw < w.pooled_width; ++pw) {
      Dtype result = operation.None();
      for (int kw = 0; kw < w.kernel_w; ++kw) {
        result = operation.Add(result, of_columns[pw * w.stride_w + kw]);
      }
      out[pw] = of_row.Finish(result, pw);
    }
  }
}

/// The maximum; numbers that are none, and those not above -FLT_MAX, count as
/// that.
template <typename Dtype>
struct Maximum {
  HWY_INLINE Dtype None() const { return Dtype(-FLT_MAX); }
  HWY_INLINE Dtype Add(Dtype a, Dtype b) const { return b > a ? b : a; }
  template <class D, class V>
  HWY_INLINE V Add(D, V a, V b) const {
    return hn::IfThenElse(hn::Gt(b, a), b, a);
  }

  struct Row {
    template <class D, class V>
    HWY_INLINE V Finish(D, V value, std::int64_t) const {
      return value;
    }
    HWY_INLINE Dtype Finish(Dtype value, std::int64_t) const { return value; }
  };
  HWY_INLINE Row OfRow(int) const { return {}; }
};

/// The average.
template <typename Dtype>
struct Average {
  const PoolingWindows& windows;
  const Dtype* widths;  ///< of each window of a row

  HWY_INLINE Dtype None() const { return 0; }
  HWY_INLINE Dtype Add(Dtype a, Dtype b) const { return a + b; }
  template <class D, class V>
  HWY_INLINE V Add(D, V a, V b) const {
    return hn::Add(a, b);
  }

  struct Row {
    Dtype height;
    const Dtype* widths;

    template <class D, class V>
    HWY_INLINE V Finish(D d, V sum, std::int64_t pw) const {
      return hn::Div(sum,
                     hn::Mul(hn::Set(d, height), hn::LoadU(d, widths + pw)));
    }
    HWY_INLINE Dtype Finish(Dtype sum, std::int64_t pw) const {
      return sum / (height * widths[pw]);
    }
  };
  HWY_INLINE Row OfRow(int ph) const {
    const int height = Extent(ph, windows.kernel_h, windows.stride_h,
                              windows.pad_h, windows.height);
    return {static_cast<Dtype>(height), widths};
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

/// kKernel is 0 for windows of any size.
template <int kKernel, int kStride, typename Dtype>
void PoolWindows(const MaxPooling<Dtype>& pooling) {
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

template <typename Dtype>
void PoolPlane(const MaxPooling<Dtype>& pooling) {
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
void MaxValues(const PoolingWindows& windows, const Dtype* bottom,
               Dtype* scratch, Dtype* top) {
  PoolByColumns(windows, bottom, Maximum<Dtype>{}, scratch, top);
}

template <typename Dtype>
void AveragePool(const PoolingWindows& windows, const Dtype* bottom,
                 Dtype* scratch, Dtype* top) {
  const PoolingWindows w = windows;
  if (w.pooled_height == 1 && w.pooled_width == 1 && w.pad_h == 0 &&
      w.pad_w == 0 && w.kernel_w >= w.width) {
    const int rows = std::min(w.kernel_h, w.height);
    top[0] = SumOf(bottom, rows * w.width) / (rows * w.width);
    return;
  }
  Dtype* widths = scratch;
  for (int pw = 0; pw < w.pooled_width; ++pw) {
    widths[pw] = static_cast<Dtype>(
        Extent(pw, w.kernel_w, w.stride_w, w.pad_w, w.width));
  }
  PoolByColumns(windows, bottom, Average<Dtype>{windows, widths},
                scratch + w.pooled_width, top);
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
  return {&MaxPool<Dtype>, &MaxPoolBackward<Dtype>, &MaxValues<Dtype>,
          &AveragePool<Dtype>, &AveragePoolBackward<Dtype>};
}

UL2Q_LOOP_TABLE(PoolingLoops);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

UL2Q_EXPORT_LOOPS(PoolingLoops);

}  // namespace ul2q

namespace caffe {
namespace {

template <typename Dtype>
class FastPoolingLayer : public PoolingLayer<Dtype> {
 public:
  using PoolingLayer<Dtype>::PoolingLayer;

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override {
    PoolingLayer<Dtype>::Reshape(bottom, top);
    if (bottom[0]->shape() != bottom_shape_) {
      bottom_shape_ = bottom[0]->shape();
      offsets_.clear();  // they were of other windows
      is_to_find_offsets_ = false;
    }
  }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    if (!IsForLoops()) {
      PoolingLayer<Dtype>::Forward_cpu(bottom, top);
      return;
    }
    const ul2q::PoolingWindows windows = Windows();
    const auto& loops = ul2q::GetPoolingLoops<Dtype>();
    const std::int64_t planes = bottom[0]->count(0, 2);
    const std::int64_t bottom_size = bottom[0]->count(2);
    const std::int64_t top_size = top[0]->count(2);
    const Dtype* bottom_data = bottom[0]->cpu_data();
    Dtype* top_data = top[0]->mutable_cpu_data();
    if (IsMax() && (this->phase_ == TRAIN || top.size() > 1)) {
      offsets_.resize(top[0]->count());
      ul2q::ParallelFor(planes, bottom[0]->count(), [&](std::int64_t plane) {
        loops.max(windows, bottom_data + plane * bottom_size,
                  top_data + plane * top_size,
                  offsets_.data() + plane * top_size);
      });
      if (top.size() > 1) {
        WriteMask(windows, top[1]);
      }
    } else {
      const auto pool = IsMax() ? loops.max_values : loops.average;
      is_to_find_offsets_ = IsMax();
      scratch_.Resize(ul2q::ScratchSize(windows));
      ul2q::ParallelFor(planes, bottom[0]->count(), [&](std::int64_t plane) {
        pool(windows, bottom_data + plane * bottom_size, scratch_.OfThread(),
             top_data + plane * top_size);
      });
    }
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    if (!IsForLoops()) {
      PoolingLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
      return;
    }
    if (!propagate_down[0]) {
      return;
    }
    if (top.size() > 1) {
      MaxBackwardByMask(top, bottom[0]);
      return;
    }
    const ul2q::PoolingWindows windows = Windows();
    const auto& loops = ul2q::GetPoolingLoops<Dtype>();
    const std::int64_t planes = bottom[0]->count(0, 2);
    const std::int64_t bottom_size = bottom[0]->count(2);
    const std::int64_t top_size = top[0]->count(2);
    const Dtype* top_diff = top[0]->cpu_diff();
    Dtype* bottom_diff = bottom[0]->mutable_cpu_diff();
    if (IsMax()) {
      // Without a forward pass no maximum is known.
      offsets_.resize(top[0]->count(), ul2q::kNoMaximum);
      if (is_to_find_offsets_) {
        const Dtype* bottom_data = bottom[0]->cpu_data();
        scratch_.Resize(top_size);
        ul2q::ParallelFor(planes, bottom[0]->count(), [&](std::int64_t plane) {
          loops.max(windows, bottom_data + plane * bottom_size,
                    scratch_.OfThread(), offsets_.data() + plane * top_size);
        });
        is_to_find_offsets_ = false;
      }
      ul2q::ParallelFor(planes, bottom[0]->count(), [&](std::int64_t plane) {
        loops.max_backward(windows, top_diff + plane * top_size,
                           offsets_.data() + plane * top_size,
                           bottom_diff + plane * bottom_size);
      });
    } else {
      scratch_.Resize(windows.width + windows.pooled_width);
      ul2q::ParallelFor(planes, bottom[0]->count(), [&](std::int64_t plane) {
        loops.average_backward(windows, top_diff + plane * top_size,
                               scratch_.OfThread(),
                               bottom_diff + plane * bottom_size);
      });
    }
  }

 private:
  bool IsMax() const {
    return this->layer_param_.pooling_param().pool() == PoolingParameter::MAX;
  }

  /// Whether the loops above can, or BVLC's layer has to.
  bool IsForLoops() const {
    if (!IsMax()) {
      return this->layer_param_.pooling_param().pool() == PoolingParameter::AVE;
    }
    const std::int64_t last_offset =
        (this->kernel_h_ - 1) * std::int64_t{this->width_} + this->kernel_w_ -
        1;
    return last_offset < ul2q::kNoMaximum;
  }

  ul2q::PoolingWindows Windows() const {
    return {this->height_,       this->width_,    this->pooled_height_,
            this->pooled_width_, this->kernel_h_, this->kernel_w_,
            this->stride_h_,     this->stride_w_, this->pad_h_,
            this->pad_w_};
  }

  /// The second top: the index of each maximum within its plane, or -1.
  void WriteMask(const ul2q::PoolingWindows& windows, Blob<Dtype>* mask) const {
    Dtype* index = mask->mutable_cpu_data();
    const std::int64_t rows = mask->count(0, 3);
    ul2q::ParallelFor(rows, mask->count(), [&](std::int64_t row) {
      const int ph = row % windows.pooled_height;
      const int first_of_row =
          (ph * windows.stride_h - windows.pad_h) * windows.width -
          windows.pad_w;
      for (int pw = 0; pw < windows.pooled_width; ++pw) {
        const std::int64_t i = row * windows.pooled_width + pw;
        index[i] =
            offsets_[i] == ul2q::kNoMaximum
                ? Dtype(-1)
                : Dtype(first_of_row + pw * windows.stride_w + offsets_[i]);
      }
    });
  }

  void MaxBackwardByMask(const vector<Blob<Dtype>*>& top,
                         Blob<Dtype>* bottom) const {
    const std::int64_t bottom_size = bottom->count(2);
    const std::int64_t top_size = top[0]->count(2);
    const Dtype* top_diff = top[0]->cpu_diff();
    const Dtype* mask = top[1]->cpu_data();
    Dtype* bottom_diff = bottom->mutable_cpu_diff();
    ul2q::ParallelFor(
        bottom->count(0, 2), bottom->count(), [&](std::int64_t plane) {
          Dtype* diff = bottom_diff + plane * bottom_size;
          std::fill(diff, diff + bottom_size, Dtype(0));
          for (std::int64_t i = plane * top_size; i < (plane + 1) * top_size;
               ++i) {
            // Its values may come from elsewhere.
            if (mask[i] >= 0 && mask[i] < bottom_size) {
              diff[static_cast<std::int64_t>(mask[i])] += top_diff[i];
            }
          }
        });
  }

  vector<int> bottom_shape_;
  std::vector<ul2q::WindowOffset> offsets_;  ///< of the maxima, one a window
  /// Whether the last forward pass has left them out.
  bool is_to_find_offsets_ = false;
  ul2q::Scratch<Dtype> scratch_;
};

const FastLayer<FastPoolingLayer> registration("Pooling");

}  // namespace
}  // namespace caffe
#endif

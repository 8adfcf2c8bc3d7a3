// Convolutions plane by plane: each row of an output plane is a sum of rows of
// the input planes, shifted and scaled, which grows in registers.
//
// So that no shift reaches beyond a row, an input plane is copied with zeros
// around it, and with its columns in phases, those that a stride takes together
// side by side.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/parallel.hpp"
#include "ul2q/float_engine/plain_convolution.hpp"
#include "ul2q/float_engine/plane_loops.hpp"

#ifndef UL2Q_FLOAT_ENGINE_DIRECT_CONVOLUTION_CPP_  // once, before the sets
#define UL2Q_FLOAT_ENGINE_DIRECT_CONVOLUTION_CPP_
namespace ul2q {

/// `rows` rows of `n` elements, `step` elements apart.
struct Rows {
  std::int64_t rows, n, step;
};

/// Loops over the rows of a plane `out`. Row r of `in` begins r·in_step
/// elements behind its first one, and is read at `count` offsets.
template <typename Dtype>
struct DirectLoops {
  /// out[r, i] = Σ factors[t] · in[r·in_step + offsets[t] + i], added to what
  /// is there where `adds`.
  void (*combine)(const Dtype* in, std::int64_t in_step,
                  const std::int64_t* offsets, const Dtype* factors,
                  std::int64_t count, const Rows& rows, bool adds, Dtype* out);
  /// sums[t] = Σ out[r, i] · in[r·in_step + offsets[t] + i]
  void (*correlate)(const Dtype* in, std::int64_t in_step,
                    const std::int64_t* offsets, std::int64_t count,
                    const Rows& rows, const Dtype* out, Dtype* sums);
  /// out[r, i] = x[r·x_step + i·stride]
  void (*gather)(const Dtype* x, std::int64_t x_step, std::int64_t stride,
                 const Rows& rows, Dtype* out);
  /// y[r·y_step + i·stride] = in[r, i]
  void (*scatter)(const Dtype* in, const Rows& rows, std::int64_t stride,
                  std::int64_t y_step, Dtype* y);
  /// y[r·y_step + 2·i] = even[r, i], of rows.n elements a row, and between them
  /// `odd`, of as many or one less: together `width` elements.
  void (*interleave)(const Dtype* even, const Dtype* odd, const Rows& rows,
                     std::int64_t width, std::int64_t y_step, Dtype* y);
};

}  // namespace ul2q
#endif

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/direct_convolution.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// Whether a row's last elements are taken at once by a mask. Instruction sets
/// of short vectors emulate masks by reading beyond the row.
constexpr bool kHasMasks = HWY_MAX_BYTES > 16;

template <typename Dtype>
void Combine(const Dtype* in, std::int64_t in_step, const std::int64_t* offsets,
             const Dtype* factors, std::int64_t count, const Rows& rows,
             bool adds, Dtype* out) {
  const hn::ScalableTag<Dtype> d;
  const std::int64_t lanes = hn::Lanes(d);
  const std::int64_t n = rows.n;
  const auto last = hn::FirstN(d, n % lanes);
  for (std::int64_t row = 0; row < rows.rows;
       ++row, in += in_step, out += rows.step) {
    std::int64_t i = 0;
    for (; i + 4 * lanes <= n; i += 4 * lanes) {
      auto sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
      if (adds) {
        sum0 = hn::LoadU(d, out + i);
        sum1 = hn::LoadU(d, out + i + lanes);
        sum2 = hn::LoadU(d, out + i + 2 * lanes);
        sum3 = hn::LoadU(d, out + i + 3 * lanes);
      }
      for (std::int64_t t = 0; t < count; ++t) {
        const Dtype* x = in + offsets[t] + i;
        const auto factor = hn::Set(d, factors[t]);
        sum0 = hn::MulAdd(factor, hn::LoadU(d, x), sum0);
        sum1 = hn::MulAdd(factor, hn::LoadU(d, x + lanes), sum1);
        sum2 = hn::MulAdd(factor, hn::LoadU(d, x + 2 * lanes), sum2);
        sum3 = hn::MulAdd(factor, hn::LoadU(d, x + 3 * lanes), sum3);
      }
      hn::StoreU(sum0, d, out + i);
      hn::StoreU(sum1, d, out + i + lanes);
      hn::StoreU(sum2, d, out + i + 2 * lanes);
      hn::StoreU(sum3, d, out + i + 3 * lanes);
    }
    for (; i + lanes <= n; i += lanes) {
      auto sum = adds ? hn::LoadU(d, out + i) : hn::Zero(d);
      for (std::int64_t t = 0; t < count; ++t) {
        sum = hn::MulAdd(hn::Set(d, factors[t]),
                         hn::LoadU(d, in + offsets[t] + i), sum);
      }
      hn::StoreU(sum, d, out + i);
    }
    if (i == n) {
      continue;
    }
    if constexpr (kHasMasks) {
      auto sum = adds ? hn::MaskedLoad(last, d, out + i) : hn::Zero(d);
      for (std::int64_t t = 0; t < count; ++t) {
        sum = hn::MulAdd(hn::Set(d, factors[t]),
                         hn::MaskedLoad(last, d, in + offsets[t] + i), sum);
      }
      hn::BlendedStore(sum, last, d, out + i);
    } else {
      for (; i < n; ++i) {
        Dtype sum = adds ? out[i] : 0;
        for (std::int64_t t = 0; t < count; ++t) {
          sum += factors[t] * in[offsets[t] + i];
        }
        out[i] = sum;
      }
    }
  }
}

/// Of up to four offsets.
template <int kCount, typename Dtype>
void CorrelateSome(const Dtype* in, std::int64_t in_step,
                   const std::int64_t* offsets, const Rows& rows,
                   const Dtype* out, Dtype* sums) {
  const hn::ScalableTag<Dtype> d;
  const std::int64_t lanes = hn::Lanes(d);
  const std::int64_t n = rows.n;
  const auto last = hn::FirstN(d, n % lanes);
  const Dtype* in0 = in + offsets[0];
  const Dtype* in1 = in + offsets[kCount > 1 ? 1 : 0];
  const Dtype* in2 = in + offsets[kCount > 2 ? 2 : 0];
  const Dtype* in3 = in + offsets[kCount > 3 ? 3 : 0];
  auto sum0 = hn::Zero(d), sum1 = sum0, sum2 = sum0, sum3 = sum0;
  Dtype rest[4] = {};
  const auto add = [&](const auto& y, const auto& load) HWY_ATTR {
    sum0 = hn::MulAdd(y, load(in0), sum0);
    if constexpr (kCount > 1) {
      sum1 = hn::MulAdd(y, load(in1), sum1);
    }
    if constexpr (kCount > 2) {
      sum2 = hn::MulAdd(y, load(in2), sum2);
    }
    if constexpr (kCount > 3) {
      sum3 = hn::MulAdd(y, load(in3), sum3);
    }
  };
  for (std::int64_t row = 0; row < rows.rows; ++row) {
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
      add(hn::LoadU(d, out + i),
          [&](const Dtype* x) HWY_ATTR { return hn::LoadU(d, x + i); });
    }
    if (i < n) {
      if constexpr (kHasMasks) {
        add(hn::MaskedLoad(last, d, out + i), [&](const Dtype* x) HWY_ATTR {
          return hn::MaskedLoad(last, d, x + i);
        });
      } else {
        for (; i < n; ++i) {
          rest[0] += out[i] * in0[i];
          rest[1] += out[i] * in1[i];
          rest[2] += out[i] * in2[i];
          rest[3] += out[i] * in3[i];
        }
      }
    }
    out += rows.step;
    in0 += in_step;
    in1 += in_step;
    in2 += in_step;
    in3 += in_step;
  }
  sums[0] = rest[0] + hn::GetLane(hn::SumOfLanes(d, sum0));
  if constexpr (kCount > 1) {
    sums[1] = rest[1] + hn::GetLane(hn::SumOfLanes(d, sum1));
  }
  if constexpr (kCount > 2) {
    sums[2] = rest[2] + hn::GetLane(hn::SumOfLanes(d, sum2));
  }
  if constexpr (kCount > 3) {
    sums[3] = rest[3] + hn::GetLane(hn::SumOfLanes(d, sum3));
  }
}

template <typename Dtype>
void Correlate(const Dtype* in, std::int64_t in_step,
               const std::int64_t* offsets, std::int64_t count,
               const Rows& rows, const Dtype* out, Dtype* sums) {
  std::int64_t t = 0;
  for (; t + 4 <= count; t += 4) {
    CorrelateSome<4>(in, in_step, offsets + t, rows, out, sums + t);
  }
  for (; t + 2 <= count; t += 2) {
    CorrelateSome<2>(in, in_step, offsets + t, rows, out, sums + t);
  }
  if (t < count) {
    CorrelateSome<1>(in, in_step, offsets + t, rows, out, sums + t);
  }
}

template <typename Dtype>
void CopyRows(const Dtype* x, std::int64_t x_step, const Rows& rows,
              Dtype* out) {
  const hn::ScalableTag<Dtype> d;
  const std::int64_t lanes = hn::Lanes(d);
  const std::int64_t n = rows.n;
  const auto last = hn::FirstN(d, n % lanes);
  for (std::int64_t row = 0; row < rows.rows;
       ++row, x += x_step, out += rows.step) {
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
      hn::StoreU(hn::LoadU(d, x + i), d, out + i);
    }
    if constexpr (kHasMasks) {
      hn::BlendedStore(hn::MaskedLoad(last, d, x + i), last, d, out + i);
    } else {
      for (; i < n; ++i) {
        out[i] = x[i];
      }
    }
  }
}

template <typename Dtype>
void Gather(const Dtype* x, std::int64_t x_step, std::int64_t stride,
            const Rows& rows, Dtype* out) {
  if (stride == 1) {
    CopyRows(x, x_step, rows, out);
    return;
  }
  for (std::int64_t row = 0; row < rows.rows;
       ++row, x += x_step, out += rows.step) {
    if (stride == 2) {
#pragma GCC ivdep
      for (std::int64_t i = 0; i < rows.n; ++i) {
        out[i] = x[2 * i];
      }
    } else {
      for (std::int64_t i = 0; i < rows.n; ++i) {
        out[i] = x[i * stride];
      }
    }
  }
}

template <typename Dtype>
void Scatter(const Dtype* in, const Rows& rows, std::int64_t stride,
             std::int64_t y_step, Dtype* y) {
  for (std::int64_t row = 0; row < rows.rows;
       ++row, in += rows.step, y += y_step) {
    for (std::int64_t i = 0; i < rows.n; ++i) {
      y[i * stride] = in[i];
    }
  }
}

template <typename Dtype>
void Interleave(const Dtype* even, const Dtype* odd, const Rows& rows,
                std::int64_t width, std::int64_t y_step, Dtype* y) {
  const hn::ScalableTag<Dtype> d;
  const std::int64_t lanes = hn::Lanes(d);
  const std::int64_t pairs = width / 2;
  for (std::int64_t row = 0; row < rows.rows;
       ++row, even += rows.step, odd += rows.step, y += y_step) {
    std::int64_t i = 0;
    for (; i + lanes <= pairs; i += lanes) {
      hn::StoreInterleaved2(hn::LoadU(d, even + i), hn::LoadU(d, odd + i), d,
                            y + 2 * i);
    }
    for (; i < pairs; ++i) {
      y[2 * i] = even[i];
      y[2 * i + 1] = odd[i];
    }
    if (width % 2 != 0) {
      y[2 * i] = even[i];
    }
  }
}

template <typename Dtype>
DirectLoops<Dtype> MakeLoops() {
  return {&Combine<Dtype>, &Correlate<Dtype>, &Gather<Dtype>, &Scatter<Dtype>,
          &Interleave<Dtype>};
}

UL2Q_LOOP_TABLE(DirectLoops);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

UL2Q_EXPORT_LOOPS(DirectLoops);

namespace {

/// Elements of the input planes that are combined at a time: they stay in the
/// L1 cache.
constexpr std::int64_t kElementsAtOnce = 1 << 13;

/// Planes that are combined at a time where they need no copy.
constexpr std::int64_t kUncopiedAtOnce = 16;

/// Where along one axis a tap is read for output `residue`, the first one of
/// those that have it in common.
struct TapPosition {
  std::int64_t tap, begin;
};

/// The outputs residue, residue + period, … of one axis, `count` of them: the
/// i-th one is made of the inputs begin + i·step of its taps.
struct AxisPart {
  std::int64_t residue, count;
  std::vector<TapPosition> taps;
};

/// One axis of a pass.
struct Axis {
  std::int64_t size;  ///< of the input
  std::int64_t step;  ///< of the input for a step of an output
  std::vector<AxisPart> parts;

  /// Where the first and the last input that is read lie, either may be beyond
  /// it; 0 and -1 if there is none.
  std::int64_t first = 0, last = -1;

  void FindEnds() {
    bool is_empty = true;
    for (const AxisPart& part : parts) {
      for (const auto& [tap, begin] : part.taps) {
        const std::int64_t end = begin + (part.count - 1) * step;
        first = is_empty ? begin : std::min(first, begin);
        last = is_empty ? end : std::max(last, end);
        is_empty = false;
      }
    }
  }

  /// Adds a tap unless it only meets what is beyond the input.
  void AddTap(std::int64_t tap, std::int64_t begin, AxisPart* part) const {
    const std::int64_t end = begin + (part->count - 1) * step;
    const std::int64_t first_inside =
        begin < 0 ? begin + (step - 1 - begin) / step * step : begin;
    if (first_inside < size && first_inside <= end) {
      part->taps.push_back({tap, begin});
    }
  }
};

Axis ProjectAxis(const ConvolutionGeometry& g, int axis) {
  Axis result = {g.field[axis], g.stride[axis], {{0, g.map[axis], {}}}};
  for (std::int64_t tap = 0; tap < g.kernel[axis]; ++tap) {
    result.AddTap(tap, tap * g.dilation[axis] - g.pad[axis], &result.parts[0]);
  }
  result.FindEnds();
  return result;
}

Axis SpreadAxis(const ConvolutionGeometry& g, int axis) {
  const std::int64_t stride = g.stride[axis];
  Axis result = {g.map[axis], 1, {}};
  for (std::int64_t i = 0; i < std::min(stride, g.field[axis]); ++i) {
    AxisPart part = {i, (g.field[axis] - i + stride - 1) / stride, {}};
    for (std::int64_t tap = 0; tap < g.kernel[axis]; ++tap) {
      const std::int64_t at = i + g.pad[axis] - tap * g.dilation[axis];
      if (at % stride == 0) {
        result.AddTap(tap, at / stride, &part);
      }
    }
    result.parts.push_back(part);
  }
  result.FindEnds();
  return result;
}

/// How the planes of an input are read for those of an output.
class PlanePass {
 public:
  /// Rows and columns of the output that have their taps in common.
  struct Part {
    std::int64_t row, column;  ///< the first ones
    std::int64_t rows, n;
    std::vector<std::int64_t> taps, offsets;  ///< in the kernel, in the input
  };

  PlanePass(const Axis& y, const Axis& x, std::int64_t kernel_width)
      : y_(y), x_(x) {
    is_copied_ = x.step > 1 || y.first < 0 || y.last >= y.size || x.first < 0 ||
                 x.last >= x.size;
    FindPhases();
    row_size_ = is_copied_ ? phase_width_ * Count(phases_) : x.size;
    size_ = is_copied_ ? (y.last - y.first + 1) * row_size_ : y.size * x.size;
    for (const AxisPart& of_y : y.parts) {
      for (const AxisPart& of_x : x.parts) {
        Part part = {of_y.residue, of_x.residue, of_y.count,
                     of_x.count,   {},           {}};
        for (const TapPosition& ty : of_y.taps) {
          for (const TapPosition& tx : of_x.taps) {
            part.taps.push_back(ty.tap * kernel_width + tx.tap);
            part.offsets.push_back(Offset(ty.begin, tx.begin));
          }
        }
        has_gaps_ = has_gaps_ || part.taps.empty();
        parts_.push_back(std::move(part));
      }
    }
  }

  const std::vector<Part>& parts() const { return parts_; }
  /// Whether some of them have no taps.
  bool has_gaps() const { return has_gaps_; }
  /// Elements of a plane as it is read, and from the inputs of an output row to
  /// those of the next one.
  std::int64_t size() const { return size_; }
  std::int64_t in_step() const { return y_.step * row_size_; }
  bool is_copied() const { return is_copied_; }

  /// Copies a plane to where it is read; what lies around it has to be 0.
  void Copy(const DirectLoops<float>& loops, const float* plane,
            float* memory) const {
    const std::int64_t row = std::max<std::int64_t>(y_.first, 0);
    const std::int64_t rows = std::min(y_.last + 1, y_.size) - row;
    float* out = memory + (row - y_.first) * row_size_;
    for (const std::int64_t phase : phases_) {
      const std::int64_t first = x_.first + phase;
      const std::int64_t begin =
          first < 0 ? (x_.step - 1 - first) / x_.step : 0;
      const std::int64_t column = first + begin * x_.step;
      const std::int64_t inside =
          column < x_.size ? (x_.size - 1 - column) / x_.step + 1 : 0;
      const std::int64_t n = std::min(inside, phase_width_ - begin);
      if (n > 0) {
        loops.gather(plane + row * x_.size + column, x_.size, x_.step,
                     {rows, n, row_size_}, out + begin);
      }
      out += phase_width_;
    }
  }

 private:
  template <typename Values>
  static std::int64_t Count(const Values& values) {
    return static_cast<std::int64_t>(values.size());
  }

  void FindPhases() {
    for (const AxisPart& part : x_.parts) {
      for (const auto& [tap, begin] : part.taps) {
        const std::int64_t at = begin - x_.first;
        const std::int64_t phase = at % x_.step;
        if (std::find(phases_.begin(), phases_.end(), phase) == phases_.end()) {
          phases_.push_back(phase);
        }
        phase_width_ = std::max(phase_width_, part.count + at / x_.step);
      }
    }
  }

  std::int64_t Offset(std::int64_t y, std::int64_t x) const {
    if (!is_copied_) {
      return y * row_size_ + x;
    }
    const std::int64_t at = x - x_.first;
    const std::int64_t phase =
        std::find(phases_.begin(), phases_.end(), at % x_.step) -
        phases_.begin();
    return (y - y_.first) * row_size_ + phase * phase_width_ + at / x_.step;
  }

  const Axis y_, x_;
  bool is_copied_;
  std::vector<std::int64_t> phases_;  ///< of a copied row, in their order
  std::int64_t phase_width_ = 0;
  std::int64_t row_size_, size_;
  std::vector<Part> parts_;
  bool has_gaps_ = false;
};

class DirectConvolution : public PlainConvolution {
 public:
  explicit DirectConvolution(const ConvolutionGeometry& geometry)
      : g_(Flat(geometry)),
        project_(ProjectAxis(g_, 0), ProjectAxis(g_, 1), g_.kernel[1]),
        spread_(SpreadAxis(g_, 0), SpreadAxis(g_, 1), g_.kernel[1]),
        fields_at_once_(AtOnce(project_, Fields())),
        maps_at_once_(AtOnce(spread_, Maps())),
        loops_(GetDirectLoops<float>()),
        finish_(GetPlaneLoops<float>().finish) {}

  void Project(const float* field, const float* weights,
               const PassEnding& ending, float* map) const override {
    const PlanePass::Part& part = project_.parts()[0];
    const std::vector<std::int64_t> offsets =
        OffsetsOf(part, project_.size(), fields_at_once_);
    ForEachImageAndGroup(
        [&](std::int64_t image, std::int64_t group, float* memory) {
          float* factors = memory + fields_at_once_ * project_.size();
          for (std::int64_t c = 0; c < Fields(); c += fields_at_once_) {
            const std::int64_t some = std::min(fields_at_once_, Fields() - c);
            const float* in =
                Read(project_, FieldOf(field, image, group, c), some, memory);
            for (std::int64_t m = 0; m < Maps(); ++m) {
              const float* kernel = KernelOf(weights, group, m, c);
              CopyFactors(part, kernel, g_.taps(), some, factors);
              loops_.combine(in, project_.in_step(), offsets.data(), factors,
                             some * Taps(part), {part.rows, part.n, part.n},
                             c > 0, MapOf(map, image, group, m));
            }
          }
          for (std::int64_t m = 0; m < Maps(); ++m) {
            Finish(ending, group * Maps() + m, g_.map_pixels(),
                   MapOf(map, image, group, m));
          }
        });
  }

  void Spread(const float* map, const float* weights, const PassEnding& ending,
              float* field) const override {
    std::vector<std::vector<std::int64_t>> offsets;
    for (const PlanePass::Part& part : spread_.parts()) {
      offsets.push_back(OffsetsOf(part, spread_.size(), maps_at_once_));
    }
    ForEachImageAndGroup(
        [&](std::int64_t image, std::int64_t group, float* memory) {
          for (std::int64_t m = 0; m < Maps(); m += maps_at_once_) {
            const std::int64_t some = std::min(maps_at_once_, Maps() - m);
            const float* in =
                Read(spread_, MapOf(map, image, group, m), some, memory);
            for (std::int64_t c = 0; c < Fields(); ++c) {
              float* plane = FieldOf(field, image, group, c);
              const float* kernel = KernelOf(weights, group, m, c);
              float* sums = memory + maps_at_once_ * spread_.size();
              if (m == 0 && HasPairs()) {
                SpreadPairs(offsets, in, kernel, some, sums, plane);
                continue;
              }
              if (m == 0 && spread_.has_gaps()) {
                std::fill_n(plane, g_.field_pixels(), 0.0f);
              }
              for (std::size_t i = 0; i < offsets.size(); ++i) {
                if (!offsets[i].empty()) {
                  SpreadPart(spread_.parts()[i], offsets[i], in, kernel, some,
                             m > 0, sums, plane);
                }
              }
            }
          }
          for (std::int64_t c = 0; c < Fields(); ++c) {
            Finish(ending, group * Fields() + c, g_.field_pixels(),
                   FieldOf(field, image, group, c));
          }
        });
  }

  void AddGradient(const float* field, const float* map,
                   float* weights_diff) const override {
    const PlanePass::Part& part = project_.parts()[0];
    const std::vector<std::int64_t> offsets =
        OffsetsOf(part, project_.size(), fields_at_once_);
    Scratch<float> scratch;
    scratch.Resize(ScratchSize());
    ParallelFor(g_.group, Work(), [&](std::int64_t group) {
      float* memory = scratch.OfThread();
      float* sums = memory + fields_at_once_ * project_.size();
      for (std::int64_t image = 0; image < g_.images; ++image) {
        for (std::int64_t c = 0; c < Fields(); c += fields_at_once_) {
          const std::int64_t some = std::min(fields_at_once_, Fields() - c);
          const float* in =
              Read(project_, FieldOf(field, image, group, c), some, memory);
          for (std::int64_t m = 0; m < Maps(); ++m) {
            loops_.correlate(in, project_.in_step(), offsets.data(),
                             some * Taps(part), {part.rows, part.n, part.n},
                             MapOf(map, image, group, m), sums);
            float* diff = KernelOf(weights_diff, group, m, c);
            for (std::int64_t i = 0; i < some * Taps(part); ++i) {
              diff[i / Taps(part) * g_.taps() + part.taps[i % Taps(part)]] +=
                  sums[i];
            }
          }
        }
      }
    });
  }

 private:
  using Part = PlanePass::Part;

  /// Planes of one row, if all pixels meet in their order.
  static ConvolutionGeometry Flat(ConvolutionGeometry g) {
    using Pair = ConvolutionGeometry::Pair;
    if (g.taps() == 1 && g.stride == Pair{1, 1} && g.pad == Pair{0, 0}) {
      g.field = {1, g.field_pixels()};
      g.map = {1, g.map_pixels()};
    }
    return g;
  }

  static std::int64_t AtOnce(const PlanePass& pass, std::int64_t planes) {
    const std::int64_t most =
        pass.is_copied()
            ? kElementsAtOnce / std::max<std::int64_t>(pass.size(), 1)
            : kUncopiedAtOnce;
    return std::clamp<std::int64_t>(most, 1, planes);
  }

  static std::int64_t Taps(const Part& part) {
    return static_cast<std::int64_t>(part.taps.size());
  }

  std::int64_t Fields() const { return g_.field_channels / g_.group; }
  std::int64_t Maps() const { return g_.map_channels / g_.group; }
  std::int64_t Work() const {
    return g_.images * g_.map_size() * Fields() * g_.taps() / 8;
  }
  /// Planes as they are read, factors or sums of their taps, and two parts of
  /// the field.
  std::int64_t ScratchSize() const {
    const std::int64_t project =
        fields_at_once_ * (project_.size() + g_.taps());
    const std::int64_t spread =
        maps_at_once_ * (spread_.size() + g_.taps()) + 2 * g_.field_pixels();
    return std::max(project, spread);
  }

  // A plane of a group, and the kernel between two.
  template <typename Float>
  Float* MapOf(Float* map, std::int64_t image, std::int64_t group,
               std::int64_t m) const {
    return map + ((image * g_.group + group) * Maps() + m) * g_.map_pixels();
  }
  template <typename Float>
  Float* FieldOf(Float* field, std::int64_t image, std::int64_t group,
                 std::int64_t c) const {
    return field +
           ((image * g_.group + group) * Fields() + c) * g_.field_pixels();
  }
  template <typename Float>
  Float* KernelOf(Float* weights, std::int64_t group, std::int64_t m,
                  std::int64_t c) const {
    return weights + ((group * Maps() + m) * Fields() + c) * g_.taps();
  }

  template <typename Body>
  void ForEachImageAndGroup(const Body& body) const {
    Scratch<float> scratch;
    scratch.Resize(ScratchSize());
    ParallelFor(g_.images * g_.group, Work(), [&](std::int64_t i) {
      body(i / g_.group, i % g_.group, scratch.OfThread());
    });
  }

  /// Neighbouring planes as they are read.
  const float* Read(const PlanePass& pass, const float* planes,
                    std::int64_t count, float* memory) const {
    if (!pass.is_copied()) {
      return planes;
    }
    const std::int64_t pixels =
        &pass == &project_ ? g_.field_pixels() : g_.map_pixels();
    for (std::int64_t i = 0; i < count; ++i) {
      pass.Copy(loops_, planes + i * pixels, memory + i * pass.size());
    }
    return memory;
  }

  /// A part's offsets in each of some planes.
  static std::vector<std::int64_t> OffsetsOf(const Part& part,
                                             std::int64_t plane_size,
                                             std::int64_t planes) {
    std::vector<std::int64_t> offsets;
    for (std::int64_t i = 0; i < planes; ++i) {
      for (const std::int64_t offset : part.offsets) {
        offsets.push_back(i * plane_size + offset);
      }
    }
    return offsets;
  }

  /// The factors that belong to them, of kernels `step` elements apart.
  static void CopyFactors(const Part& part, const float* kernels,
                          std::int64_t step, std::int64_t planes,
                          float* factors) {
    for (std::int64_t i = 0; i < planes; ++i) {
      for (const std::int64_t tap : part.taps) {
        *factors++ = kernels[i * step + tap];
      }
    }
  }

  /// What a part of a plane of the field gets from some maps; `factors` is
  /// memory for those.
  void CombinePart(const Part& part, const std::vector<std::int64_t>& offsets,
                   const float* in, const float* kernels, std::int64_t maps,
                   float* factors, const Rows& rows, bool adds,
                   float* out) const {
    CopyFactors(part, kernels, Fields() * g_.taps(), maps, factors);
    loops_.combine(in, spread_.in_step(), offsets.data(), factors,
                   maps * Taps(part), rows, adds, out);
  }

  /// A part of a plane; `memory` has room for the factors and for what goes to
  /// every stride-th column.
  void SpreadPart(const Part& part, const std::vector<std::int64_t>& offsets,
                  const float* in, const float* kernels, std::int64_t maps,
                  bool adds, float* memory, float* plane) const {
    const auto [stride_y, stride_x] = g_.stride;
    const std::int64_t step = stride_y * g_.field[1];
    float* out = plane + part.row * g_.field[1] + part.column;
    if (stride_x == 1) {
      CombinePart(part, offsets, in, kernels, maps, memory,
                  {part.rows, part.n, step}, adds, out);
      return;
    }
    float* sums = memory + maps_at_once_ * g_.taps();
    const Rows rows = {part.rows, part.n, part.n};
    if (adds) {
      loops_.gather(out, step, stride_x, rows, sums);
    }
    CombinePart(part, offsets, in, kernels, maps, memory, rows, adds, sums);
    loops_.scatter(sums, rows, stride_x, step, out);
  }

  /// Whether a row of the field is one part's and another one's in turn.
  bool HasPairs() const { return g_.stride[1] == 2 && g_.field[1] > 1; }

  /// All parts of a plane where that is so.
  void SpreadPairs(const std::vector<std::vector<std::int64_t>>& offsets,
                   const float* in, const float* kernels, std::int64_t maps,
                   float* memory, float* plane) const {
    const std::int64_t width = g_.field[1];
    for (std::size_t i = 0; i < offsets.size(); i += 2) {
      const Part& part = spread_.parts()[i];
      const Rows rows = {part.rows, part.n, part.n};
      float* even = memory + maps_at_once_ * g_.taps();
      float* odd = even + part.rows * part.n;
      CombinePart(part, offsets[i], in, kernels, maps, memory, rows, false,
                  even);
      CombinePart(spread_.parts()[i + 1], offsets[i + 1], in, kernels, maps,
                  memory, {part.rows, width / 2, part.n}, false, odd);
      loops_.interleave(even, odd, rows, width, g_.stride[0] * width,
                        plane + part.row * width);
    }
  }

  /// The end of a pass for one channel.
  void Finish(const PassEnding& ending, std::int64_t channel,
              std::int64_t pixels, float* plane) const {
    if (!ending.is_nothing()) {
      finish_(plane, pixels, ending.bias_of(channel), ending.slope, plane);
    }
  }

  const ConvolutionGeometry g_;
  const PlanePass project_, spread_;
  const std::int64_t fields_at_once_, maps_at_once_;
  const DirectLoops<float>& loops_;
  decltype(PlaneLoops<float>::finish) const finish_;
};

}  // namespace

std::unique_ptr<PlainConvolution> MakeDirectConvolution(
    const ConvolutionGeometry& geometry) {
  return std::make_unique<DirectConvolution>(geometry);
}

}  // namespace ul2q
#endif

#include "ul2q/float_engine/channel_loops.hpp"

#include <hwy/cache_control.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>

#include "ul2q/core/kernels/lanes.hpp"
#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/relu.hpp"

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/channel_loops.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ul2q/core/kernels/load_double-inl.hpp"  // after highway.h

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// Planes of so many elements are gone through one by one. In a row of smaller
/// ones each element, a column, has its own copy of its channel's numbers, so
/// that a vector may take several planes.
constexpr std::int64_t kMinPlane = kLanes;

/// Elements that are done while those of the next row are fetched.
constexpr std::int64_t kStep = 256;

/// A number of each channel of a block, or the same for all.
template <typename Dtype>
struct Number {
  const Dtype* of_channel;
  Dtype otherwise;

  HWY_INLINE Dtype Of(std::int64_t channel) const {
    return of_channel == nullptr ? otherwise : of_channel[channel];
  }
};

/// A plane's number, read as if each element had one.
template <typename Dtype>
struct Same {
  Dtype value;

  HWY_INLINE Dtype operator[](std::int64_t) const { return value; }
};

/// Neighbouring elements of a block.
struct Step {
  std::int64_t begin, n;
  std::int64_t next;  ///< begin of what to fetch meanwhile
  /// Where its sums are: of its columns, or of its plane's lanes.
  std::int64_t sums;
};

/// Calls body(step, numbers) for each step of a block: its i-th element has
/// the k-th number numbers[k][i].
template <typename Dtype, std::size_t kCount, typename Body>
HWY_INLINE void ForEachStep(const ChannelBlock& block,
                            const std::array<Number<Dtype>, kCount>& numbers,
                            const Body& body) {
  const std::int64_t width = block.channels * block.inner;
  const bool has_planes = block.inner >= kMinPlane;
  alignas(64) Dtype columns[kCount][kBlockRow];
  if (!has_planes) {
    for (std::size_t k = 0; k < kCount; ++k) {
      Dtype* column = columns[k];
      for (std::int64_t channel = 0; channel < block.channels; ++channel) {
        column = std::fill_n(column, block.inner, numbers[k].Of(channel));
      }
    }
  }
  for (std::int64_t row = 0; row < block.rows; ++row) {
    const std::int64_t begin = row * block.stride;
    const std::int64_t next =
        row + 1 < block.rows ? begin + block.stride : begin;
    if (!has_planes) {
      for (std::int64_t i = 0; i < width; i += kStep) {
        std::array<const Dtype*, kCount> of_columns;
        for (std::size_t k = 0; k < kCount; ++k) {
          of_columns[k] = columns[k] + i;
        }
        body(Step{begin + i, std::min(kStep, width - i), next + i, i},
             of_columns);
      }
      continue;
    }
    for (std::int64_t channel = 0; channel < block.channels; ++channel) {
      std::array<Same<Dtype>, kCount> of_plane;
      for (std::size_t k = 0; k < kCount; ++k) {
        of_plane[k] = {numbers[k].Of(channel)};
      }
      const std::int64_t plane = channel * block.inner;
      for (std::int64_t i = 0; i < block.inner; i += kStep) {
        body(Step{begin + plane + i, std::min(kStep, block.inner - i),
                  next + plane + i, channel * kLanes},
             of_plane);
      }
    }
  }
}

template <typename Dtype>
HWY_INLINE void Prefetch(const Dtype* values, std::int64_t n) {
  constexpr std::int64_t kLine = 64 / sizeof(Dtype);
  for (std::int64_t i = 0; i < n; i += kLine) {
    hwy::Prefetch(values + i);
  }
}

/// x - origin and its square
template <typename Dtype, typename Origin>
struct Moments {
  const Dtype* x;
  Origin origin;

  HWY_INLINE void Add(std::int64_t i, double* first, double* second) const {
    const double deviation = static_cast<double>(x[i]) - origin[i];
    *first += deviation;
    *second += deviation * deviation;
  }

  template <class D, class V>
  HWY_INLINE void Add(D d, std::int64_t i, V* first, V* second) const {
    const V deviation = hn::Sub(LoadDouble(d, x + i), hn::Set(d, origin[i]));
    *first = hn::Add(*first, deviation);
    *second = hn::Add(*second, hn::Mul(deviation, deviation));
  }
};

/// dy and dy·(x - origin)
template <typename Dtype, typename Origin>
struct Products {
  const Dtype* dy;
  const Dtype* x;
  Origin origin;

  HWY_INLINE void Add(std::int64_t i, double* first, double* second) const {
    *first += dy[i];
    *second += dy[i] * (static_cast<double>(x[i]) - origin[i]);
  }

  template <class D, class V>
  HWY_INLINE void Add(D d, std::int64_t i, V* first, V* second) const {
    const V g = LoadDouble(d, dy + i);
    const V deviation = hn::Sub(LoadDouble(d, x + i), hn::Set(d, origin[i]));
    *first = hn::Add(*first, g);
    *second = hn::Add(*second, hn::Mul(g, deviation));
  }
};

/// The sums of a block as they grow, of each column or of each plane's lanes.
class SumsOfBlock {
 public:
  explicit SumsOfBlock(const ChannelBlock& block)
      : channels_(block.channels),
        width_(block.inner < kMinPlane ? block.inner : kLanes) {
    std::fill(first_, first_ + channels_ * width_, 0.0);
    std::fill(second_, second_ + channels_ * width_, 0.0);
  }

  template <template <typename, typename> class Terms, typename Dtype>
  HWY_INLINE void Add(const Terms<Dtype, const Dtype*>& terms,
                      const Step& step) {
    double* first = first_ + step.sums;
    double* second = second_ + step.sums;
#pragma GCC ivdep  // the sums are no part of the terms
    for (std::int64_t i = 0; i < step.n; ++i) {
      terms.Add(i, first + i, second + i);
    }
  }

  template <template <typename, typename> class Terms, typename Dtype>
  HWY_INLINE void Add(const Terms<Dtype, Same<Dtype>>& terms,
                      const Step& step) {
    // Two vectors side by side hide the latency of the additions.
    const hn::CappedTag<double, kLanes / 2> d;
    const std::int64_t size = hn::Lanes(d);
    const std::int64_t end = step.n - step.n % kLanes;
    double* first = first_ + step.sums;
    double* second = second_ + step.sums;
    for (std::int64_t lane = 0; lane < kLanes; lane += 2 * size) {
      auto first_a = hn::Load(d, first + lane);
      auto first_b = hn::Load(d, first + lane + size);
      auto second_a = hn::Load(d, second + lane);
      auto second_b = hn::Load(d, second + lane + size);
      for (std::int64_t i = lane; i < end; i += kLanes) {
        terms.Add(d, i, &first_a, &second_a);
        terms.Add(d, i + size, &first_b, &second_b);
      }
      hn::Store(first_a, d, first + lane);
      hn::Store(first_b, d, first + lane + size);
      hn::Store(second_a, d, second + lane);
      hn::Store(second_b, d, second + lane + size);
    }
    for (std::int64_t i = end; i < step.n; ++i) {
      terms.Add(i, first + i - end, second + i - end);
    }
  }

  HWY_INLINE void Finish(ChannelSums* sums) const {
    for (std::int64_t channel = 0; channel < channels_; ++channel) {
      sums[channel] = {0, 0};
      for (std::int64_t i = 0; i < width_; ++i) {
        sums[channel].first += first_[channel * width_ + i];
        sums[channel].second += second_[channel * width_ + i];
      }
    }
  }

 private:
  static_assert(kBlockRow / kMinPlane * kLanes <= kBlockRow,
                "the lanes of a block's planes have no room");
  std::int64_t channels_;
  std::int64_t width_;  ///< columns or lanes of each channel
  alignas(64) double first_[kBlockRow];
  alignas(64) double second_[kBlockRow];
};

template <typename Dtype>
void SumMoments(const ChannelBlock& block, const Dtype* x, const Dtype* origin,
                ChannelSums* sums) {
  SumsOfBlock sums_of_block(block);
  ForEachStep(block, std::array<Number<Dtype>, 1>{{{origin, 0}}},
              [&](const Step& step, const auto& numbers) {
                Prefetch(x + step.next, step.n);
                using Origin = std::decay_t<decltype(numbers[0])>;
                sums_of_block.Add(
                    Moments<Dtype, Origin>{x + step.begin, numbers[0]}, step);
              });
  sums_of_block.Finish(sums);
}

template <typename Dtype>
void SumProducts(const ChannelBlock& block, const Dtype* dy, const Dtype* x,
                 const Dtype* origin, ChannelSums* sums) {
  SumsOfBlock sums_of_block(block);
  ForEachStep(block, std::array<Number<Dtype>, 1>{{{origin, 0}}},
              [&](const Step& step, const auto& numbers) {
                Prefetch(dy + step.next, step.n);
                Prefetch(x + step.next, step.n);
                using Origin = std::decay_t<decltype(numbers[0])>;
                sums_of_block.Add(
                    Products<Dtype, Origin>{dy + step.begin, x + step.begin,
                                            numbers[0]},
                    step);
              });
  sums_of_block.Finish(sums);
}

template <typename Dtype>
void Affine(const ChannelBlock& block, const Dtype* x, const Dtype* origin,
            const Dtype* factor, const Dtype* shift, Dtype* y, Dtype* kept) {
  ForEachStep(
      block,
      std::array<Number<Dtype>, 3>{{{origin, 0}, {factor, 1}, {shift, 0}}},
      [=](const Step& step, const auto& numbers) {
        const auto [o, f, s] = numbers;
        Prefetch(x + step.next, step.n);
        const Dtype* in = x + step.begin;
        Dtype* out = y + step.begin;
        if (kept == nullptr) {
#pragma GCC ivdep  // an element of y is made from the same one of x alone
          for (std::int64_t i = 0; i < step.n; ++i) {
            out[i] = (in[i] - o[i]) * f[i] + s[i];
          }
          return;
        }
        Dtype* copy = kept + step.begin;
#pragma GCC ivdep
        for (std::int64_t i = 0; i < step.n; ++i) {
          const Dtype value = in[i];
          copy[i] = value;
          out[i] = (value - o[i]) * f[i] + s[i];
        }
      });
}

template <bool kOnlyLast, typename Dtype>
void NormScaleReluOf(const ChannelBlock& block, const Dtype* x,
                     const NormScale<Dtype>& norm, Dtype slope,
                     const NormScaleOutputs<Dtype>& outputs) {
  ForEachStep(block,
              std::array<Number<Dtype>, 4>{{{norm.origin, 0},
                                            {norm.factor, 1},
                                            {norm.scale, 1},
                                            {norm.shift, 0}}},
              [&](const Step& step, const auto& numbers) {
                const auto [o, f, s, t] = numbers;
                Prefetch(x + step.next, step.n);
                // What nobody wants goes to the L1 cache, and no farther.
                Dtype unwanted[kStep];
                const auto begin_of = [&](Dtype* output) {
                  return output == nullptr ? unwanted : output + step.begin;
                };
                const Dtype* in = x + step.begin;
                Dtype* kept = begin_of(outputs.kept);
                Dtype* normalized = begin_of(outputs.normalized);
                Dtype* scaled = begin_of(outputs.scaled);
                Dtype* out = begin_of(outputs.y);
#pragma GCC ivdep  // as above
                for (std::int64_t i = 0; i < step.n; ++i) {
                  const Dtype value = in[i];
                  const Dtype normal = (value - o[i]) * f[i];
                  const Dtype z = normal * s[i] + t[i];
                  if constexpr (!kOnlyLast) {
                    kept[i] = value;
                    normalized[i] = normal;
                    scaled[i] = z;
                  }
                  out[i] = Relu(z, slope);
                }
              });
}

template <typename Dtype>
void NormScaleRelu(const ChannelBlock& block, const Dtype* x,
                   const NormScale<Dtype>& norm, Dtype slope,
                   const NormScaleOutputs<Dtype>& outputs) {
  const bool only_last = outputs.kept == nullptr &&
                         outputs.normalized == nullptr &&
                         outputs.scaled == nullptr;
  (only_last ? NormScaleReluOf<true, Dtype>
             : NormScaleReluOf<false, Dtype>)(block, x, norm, slope, outputs);
}

template <typename Dtype>
void ScaleBackward(const ChannelBlock& block, const Dtype* dy,
                   const ReluInput<Dtype>& relu, const Dtype* x,
                   const Dtype* origin, const Dtype* factor, Dtype* dx,
                   ChannelSums* sums) {
  SumsOfBlock sums_of_block(block);
  ForEachStep(
      block, std::array<Number<Dtype>, 2>{{{origin, 0}, {factor, 1}}},
      [&](const Step& step, const auto& numbers) {
        Prefetch(dy + step.next, step.n);
        Prefetch(x + step.next, step.n);
        const Dtype* dz = dy + step.begin;
        Dtype unwanted[kStep];
        if (relu.z != nullptr) {
          Prefetch(relu.z + step.next, step.n);
          const Dtype* z = relu.z + step.begin;
          Dtype* out = relu.dz == nullptr ? unwanted : relu.dz + step.begin;
          const Dtype slope = relu.slope;
#pragma GCC ivdep  // as above
          for (std::int64_t i = 0; i < step.n; ++i) {
            out[i] = dz[i] * ReluDerivative(z[i], slope);
          }
          dz = out;
        }
        using Origin = std::decay_t<decltype(numbers[0])>;
        sums_of_block.Add(
            Products<Dtype, Origin>{dz, x + step.begin, numbers[0]}, step);
        const auto f = numbers[1];
        Dtype* out = dx + step.begin;
#pragma GCC ivdep  // as above
        for (std::int64_t i = 0; i < step.n; ++i) {
          out[i] = dz[i] * f[i];
        }
      });
  sums_of_block.Finish(sums);
}

template <typename Dtype>
void Prelu(const ChannelBlock& block, const Dtype* x, const Dtype* slope,
           Dtype* y, Dtype* kept) {
  ForEachStep(block, std::array<Number<Dtype>, 1>{{{slope, 0}}},
              [=](const Step& step, const auto& numbers) {
                const auto s = numbers[0];
                Prefetch(x + step.next, step.n);
                const Dtype* in = x + step.begin;
                Dtype* out = y + step.begin;
                if (kept != nullptr) {
                  std::copy(in, in + step.n, kept + step.begin);
                }
#pragma GCC ivdep  // as above
                for (std::int64_t i = 0; i < step.n; ++i) {
                  out[i] = Relu(in[i], s[i]);
                }
              });
}

template <typename Dtype>
void PreluBackward(const ChannelBlock& block, const Dtype* dy, const Dtype* x,
                   const Dtype* slope, Dtype* dx, ChannelSums* sums) {
  SumsOfBlock sums_of_block(block);
  ForEachStep(block, std::array<Number<Dtype>, 2>{{{slope, 0}, {nullptr, 0}}},
              [&](const Step& step, const auto& numbers) {
                const auto s = numbers[0];
                Prefetch(dy + step.next, step.n);
                Prefetch(x + step.next, step.n);
                const Dtype* in = x + step.begin;
                const Dtype* g = dy + step.begin;
                Dtype below[kStep];
                for (std::int64_t i = 0; i < step.n; ++i) {
                  below[i] = in[i] <= 0 ? g[i] : Dtype(0);
                }
                using Origin = std::decay_t<decltype(numbers[1])>;
                sums_of_block.Add(
                    Products<Dtype, Origin>{below, in, numbers[1]}, step);
                if (dx == nullptr) {
                  return;
                }
                Dtype* out = dx + step.begin;
#pragma GCC ivdep  // as above
                for (std::int64_t i = 0; i < step.n; ++i) {
                  out[i] = g[i] * ReluDerivative(in[i], s[i]);
                }
              });
  sums_of_block.Finish(sums);
}

template <typename Dtype>
void NormBackward(const ChannelBlock& block, const Dtype* dy, const Dtype* x,
                  const Dtype* origin, const Dtype* slope, const Dtype* shift,
                  const Dtype* factor, Dtype* dx) {
  ForEachStep(block,
              std::array<Number<Dtype>, 4>{
                  {{origin, 0}, {slope, 0}, {shift, 0}, {factor, 1}}},
              [=](const Step& step, const auto& numbers) {
                const auto [o, m, s, f] = numbers;
                const Dtype* g = dy + step.begin;
                const Dtype* in = x + step.begin;
                Dtype* out = dx + step.begin;
                Prefetch(dy + step.next, step.n);
                Prefetch(x + step.next, step.n);
#pragma GCC ivdep  // as above
                for (std::int64_t i = 0; i < step.n; ++i) {
                  out[i] = (g[i] - s[i] - (in[i] - o[i]) * m[i]) * f[i];
                }
              });
}

template <typename Dtype>
ChannelLoops<Dtype> MakeLoops() {
  return {&SumMoments<Dtype>,    &SumProducts<Dtype>,   &Affine<Dtype>,
          &NormScaleRelu<Dtype>, &ScaleBackward<Dtype>, &Prelu<Dtype>,
          &PreluBackward<Dtype>, &NormBackward<Dtype>};
}

UL2Q_LOOP_TABLE(ChannelLoops);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

UL2Q_EXPORT_LOOPS(ChannelLoops);

namespace {

/// The median of three values of the channel whose first element is x[0].
/// About it, hardly a bit of the variance is lost in a double: it is within the
/// values' spread, and no lone outlier.
template <typename Dtype>
Dtype OriginOf(const ChannelBlock& block, const Dtype* x) {
  const Dtype a = x[0];
  const Dtype b = x[block.rows / 2 * block.stride + block.inner / 2];
  const Dtype c = x[(block.rows - 1) * block.stride + block.inner - 1];
  return std::max(std::min(a, b), std::min(std::max(a, b), c));
}

}  // namespace

template <typename Dtype>
void Measure(const ChannelBlock& block, const Dtype* x, Dtype* means,
             Dtype* variances) {
  const double m = static_cast<double>(block.rows * block.inner);
  Dtype origins[kBlockRow];
  ChannelSums sums[kBlockRow];
  for (std::int64_t i = 0; i < block.channels; ++i) {
    origins[i] = OriginOf(block, x + i * block.inner);
  }
  GetChannelLoops<Dtype>().moments(block, x, origins, sums);
  for (std::int64_t i = 0; i < block.channels; ++i) {
    const double deviation = sums[i].first / m;
    means[i] = static_cast<Dtype>(origins[i] + deviation);
    variances[i] = static_cast<Dtype>(
        std::max(sums[i].second / m - deviation * deviation, 0.0));
  }
}

template void Measure(const ChannelBlock& block, const float* x, float* means,
                      float* variances);
template void Measure(const ChannelBlock& block, const double* x, double* means,
                      double* variances);

}  // namespace ul2q
#endif

// What the threads of a block of elements, or of a channel, do for each kernel.
// They are kDeviceThreads of CUDA's, or, in tests, turns of a loop on the host.
#ifndef UL2Q_GPU_BLOCK_ALGORITHMS_HPP_
#define UL2Q_GPU_BLOCK_ALGORITHMS_HPP_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "ul2q/core/channels.hpp"
#include "ul2q/core/kernels/block_moments.hpp"
#include "ul2q/core/kernels/fit_rule.hpp"
#include "ul2q/core/kernels/host_device.hpp"
#include "ul2q/core/kernels/moving_average.hpp"
#include "ul2q/core/kernels/random.hpp"
#include "ul2q/core/kernels/search.hpp"
#include "ul2q/core/kernels/terms.hpp"
#include "ul2q/core/kernels/uniform.hpp"
#include "ul2q/core/quantizer.hpp"
#include "ul2q/gpu/device_blocks.hpp"

namespace ul2q {

/// One value from one of each thread, merged pairwise: the same order, and so
/// the same bits, each time. of(thread) gives the values.
///
/// `Threads` runs body(thread) for each of them by ForEachThread, which ends
/// when all of them have ended.
template <typename Threads, typename Value, typename Of, typename Merge>
UL2Q_HOST_DEVICE inline void ReduceThreads(Threads& threads, Value* values,
                                           const Of& of, const Merge& merge) {
  threads.ForEachThread([&](int thread) { values[thread] = of(thread); });
  for (int half = kDeviceThreads / 2; half > 0; half /= 2) {
    threads.ForEachThread([&](int thread) {
      if (thread < half) {
        values[thread] = merge(values[thread], values[thread + half]);
      }
    });
  }
}

/// of_blocks[block] = moments of the block. In double precision, about its
/// first element, so that nothing cancels where the mean is far from 0 and a
/// constant array has σ = 0.
template <typename Dtype>
struct SumMoments {
  struct Sums {
    double value, square, min, max;
  };
  struct Shared {
    Sums of[kDeviceThreads];
  };

  DeviceBlocks blocks;
  const Dtype* w;
  BlockMoments* of_blocks;

  template <typename Threads>
  UL2Q_HOST_DEVICE void operator()(Threads& threads, std::int64_t block,
                                   Shared* shared) const {
    const ChannelRows rows = blocks.RowsOf(blocks.ChannelOf(block));
    const std::int64_t begin = blocks.Begin(block), end = blocks.End(block);
    const double origin = w[rows(begin)];
    ReduceThreads(
        threads, shared->of,
        [&](int thread) {
          Sums sums = {0, 0, origin, origin};
          for (std::int64_t i = begin + thread; i < end; i += kDeviceThreads) {
            const double x = w[rows(i)];
            const double deviation = x - origin;
            sums.value += deviation;
            sums.square += deviation * deviation;
            sums.min = std::min(sums.min, x);
            sums.max = std::max(sums.max, x);
          }
          return sums;
        },
        [](const Sums& a, const Sums& b) {
          return Sums{a.value + b.value, a.square + b.square,
                      std::min(a.min, b.min), std::max(a.max, b.max)};
        });
    threads.ForEachThread([&](int thread) {
      if (thread == 0) {
        const Sums& sums = shared->of[0];
        const double count = static_cast<double>(end - begin);
        const double mean = sums.value / count;
        // Not std::max: a NaN has to stay one.
        const double squares = sums.square - sums.value * mean;
        of_blocks[block] = {count, origin + mean, squares < 0 ? 0 : squares,
                            sums.min, sums.max};
      }
    });
  }
};

/// fits[channel] = what the rule makes of the channel's moments, which go to
/// moments_of[channel] unless that is null; *status = 1 where it is not finite.
template <typename Dtype, typename Shape>
struct FitMoments {
  struct Shared {
    BlockMoments of[kDeviceThreads];
  };

  DeviceBlocks blocks;
  const BlockMoments* of_blocks;
  FitRule rule;
  Shape shape;
  ScaleShift<Dtype>* fits;
  Moments* moments_of;
  int* status;

  template <typename Threads>
  UL2Q_HOST_DEVICE void operator()(Threads& threads, std::int64_t channel,
                                   Shared* shared) const {
    const auto merge = [](const BlockMoments& a, const BlockMoments& b) {
      return a.count == 0 ? b : b.count == 0 ? a : Merge(a, b);
    };
    const BlockMoments* own = of_blocks + channel * blocks.per_channel();
    ReduceThreads(
        threads, shared->of,
        [&](int thread) {
          BlockMoments merged = {0, 0, 0, 0, 0};
          for (std::int64_t i = thread; i < blocks.per_channel();
               i += kDeviceThreads) {
            merged = merge(merged, own[i]);
          }
          return merged;
        },
        merge);
    threads.ForEachThread([&](int thread) {
      if (thread == 0) {
        const BlockMoments& total = shared->of[0];
        Moments moments;
        moments.mean = total.mean;
        moments.sigma = std::sqrt(total.squares / total.count);
        moments.min = total.min;
        moments.max = total.max;
        const auto fit = rule.template Of<Dtype>(moments);
        fits[channel] = fit;
        if (moments_of != nullptr) {
          moments_of[channel] = moments;
        }
        if (!std::isfinite(moments.sigma) ||
            !IsFinite(fit, shape, moments.min) ||
            !IsFinite(fit, shape, moments.max)) {
          *status = 1;
        }
      }
    });
  }
};

/// sums[block] = Σ of the terms of the block's elements, which terms_of gives
/// for a channel, where terms_of.IsNeeded(channel). Several runs through all
/// blocks may follow each other; the channels of a later one count on.
template <typename TermsOf, std::size_t kTerms>
struct SumTermsOfBlocks {
  struct Sums {
    double of[kTerms];
  };
  struct Shared {
    Sums of[kDeviceThreads];
  };

  DeviceBlocks blocks;
  TermsOf terms_of;
  Sums* sums;

  UL2Q_HOST_DEVICE static Sums Add(Sums a, const Sums& b) {
    for (std::size_t term = 0; term < kTerms; ++term) {
      a.of[term] += b.of[term];
    }
    return a;
  }

  template <typename Threads>
  UL2Q_HOST_DEVICE void operator()(Threads& threads, std::int64_t block,
                                   Shared* shared) const {
    const std::int64_t channel = blocks.ChannelOf(block);
    if (!terms_of.IsNeeded(channel)) {
      return;
    }
    const ChannelRows rows = blocks.RowsOf(channel);
    const auto terms = terms_of(channel);
    ReduceThreads(
        threads, shared->of,
        [&](int thread) {
          Sums own = {};
          for (std::int64_t i = blocks.Begin(block) + thread;
               i < blocks.End(block); i += kDeviceThreads) {
            const auto values = terms(rows(i));
            for (std::size_t term = 0; term < kTerms; ++term) {
              own.of[term] += values[term];
            }
          }
          return own;
        },
        [](const Sums& a, const Sums& b) { return Add(a, b); });
    threads.ForEachThread([&](int thread) {
      if (thread == 0) {
        sums[block] = shared->of[0];
      }
    });
  }
};

template <typename Dtype>
struct MagnitudeOfChannel {
  const Dtype* w;
  UL2Q_HOST_DEVICE bool IsNeeded(std::int64_t) const { return true; }
  UL2Q_HOST_DEVICE Magnitude<Dtype> operator()(std::int64_t) const {
    return {w};
  }
};

template <typename Dtype>
struct MagnitudeAboveOfChannel {
  const Dtype* w;
  const ScaleShift<Dtype>* fits;
  UL2Q_HOST_DEVICE bool IsNeeded(std::int64_t) const { return true; }
  UL2Q_HOST_DEVICE MagnitudeAbove<Dtype> operator()(
      std::int64_t channel) const {
    return {w, fits[channel].threshold};
  }
};

template <typename Dtype>
using SumMagnitudes = SumTermsOfBlocks<MagnitudeOfChannel<Dtype>, 1>;
template <typename Dtype>
using SumMagnitudesAbove = SumTermsOfBlocks<MagnitudeAboveOfChannel<Dtype>, 2>;

/// set(channel, total) with the sum over all blocks of the channel, where
/// set.IsNeeded(channel).
template <typename SumOfBlocks, typename Set>
struct ForChannelSums {
  using Sums = typename SumOfBlocks::Sums;
  using Shared = typename SumOfBlocks::Shared;

  DeviceBlocks blocks;
  const Sums* sums;
  Set set;

  template <typename Threads>
  UL2Q_HOST_DEVICE void operator()(Threads& threads, std::int64_t channel,
                                   Shared* shared) const {
    if (!set.IsNeeded(channel)) {
      return;
    }
    const Sums* own = sums + channel * blocks.per_channel();
    ReduceThreads(
        threads, shared->of,
        [&](int thread) {
          Sums total = {};
          for (std::int64_t i = thread; i < blocks.per_channel();
               i += kDeviceThreads) {
            total = SumOfBlocks::Add(total, own[i]);
          }
          return total;
        },
        [](const Sums& a, const Sums& b) { return SumOfBlocks::Add(a, b); });
    threads.ForEachThread([&](int thread) {
      if (thread == 0) {
        set(channel, shared->of[0]);
      }
    });
  }
};

/// fits[channel].scale, or .threshold, from the mean magnitude.
template <typename Dtype>
struct FitMagnitude {
  std::int64_t channel_size;
  FitRule rule;
  ScaleShift<Dtype>* fits;
  int* status;

  UL2Q_HOST_DEVICE bool IsNeeded(std::int64_t) const { return true; }
  UL2Q_HOST_DEVICE void operator()(
      std::int64_t channel,
      const typename SumMagnitudes<Dtype>::Sums& sums) const {
    const double mean = sums.of[0] / static_cast<double>(channel_size);
    ScaleShift<Dtype> fit;
    if (rule.statistic == FitRule::kMagnitude) {
      fit.scale = rule.template Scale<Dtype>(mean);
    } else {
      fit.threshold = rule.template Threshold<Dtype>(mean);
    }
    fits[channel] = fit;
    if (!std::isfinite(mean)) {
      *status = 1;
    }
  }
};

/// fits[channel].scale from the mean magnitude above the threshold.
template <typename Dtype>
struct FitMagnitudeAbove {
  FitRule rule;
  ScaleShift<Dtype>* fits;
  int* status;

  UL2Q_HOST_DEVICE bool IsNeeded(std::int64_t) const { return true; }
  UL2Q_HOST_DEVICE void operator()(
      std::int64_t channel,
      const typename SumMagnitudesAbove<Dtype>::Sums& sums) const {
    const auto scale = rule.template Scale<Dtype>(
        sums.of[1] > 0 ? sums.of[0] / sums.of[1] : 0);
    fits[channel].scale = scale;
    if (!std::isfinite(scale)) {
      *status = 1;
    }
  }
};

/// The terms of a descent, of as many as there are channels for each start.
template <typename Dtype, typename Shape>
struct LeastSquaresOfDescent {
  using Grid = typename Shape::Grid;

  const Dtype* w;
  Shape shape;
  const Descent<Dtype>* descents;

  UL2Q_HOST_DEVICE bool IsNeeded(std::int64_t descent) const {
    return !descents[descent].has_ended;
  }
  UL2Q_HOST_DEVICE LeastSquaresTerms<Grid, Dtype> operator()(
      std::int64_t descent) const {
    const ScaleShift<Dtype>& fit = descents[descent].next;
    return {w, Grid(fit, shape), fit.shift};
  }
};

template <typename Dtype, typename Shape>
using SumLeastSquares = SumTermsOfBlocks<LeastSquaresOfDescent<Dtype, Shape>,
                                         LeastSquaresSum::kCount>;

/// The turn of a descent that follows from its sums.
template <typename Dtype, typename Shape>
struct TakeTurn {
  std::int64_t channel_size;
  Search search;
  Descent<Dtype>* descents;

  UL2Q_HOST_DEVICE bool IsNeeded(std::int64_t descent) const {
    return !descents[descent].has_ended;
  }
  UL2Q_HOST_DEVICE void operator()(
      std::int64_t descent,
      const typename SumLeastSquares<Dtype, Shape>::Sums& sums) const {
    search.Turn(sums.of, channel_size, &descents[descent]);
  }
};

/// Calls body(index) by the first thread of each block.
template <typename Body>
struct OnceForEach {
  struct Shared {};

  Body body;

  template <typename Threads>
  UL2Q_HOST_DEVICE void operator()(Threads& threads, std::int64_t index,
                                   Shared*) const {
    threads.ForEachThread([&](int thread) {
      if (thread == 0) {
        body(index);
      }
    });
  }
};

/// Begins descents[start · channels + channel].
template <typename Dtype>
struct BeginDescent {
  std::int64_t channels;
  Search search;
  const ScaleShift<Dtype>* fits;
  const Moments* moments_of;
  Descent<Dtype>* descents;

  UL2Q_HOST_DEVICE void operator()(std::int64_t descent) const {
    const std::int64_t channel = descent % channels;
    const auto start = static_cast<int>(descent / channels);
    descents[descent] = {
        search.Start(start, fits[channel],
                     moments_of != nullptr ? moments_of[channel] : Moments())};
  }
};

/// fits[channel] = that of the channel's best descent, from where
/// descents[channel] begins anew.
template <typename Dtype>
struct ChooseDescent {
  std::int64_t channels;
  int starts;
  ScaleShift<Dtype>* fits;
  Descent<Dtype>* descents;

  UL2Q_HOST_DEVICE void operator()(std::int64_t channel) const {
    std::int64_t best = channel;
    for (int start = 1; start < starts; ++start) {
      const std::int64_t other = start * channels + channel;
      best = descents[other].error < descents[best].error ? other : best;
    }
    fits[channel] = descents[best].best;
    descents[channel] = {fits[channel]};
  }
};

/// fits[channel] = the fit that was found; *status = 1 where its levels are not
/// finite.
template <typename Dtype, typename Shape>
struct EndDescent {
  Shape shape;
  const Descent<Dtype>* descents;
  const Moments* moments_of;
  ScaleShift<Dtype>* fits;
  int* status;

  UL2Q_HOST_DEVICE void operator()(std::int64_t channel) const {
    fits[channel] = descents[channel].best;
    if (moments_of != nullptr &&
        (!IsFinite(fits[channel], shape, moments_of[channel].min) ||
         !IsFinite(fits[channel], shape, moments_of[channel].max))) {
      *status = 1;
    }
  }
};

/// Adds fits[0] to the average, unless it has failed; fits[0] becomes the
/// nearest to the average that the rule can have.
template <typename Dtype>
struct AverageFirstFit {
  FitRule rule;
  MovingAverage<Dtype> average;
  ScaleShift<Dtype>* fits;
  const int* status;

  UL2Q_HOST_DEVICE void operator()(std::int64_t) const {
    if (*status == 0) {
      average.Add(fits[0]);
    }
    fits[0] = rule.Nearest(average.Get());
  }
};

/// *fits = fit: unlike a copy, no wait for the kernels before it.
template <typename Dtype>
struct SetFirstFit {
  ScaleShift<Dtype> fit;
  ScaleShift<Dtype>* fits;

  UL2Q_HOST_DEVICE void operator()(std::int64_t) const { *fits = fit; }
};

/// body(channel, i) for the elements i, of the channel, and body.Start(channel)
/// once in each thread, which gives what it takes third.
template <typename Body>
struct ForEachElement {
  struct Shared {};

  DeviceBlocks blocks;
  Body body;

  template <typename Threads>
  UL2Q_HOST_DEVICE void operator()(Threads& threads, std::int64_t block,
                                   Shared*) const {
    const std::int64_t channel = blocks.ChannelOf(block);
    const ChannelRows rows = blocks.RowsOf(channel);
    threads.ForEachThread([&](int thread) {
      const auto state = body.Start(channel);
      for (std::int64_t i = blocks.Begin(block) + thread; i < blocks.End(block);
           i += kDeviceThreads) {
        body(state, rows(i), i);
      }
    });
  }
};

/// values[i] = the value of w[i]'s code
template <typename Dtype, typename Shape>
struct QuantizeElement {
  const ScaleShift<Dtype>* fits;
  Shape shape;
  const Dtype* w;
  Dtype* values;

  UL2Q_HOST_DEVICE auto Start(std::int64_t channel) const {
    return typename Shape::Grid(fits[channel], shape);
  }
  UL2Q_HOST_DEVICE void operator()(const typename Shape::Grid& grid,
                                   std::int64_t i, std::int64_t) const {
    values[i] = grid.Value(grid.Code(w[i]));
  }
};

/// The same, rounding at random as FIXED_POINT does on CPUs.
template <typename Dtype>
struct QuantizeElementAtRandom {
  using Shape = typename UniformGrid<Dtype>::Shape;
  struct State {
    UniformGrid<Dtype> grid;
    std::uint64_t seed;
  };
  const ScaleShift<Dtype>* fits;
  Shape shape;
  const Dtype* w;
  Dtype* values;
  std::uint64_t seed;
  bool has_many_channels;

  UL2Q_HOST_DEVICE State Start(std::int64_t channel) const {
    return {UniformGrid<Dtype>(fits[channel], shape),
            SeedOfChannel(seed, channel, has_many_channels)};
  }
  UL2Q_HOST_DEVICE void operator()(const State& state, std::int64_t i,
                                   std::int64_t of_channel) const {
    const auto uniform = RandomUniform<Dtype>(
        state.seed, static_cast<std::uint64_t>(of_channel));
    values[i] = state.grid.Value(state.grid.StochasticCode(w[i], uniform));
  }
};

/// What bodies know that ask whether elements lie within the outermost levels
/// of their channel.
template <typename Dtype, typename Shape>
struct WithinLevels {
  const ScaleShift<Dtype>* fits;
  Shape shape;
  const Dtype* w;

  UL2Q_HOST_DEVICE Levels<Dtype> Start(std::int64_t channel) const {
    const typename Shape::Grid grid(fits[channel], shape);
    return {grid.Value(static_cast<Dtype>(shape.lowest)),
            grid.Value(static_cast<Dtype>(shape.highest))};
  }
  UL2Q_HOST_DEVICE bool IsWithin(const Levels<Dtype>& levels,
                                 std::int64_t i) const {
    return levels.lowest <= w[i] && w[i] <= levels.highest;
  }
};

/// sum[i] += gradient[i] where w[i] lies within the levels
template <typename Dtype, typename Shape>
struct AddGradientOfElement : WithinLevels<Dtype, Shape> {
  const Dtype* gradient;
  Dtype* sum;

  UL2Q_HOST_DEVICE void operator()(const Levels<Dtype>& levels, std::int64_t i,
                                   std::int64_t) const {
    if (this->IsWithin(levels, i)) {
      sum[i] += gradient[i];
    }
  }
};

/// passed[i] = gradient[i] where w[i] lies within the levels, else 0
template <typename Dtype, typename Shape>
struct PassGradientOfElement : WithinLevels<Dtype, Shape> {
  const Dtype* gradient;
  Dtype* passed;

  UL2Q_HOST_DEVICE void operator()(const Levels<Dtype>& levels, std::int64_t i,
                                   std::int64_t) const {
    passed[i] = this->IsWithin(levels, i) ? gradient[i] : Dtype(0);
  }
};

/// *status = 1 where an element is not finite
template <typename Dtype>
struct CheckElement {
  struct Nothing {};
  const Dtype* w;
  int* status;

  UL2Q_HOST_DEVICE Nothing Start(std::int64_t) const { return {}; }
  UL2Q_HOST_DEVICE void operator()(Nothing, std::int64_t i,
                                   std::int64_t) const {
    if (!std::isfinite(w[i])) {
      *status = 1;
    }
  }
};

}  // namespace ul2q

#endif  // UL2Q_GPU_BLOCK_ALGORITHMS_HPP_

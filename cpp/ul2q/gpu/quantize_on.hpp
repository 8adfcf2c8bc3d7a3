#ifndef UL2Q_GPU_QUANTIZE_ON_HPP_
#define UL2Q_GPU_QUANTIZE_ON_HPP_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <variant>

#include "ul2q/core/channels.hpp"
#include "ul2q/core/kernels/recipe.hpp"
#include "ul2q/gpu/block_algorithms.hpp"

namespace ul2q {

// Quantizer's functions by the kernels of block_algorithms.hpp. All pointers
// are to memory of the executor's device; executor.Launch(blocks, kernel) runs
// kernel(threads, index, shared) for each of the blocks, one launch after the
// other.

/// The working memory of a fit, and where in it is what.
template <typename Dtype>
class FitMemory {
 public:
  FitMemory(const Recipe<Dtype>& recipe, const DeviceBlocks& blocks)
      : starts_(recipe.search ? recipe.search->starts() : 1),
        sums_(starts_ * blocks.count()),
        channels_(blocks.channel_count()),
        moments_(recipe.search && recipe.rule.is_of_moments() ? channels_ : 0),
        descents_(recipe.search ? starts_ * channels_ : 0) {}

  std::size_t bytes() const {
    return sums_ * kBlockSums + moments_ * sizeof(Moments) +
           descents_ * sizeof(Descent<Dtype>);
  }
  /// The sums of each block, for each start of a search.
  template <typename Sums>
  static Sums* SumsIn(void* memory) {
    static_assert(sizeof(Sums) <= kBlockSums);
    return static_cast<Sums*>(memory);
  }
  /// The moments of each channel; null unless a search needs them.
  Moments* MomentsIn(void* memory) const {
    return moments_ == 0 ? nullptr : reinterpret_cast<Moments*>(After(memory));
  }
  /// The descents of each channel, for each start of a search.
  Descent<Dtype>* DescentsIn(void* memory) const {
    return reinterpret_cast<Descent<Dtype>*>(After(memory) +
                                             moments_ * sizeof(Moments));
  }

 private:
  static constexpr std::size_t kBlockSums =
      std::max(sizeof(BlockMoments), LeastSquaresSum::kCount * sizeof(double));

  /// What lies behind the sums.
  char* After(void* memory) const {
    return static_cast<char*>(memory) + sums_ * kBlockSums;
  }

  std::size_t starts_, sums_, channels_, moments_, descents_;
};

/// A launch that calls body(index) once for each index.
template <typename Executor, typename Body>
void LaunchOnce(const Executor& executor, std::int64_t count,
                const Body& body) {
  executor.Launch(count, OnceForEach<Body>{body});
}

/// fits[channel] = what the rule makes of the channel; the channels' moments,
/// where they are asked for and the rule is of moments.
template <typename Executor, typename Dtype>
void FitByRuleOn(const Executor& executor, const Recipe<Dtype>& recipe,
                 const DeviceBlocks& blocks, const Dtype* w, void* memory,
                 Moments* moments_of, ScaleShift<Dtype>* fits, int* status) {
  const FitRule& rule = recipe.rule;
  const std::int64_t channels = blocks.channel_count();
  using Memory = FitMemory<Dtype>;
  if (rule.is_of_moments()) {
    auto* of_blocks = Memory::template SumsIn<BlockMoments>(memory);
    executor.Launch(blocks.count(), SumMoments<Dtype>{blocks, w, of_blocks});
    std::visit(
        [&](const auto& shape) {
          using Shape = std::decay_t<decltype(shape)>;
          executor.Launch(
              channels, FitMoments<Dtype, Shape>{blocks, of_blocks, rule, shape,
                                                 fits, moments_of, status});
        },
        recipe.shape);
    return;
  }
  using Sum = SumMagnitudes<Dtype>;
  auto* sums = Memory::template SumsIn<typename Sum::Sums>(memory);
  const FitMagnitude<Dtype> fit = {blocks.channel_size(), rule, fits, status};
  executor.Launch(blocks.count(), Sum{blocks, {w}, sums});
  executor.Launch(channels,
                  ForChannelSums<Sum, FitMagnitude<Dtype>>{blocks, sums, fit});
  if (rule.statistic == FitRule::kMagnitudeAboveThreshold) {
    using SumAbove = SumMagnitudesAbove<Dtype>;
    auto* above = Memory::template SumsIn<typename SumAbove::Sums>(memory);
    const FitMagnitudeAbove<Dtype> fit_above = {rule, fits, status};
    executor.Launch(blocks.count(), SumAbove{blocks, {w, fits}, above});
    executor.Launch(channels,
                    ForChannelSums<SumAbove, FitMagnitudeAbove<Dtype>>{
                        blocks, above, fit_above});
  }
}

/// fits[channel] = what the search finds that begins there. All of its turns
/// are launched; those after the last that it takes find nothing to do.
template <typename Executor, typename Dtype, typename Shape>
void SearchOn(const Executor& executor, const Search& search,
              const Shape& shape, const DeviceBlocks& blocks, const Dtype* w,
              void* memory, const Moments* moments_of, Descent<Dtype>* descents,
              ScaleShift<Dtype>* fits, int* status) {
  using Sum = SumLeastSquares<Dtype, Shape>;
  using Turn = TakeTurn<Dtype, Shape>;
  const std::int64_t channels = blocks.channel_count();
  auto* sums = FitMemory<Dtype>::template SumsIn<typename Sum::Sums>(memory);
  const auto descend = [&](int starts, int turns) {
    const Turn turn = {blocks.channel_size(), search, descents};
    for (int i = 0; i < turns; ++i) {
      executor.Launch(starts * blocks.count(),
                      Sum{blocks, {w, shape, descents}, sums});
      executor.Launch(starts * channels,
                      ForChannelSums<Sum, Turn>{blocks, sums, turn});
    }
  };
  const int starts = search.starts();
  LaunchOnce(executor, starts * channels,
             BeginDescent<Dtype>{channels, search, fits, moments_of, descents});
  descend(starts, Search::TurnsOfStart(blocks.channel_size()));
  LaunchOnce(executor, channels,
             ChooseDescent<Dtype>{channels, starts, fits, descents});
  if (blocks.channel_size() > Search::kFewElements) {
    descend(1, Search::kMaxTurns);
  }
  LaunchOnce(
      executor, channels,
      EndDescent<Dtype, Shape>{shape, descents, moments_of, fits, status});
}

/// fits[channel] for each channel of w, which is not empty. *status becomes 1
/// where an element or a level is not finite. `memory` has FitMemory's bytes.
template <typename Executor, typename Dtype>
void FitOn(const Executor& executor, const Recipe<Dtype>& recipe,
           const DeviceBlocks& blocks, const Dtype* w, void* memory,
           ScaleShift<Dtype>* fits, int* status) {
  const FitMemory<Dtype> layout(recipe, blocks);
  Moments* moments_of = layout.MomentsIn(memory);
  FitByRuleOn(executor, recipe, blocks, w, memory, moments_of, fits, status);
  if (recipe.search) {
    std::visit(
        [&](const auto& shape) {
          SearchOn(executor, *recipe.search, shape, blocks, w, memory,
                   moments_of, layout.DescentsIn(memory), fits, status);
        },
        recipe.shape);
  }
}

/// Adds fits[0] to the average, unless it has failed, and makes it what the
/// recipe's method makes of the average.
template <typename Executor, typename Dtype>
void AverageFitOn(const Executor& executor, const Recipe<Dtype>& recipe,
                  const MovingAverage<Dtype>& average, ScaleShift<Dtype>* fits,
                  const int* status) {
  LaunchOnce(executor, 1,
             AverageFirstFit<Dtype>{recipe.rule, average, fits, status});
}

/// *status becomes 1 where an element is not finite.
template <typename Executor, typename Dtype>
void CheckOn(const Executor& executor, const DeviceBlocks& blocks,
             const Dtype* w, int* status) {
  using Body = CheckElement<Dtype>;
  executor.Launch(blocks.count(), ForEachElement<Body>{blocks, {w, status}});
}

/// A launch of the body that body_for makes for the recipe's shape.
template <typename Executor, typename Dtype, typename BodyFor>
void LaunchForShape(const Executor& executor, const Recipe<Dtype>& recipe,
                    const DeviceBlocks& blocks, const BodyFor& body_for) {
  std::visit(
      [&](const auto& shape) {
        using Body = decltype(body_for(shape));
        executor.Launch(blocks.count(),
                        ForEachElement<Body>{blocks, body_for(shape)});
      },
      recipe.shape);
}

/// The codes' values, nearest or, with a seed, rounded at random.
template <typename Executor, typename Dtype>
void QuantizeOn(const Executor& executor, const Recipe<Dtype>& recipe,
                const DeviceBlocks& blocks, const ScaleShift<Dtype>* fits,
                const Dtype* w, typename Quantizer<Dtype>::Seed seed,
                Dtype* values) {
  if (seed) {
    using Body = QuantizeElementAtRandom<Dtype>;
    const auto& shape = std::get<typename Body::Shape>(recipe.shape);
    const Body body = {fits,   shape, w,
                       values, *seed, blocks.channel_count() > 1};
    executor.Launch(blocks.count(), ForEachElement<Body>{blocks, body});
    return;
  }
  LaunchForShape(executor, recipe, blocks, [&](const auto& shape) {
    using Shape = std::decay_t<decltype(shape)>;
    return QuantizeElement<Dtype, Shape>{fits, shape, w, values};
  });
}

/// sum += gradient where w lies within the outermost levels of its channel.
template <typename Executor, typename Dtype>
void AddGradientWithinLevelsOn(const Executor& executor,
                               const Recipe<Dtype>& recipe,
                               const DeviceBlocks& blocks,
                               const ScaleShift<Dtype>* fits, const Dtype* w,
                               const Dtype* gradient, Dtype* sum) {
  LaunchForShape(executor, recipe, blocks, [&](const auto& shape) {
    using Shape = std::decay_t<decltype(shape)>;
    return AddGradientOfElement<Dtype, Shape>{{fits, shape, w}, gradient, sum};
  });
}

/// passed = gradient where w lies within the outermost levels, else 0; they may
/// be the same array.
template <typename Executor, typename Dtype>
void PassGradientWithinLevelsOn(const Executor& executor,
                                const Recipe<Dtype>& recipe,
                                const DeviceBlocks& blocks,
                                const ScaleShift<Dtype>* fits, const Dtype* w,
                                const Dtype* gradient, Dtype* passed) {
  LaunchForShape(executor, recipe, blocks, [&](const auto& shape) {
    using Shape = std::decay_t<decltype(shape)>;
    return PassGradientOfElement<Dtype, Shape>{
        {fits, shape, w}, gradient, passed};
  });
}

}  // namespace ul2q

#endif  // UL2Q_GPU_QUANTIZE_ON_HPP_

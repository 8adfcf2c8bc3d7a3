#ifndef UL2Q_DEVICE_QUANTIZE_ON_HPP_
#define UL2Q_DEVICE_QUANTIZE_ON_HPP_

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <variant>

#include "ul2q/channels.hpp"
#include "ul2q/device/block_algorithms.hpp"
#include "ul2q/kernels/recipe.hpp"

namespace ul2q {

// Quantizer's functions by the kernels of block_algorithms.hpp. All pointers
// are to memory of the executor's device; executor.Launch(blocks, kernel) runs
// kernel(block, index, shared) for each of the blocks, one launch after the
// other.

/// Bytes of working memory a chunk, for a fit.
constexpr std::size_t kChunkMemory = sizeof(PartMoments);

/// fits[channel] for each channel of w, which is not empty. *status becomes 1
/// where an element or a level is not finite. The recipe's fit is not searched
/// for.
template <typename Executor, typename Dtype>
void FitOn(const Executor& executor, const Recipe<Dtype>& recipe,
           const Chunks& chunks, const Dtype* w, void* memory,
           ScaleShift<Dtype>* fits, int* status) {
  const FitRule& rule = recipe.rule;
  const std::int64_t channels = chunks.channel_count();
  if (rule.is_of_moments()) {
    auto* parts = static_cast<PartMoments*>(memory);
    executor.Launch(chunks.count(), SumMoments<Dtype>{chunks, w, parts});
    std::visit(
        [&](const auto& shape) {
          using Shape = std::decay_t<decltype(shape)>;
          executor.Launch(channels,
                          FitMoments<Dtype, Shape>{chunks, parts, rule, shape,
                                                   fits, status});
        },
        recipe.shape);
    return;
  }
  using Sum = SumMagnitudes<Dtype>;
  auto* sums = static_cast<typename Sum::Sums*>(memory);
  const FitMagnitude<Dtype> fit = {chunks.channel_size(), rule, fits, status};
  executor.Launch(chunks.count(), Sum{chunks, {w}, sums});
  executor.Launch(channels,
                  ForChannelSums<Sum, FitMagnitude<Dtype>>{chunks, sums, fit});
  if (rule.statistic == FitRule::kMagnitudeAboveThreshold) {
    using SumAbove = SumMagnitudesAbove<Dtype>;
    auto* above = static_cast<typename SumAbove::Sums*>(memory);
    const FitMagnitudeAbove<Dtype> fit_above = {rule, fits, status};
    executor.Launch(chunks.count(), SumAbove{chunks, {w, fits}, above});
    executor.Launch(channels,
                    ForChannelSums<SumAbove, FitMagnitudeAbove<Dtype>>{
                        chunks, above, fit_above});
  }
}

/// Adds fits[0] to the average, unless it has failed, and makes it what the
/// recipe's method makes of the average.
template <typename Executor, typename Dtype>
void AverageFitOn(const Executor& executor, const Recipe<Dtype>& recipe,
                  const MovingAverage<Dtype>& average, ScaleShift<Dtype>* fits,
                  const int* status) {
  executor.Launch(1,
                  AverageFirstFit<Dtype>{recipe.rule, average, fits, status});
}

/// *status becomes 1 where an element is not finite.
template <typename Executor, typename Dtype>
void CheckOn(const Executor& executor, const Chunks& chunks, const Dtype* w,
             int* status) {
  using Body = CheckElement<Dtype>;
  executor.Launch(chunks.count(), ForEachElement<Body>{chunks, {w, status}});
}

/// A launch of the body that body_for makes for the recipe's shape.
template <typename Executor, typename Dtype, typename BodyFor>
void LaunchForShape(const Executor& executor, const Recipe<Dtype>& recipe,
                    const Chunks& chunks, const BodyFor& body_for) {
  std::visit(
      [&](const auto& shape) {
        using Body = decltype(body_for(shape));
        executor.Launch(chunks.count(),
                        ForEachElement<Body>{chunks, body_for(shape)});
      },
      recipe.shape);
}

/// The codes' values, nearest or, with a seed, rounded at random.
template <typename Executor, typename Dtype>
void QuantizeOn(const Executor& executor, const Recipe<Dtype>& recipe,
                const Chunks& chunks, const ScaleShift<Dtype>* fits,
                const Dtype* w, typename Quantizer<Dtype>::Seed seed,
                Dtype* values) {
  if (seed) {
    using Body = QuantizeElementAtRandom<Dtype>;
    const auto& shape = std::get<typename Body::Shape>(recipe.shape);
    const Body body = {fits,   shape, w,
                       values, *seed, chunks.channel_count() > 1};
    executor.Launch(chunks.count(), ForEachElement<Body>{chunks, body});
    return;
  }
  LaunchForShape(executor, recipe, chunks, [&](const auto& shape) {
    using Shape = std::decay_t<decltype(shape)>;
    return QuantizeElement<Dtype, Shape>{fits, shape, w, values};
  });
}

/// sum += gradient where w lies within the outermost levels of its channel.
template <typename Executor, typename Dtype>
void AddGradientWithinLevelsOn(const Executor& executor,
                               const Recipe<Dtype>& recipe,
                               const Chunks& chunks,
                               const ScaleShift<Dtype>* fits, const Dtype* w,
                               const Dtype* gradient, Dtype* sum) {
  LaunchForShape(executor, recipe, chunks, [&](const auto& shape) {
    using Shape = std::decay_t<decltype(shape)>;
    return AddGradientOfElement<Dtype, Shape>{{fits, shape, w}, gradient, sum};
  });
}

/// passed = gradient where w lies within the outermost levels, else 0; they may
/// be the same array.
template <typename Executor, typename Dtype>
void PassGradientWithinLevelsOn(const Executor& executor,
                                const Recipe<Dtype>& recipe,
                                const Chunks& chunks,
                                const ScaleShift<Dtype>* fits, const Dtype* w,
                                const Dtype* gradient, Dtype* passed) {
  LaunchForShape(executor, recipe, chunks, [&](const auto& shape) {
    using Shape = std::decay_t<decltype(shape)>;
    return PassGradientOfElement<Dtype, Shape>{
        {fits, shape, w}, gradient, passed};
  });
}

}  // namespace ul2q

#endif  // UL2Q_DEVICE_QUANTIZE_ON_HPP_

#ifndef UL2Q_FLOAT_ENGINE_CHANNEL_LOOPS_HPP_
#define UL2Q_FLOAT_ENGINE_CHANNEL_LOOPS_HPP_

#include <algorithm>
#include <cstdint>

#include "ul2q/float_engine/parallel.hpp"

namespace ul2q {

/// A blob of rows × channels × inner elements, each channel with numbers of its
/// own. A channel's `inner` elements in one row are a plane.
struct ChannelShape {
  std::int64_t rows, channels, inner;

  std::int64_t count() const { return rows * channels * inner; }
};

/// Elements of a block in one row: small enough that all rows of most blocks
/// stay in the L2 cache, and enough for the prefetcher.
constexpr std::int64_t kBlockRow = 1024;

/// Neighbouring channels. In each row, `stride` elements apart, they lie one
/// after the other, and are one channel or at most kBlockRow elements.
struct ChannelBlock {
  std::int64_t rows, stride, channels, inner;
};

/// Two sums over all elements of a channel.
struct ChannelSums {
  double first, second;
};

/// A normalisation, z = (x - origin)·factor·scale + shift, with numbers of each
/// channel; shift may be null, for 0.
template <typename Dtype>
struct NormScale {
  const Dtype *origin, *factor, *scale, *shift;
};

/// What becomes of x on the way: a copy, (x - origin)·factor, z and relu(z).
/// Null are those that nobody wants; one of the others may be x.
template <typename Dtype>
struct NormScaleOutputs {
  Dtype *kept, *normalized, *scaled, *y;
};

/// The ReLU behind z, of that slope: from dy comes first dz. z is null for
/// none; dz is null where it is not wanted, and may be dy.
template <typename Dtype>
struct ReluInput {
  const Dtype* z;
  Dtype slope;
  Dtype* dz;
};

/// The loops over a block of channels, each compiled for several instruction
/// sets; all give the same bits. Arrays of elements begin at the block's first
/// one, arrays of channels at its first channel. An input may be the output.
template <typename Dtype>
struct ChannelLoops {
  /// Σ(x - origin) and Σ(x - origin)²
  void (*moments)(const ChannelBlock& block, const Dtype* x,
                  const Dtype* origin, ChannelSums* sums);
  /// Σdy and Σdy·(x - origin); origin may be null, for 0.
  void (*products)(const ChannelBlock& block, const Dtype* dy, const Dtype* x,
                   const Dtype* origin, ChannelSums* sums);
  /// y = (x - origin)·factor + shift and kept = x. Null are: origin, for 0;
  /// factor, for 1; shift, for 0; kept.
  void (*affine)(const ChannelBlock& block, const Dtype* x, const Dtype* origin,
                 const Dtype* factor, const Dtype* shift, Dtype* y,
                 Dtype* kept);
  /// All outputs in one pass; slope is the ReLU's, 1 for none.
  void (*norm_scale_relu)(const ChannelBlock& block, const Dtype* x,
                          const NormScale<Dtype>& norm, Dtype slope,
                          const NormScaleOutputs<Dtype>& outputs);
  /// dx = dz·factor and the products of dz and x, where dz is dy without ReLU.
  void (*scale_backward)(const ChannelBlock& block, const Dtype* dy,
                         const ReluInput<Dtype>& relu, const Dtype* x,
                         const Dtype* origin, const Dtype* factor, Dtype* dx,
                         ChannelSums* sums);
  /// y = x where it is positive, slope·x elsewhere; kept = x, unless null.
  void (*prelu)(const ChannelBlock& block, const Dtype* x, const Dtype* slope,
                Dtype* y, Dtype* kept);
  /// dx = dy where x > 0, slope·dy elsewhere, unless null, and the products of
  /// dy and x where x <= 0.
  void (*prelu_backward)(const ChannelBlock& block, const Dtype* dy,
                         const Dtype* x, const Dtype* slope, Dtype* dx,
                         ChannelSums* sums);
  /// dx = (dy - shift - (x - origin)·slope)·factor
  void (*norm_backward)(const ChannelBlock& block, const Dtype* dy,
                        const Dtype* x, const Dtype* origin, const Dtype* slope,
                        const Dtype* shift, const Dtype* factor, Dtype* dx);
};

/// Those for the best instruction set that the processor has.
template <typename Dtype>
const ChannelLoops<Dtype>& GetChannelLoops();

/// Mean and mean squared deviation of each channel of a block.
template <typename Dtype>
void Measure(const ChannelBlock& block, const Dtype* x, Dtype* means,
             Dtype* variances);

/// Calls body(block, channel, offset) for each block of a blob, whose first
/// channel is `channel` and whose first element is at `offset`, on several
/// threads where there is enough to do. The blocks depend on the shape alone.
template <typename Body>
void ForEachChannelBlock(const ChannelShape& shape, const Body& body) {
  if (shape.count() == 0) {
    return;
  }
  // A few operations an element: worth threads from four times as many on.
  const std::int64_t work = shape.count() / 4;
  // Where they are, each has several blocks.
  const std::int64_t min_blocks = IsWorthThreads(work) ? 8 : 1;
  const std::int64_t channels =
      std::clamp(shape.channels / min_blocks, std::int64_t{1},
                 std::max(std::int64_t{1}, kBlockRow / shape.inner));
  const std::int64_t blocks = (shape.channels + channels - 1) / channels;
  ParallelFor(blocks, work, [&](std::int64_t i) {
    const std::int64_t first = i * channels;
    const ChannelBlock block = {shape.rows, shape.channels * shape.inner,
                                std::min(channels, shape.channels - first),
                                shape.inner};
    body(block, first, first * shape.inner);
  });
}

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_CHANNEL_LOOPS_HPP_

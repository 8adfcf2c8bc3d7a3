#include "ul2q/kernels/moments.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "ul2q/kernels/blocks.hpp"
#include "ul2q/kernels/finite.hpp"
#include "ul2q/kernels/sums.hpp"

namespace ul2q {
namespace {

/// Sum of term(i) over [begin, end): independent partial sums that the
/// compiler keeps in vector registers, in an order that is always the same.
template <typename Term>
double Sum(std::int64_t begin, std::int64_t end, const Term& term) {
  constexpr int kLanes = 8;
  double lanes[kLanes] = {};
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += term(i + lane);
    }
  }
  for (; i < end; ++i) {
    lanes[0] += term(i);
  }
  return std::accumulate(lanes, lanes + kLanes, 0.0);
}

struct Block {
  double count, mean, squares, min, max;
};

template <typename Dtype>
Block BlockMoments(const Dtype* w, std::int64_t begin, std::int64_t end) {
  Block block;
  block.count = static_cast<double>(end - begin);
  // About the first element: exact for a constant block, whatever its value.
  const double origin = w[begin];
  block.mean = origin + Sum(begin, end, [=](std::int64_t i) {
                          return w[i] - origin;
                        }) / block.count;
  const double mean = block.mean;
  block.squares = Sum(begin, end, [=](std::int64_t i) {
    const double deviation = w[i] - mean;
    return deviation * deviation;
  });
  Dtype low = w[begin], high = w[begin];
  for (std::int64_t i = begin; i < end; ++i) {
    low = w[i] < low ? w[i] : low;
    high = w[i] > high ? w[i] : high;
  }
  block.min = low;
  block.max = high;
  return block;
}

Block Merge(const Block& a, const Block& b) {
  Block merged;
  merged.count = a.count + b.count;
  const double delta = b.mean - a.mean;
  merged.mean = a.mean + delta * (b.count / merged.count);
  merged.squares = a.squares + b.squares +
                   delta * delta * (a.count / merged.count) * b.count;
  merged.min = std::min(a.min, b.min);
  merged.max = std::max(a.max, b.max);
  return merged;
}

}  // namespace

template <typename Dtype>
Moments ComputeMoments(const Dtype* w, std::int64_t n) {
  if (n == 0) {
    return {};
  }
  std::vector<Block> blocks(BlockCount(n));
  ForEachBlock(n,
               [&](std::int64_t block, std::int64_t begin, std::int64_t end) {
                 blocks[block] = BlockMoments(w, begin, end);
               });
  const Block total =
      std::accumulate(blocks.begin() + 1, blocks.end(), blocks.front(), Merge);
  if (!std::isfinite(total.squares)) {
    ThrowNonFinite(w, n, "variance");
  }
  return {total.mean, std::sqrt(total.squares / total.count), total.min,
          total.max};
}

template <typename Dtype>
double MeanSquaredError(const Dtype* a, const Dtype* b, std::int64_t n) {
  if (n == 0) {
    return 0;
  }
  const auto [sum] = SumTerms<1>(n, [a, b](std::int64_t i, auto& sums) {
    const double error = static_cast<double>(a[i]) - b[i];
    sums[0] += error * error;
  });
  return sum / static_cast<double>(n);
}

template Moments ComputeMoments(const float*, std::int64_t);
template Moments ComputeMoments(const double*, std::int64_t);
template double MeanSquaredError(const float*, const float*, std::int64_t);
template double MeanSquaredError(const double*, const double*, std::int64_t);

}  // namespace ul2q

#include "ul2q/kernels/moments.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <tuple>
#include <vector>

#include "ul2q/kernels/blocks.hpp"
#include "ul2q/kernels/finite.hpp"
#include "ul2q/kernels/loops.hpp"
#include "ul2q/kernels/sums.hpp"

namespace ul2q {
namespace {

struct Block {
  double count, mean, squares, min, max;
};

template <typename Dtype>
Block MomentsOf(const BlockSums<Dtype>& sums, std::int64_t n) {
  Block block;
  block.count = static_cast<double>(n);
  block.mean = sums.origin + sums.deviation / block.count;
  // The origin is an element: at most log2(n) of the 53 bits cancel, and the
  // difference is negative only where squares underflow.
  block.squares = sums.square - sums.deviation * (sums.deviation / block.count);
  block.squares = block.squares < 0 ? 0 : block.squares;
  block.min = sums.min;
  block.max = sums.max;
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

/// Of n elements, from the sums of their blocks.
template <typename Dtype>
Block MergedMomentsOf(const BlockSums<Dtype>* sums, std::int64_t n) {
  Block merged = MomentsOf(*sums, std::min(kBlockSize, n));
  for (std::int64_t i = kBlockSize; i < n; i += kBlockSize) {
    merged = Merge(merged, MomentsOf(*++sums, std::min(kBlockSize, n - i)));
  }
  return merged;
}

}  // namespace

template <typename Dtype>
Moments ComputeMoments(const Dtype* w, std::int64_t n) {
  if (n == 0) {
    return {};
  }
  const auto sum = std::get<MomentLoop<Dtype>>(Loops()).sum;
  std::vector<Block> groups(GroupCount(n));
  ForEachThread(n, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; i += kGroupSize) {
      const std::int64_t size = std::min(kGroupSize, end - i);
      BlockSums<Dtype> sums[kGroupSize / kBlockSize];
      sum(w + i, size, w + i + kGroupSize, sums);
      groups[i / kGroupSize] = MergedMomentsOf(sums, size);
    }
  });
  const Block total =
      std::accumulate(groups.begin() + 1, groups.end(), groups.front(), Merge);
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
  const auto [sum] = SumTerms(SquaredError<Dtype>{a, b}, n);
  return sum / static_cast<double>(n);
}

template Moments ComputeMoments(const float*, std::int64_t);
template Moments ComputeMoments(const double*, std::int64_t);
template double MeanSquaredError(const float*, const float*, std::int64_t);
template double MeanSquaredError(const double*, const double*, std::int64_t);

}  // namespace ul2q

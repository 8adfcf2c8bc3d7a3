#ifndef UL2Q_KERNELS_SUMS_HPP_
#define UL2Q_KERNELS_SUMS_HPP_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ul2q/kernels/blocks.hpp"

namespace ul2q {

/// Sums of several terms over [0, n) in double precision: add(i, sums) adds
/// the terms of element i. Each block has sums of its own, which are added in
/// order: the result does not depend on the number of threads.
template <std::size_t kTerms, typename Add>
std::array<double, kTerms> SumTerms(std::int64_t n, const Add& add) {
  using Sums = std::array<double, kTerms>;
  std::vector<Sums> blocks(BlockCount(n));
  ForEachBlock(n,
               [&](std::int64_t block, std::int64_t begin, std::int64_t end) {
                 Sums sums = {};
                 for (std::int64_t i = begin; i < end; ++i) {
                   add(i, sums);
                 }
                 blocks[block] = sums;
               });
  Sums total = {};
  for (const Sums& sums : blocks) {
    for (std::size_t term = 0; term < kTerms; ++term) {
      total[term] += sums[term];
    }
  }
  return total;
}

}  // namespace ul2q

#endif  // UL2Q_KERNELS_SUMS_HPP_

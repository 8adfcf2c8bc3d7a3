#ifndef UL2Q_CORE_KERNELS_SUMS_HPP_
#define UL2Q_CORE_KERNELS_SUMS_HPP_

#include <cstddef>
#include <cstdint>
#include <tuple>
#include <vector>

#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/core/kernels/loops.hpp"

namespace ul2q {

/// Sums of terms.hpp's terms over [0, n). Each block has sums of its own, which
/// are added in order: the result does not depend on the number of threads.
template <typename Terms>
TermSums<Terms::kCount> SumTerms(const Terms& terms, std::int64_t n) {
  const auto sum = std::get<TermLoop<Terms>>(Loops()).sum;
  std::vector<TermSums<Terms::kCount>> blocks(BlockCount(n));
  ForEachBlock(n,
               [&](std::int64_t block, std::int64_t begin, std::int64_t end) {
                 blocks[block] = sum(terms, begin, end);
               });
  TermSums<Terms::kCount> total = {};
  for (const auto& sums : blocks) {
    for (std::size_t term = 0; term < total.size(); ++term) {
      total[term] += sums[term];
    }
  }
  return total;
}

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_SUMS_HPP_

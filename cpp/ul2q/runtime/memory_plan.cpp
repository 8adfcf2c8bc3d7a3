#include "ul2q/runtime/memory_plan.hpp"

#include <algorithm>
#include <numeric>

namespace ul2q {
namespace runtime {

MemoryPlan PlanMemory(const std::vector<Lifetime>& arrays) {
  std::vector<int> order(arrays.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return arrays[a].bytes > arrays[b].bytes;
  });
  MemoryPlan plan;
  plan.offsets.assign(arrays.size(), 0);
  std::vector<int> placed;  // by their offsets
  for (const int i : order) {
    const Lifetime& array = arrays[i];
    std::int64_t offset = 0;
    for (const int j : placed) {
      const Lifetime& other = arrays[j];
      const bool meets = array.first <= other.last && other.first <= array.last;
      if (meets && plan.offsets[j] < offset + array.bytes) {
        offset = std::max(offset, plan.offsets[j] + other.bytes);
      }
    }
    plan.offsets[i] = offset;
    plan.bytes = std::max(plan.bytes, offset + array.bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](int a, int b) {
                                     return plan.offsets[a] < plan.offsets[b];
                                   }),
                  i);
  }
  return plan;
}

}  // namespace runtime
}  // namespace ul2q

#ifndef UL2Q_RUNTIME_MEMORY_PLAN_HPP_
#define UL2Q_RUNTIME_MEMORY_PLAN_HPP_

#include <cstdint>
#include <vector>

namespace ul2q {
namespace runtime {

/// An array that lives from the step that writes it to the last that reads it.
struct Lifetime {
  std::int64_t bytes;
  int first, last;
};

/// Offsets at which arrays that live at the same time do not overlap, and where
/// the last of them ends.
struct MemoryPlan {
  std::vector<std::int64_t> offsets;
  std::int64_t bytes = 0;
};

/// The largest first, each at the lowest place that is free for its lifetime.
MemoryPlan PlanMemory(const std::vector<Lifetime>& arrays);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_MEMORY_PLAN_HPP_

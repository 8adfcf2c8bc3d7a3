#include <gtest/gtest.h>

#include <vector>

#include "ul2q/runtime/memory_plan.hpp"

namespace ul2q {
namespace runtime {
namespace {

bool Overlap(std::int64_t a, std::int64_t a_end, std::int64_t b,
             std::int64_t b_end) {
  return a < b_end && b < a_end;
}

TEST(MemoryPlan, KeepsApartWhatLivesAtTheSameTime) {
  std::vector<Lifetime> arrays;
  for (int i = 0; i < 60; ++i) {
    arrays.push_back({64 * (1 + i * 7 % 11), i / 2, i / 2 + i * 5 % 7});
  }
  const MemoryPlan plan = PlanMemory(arrays);
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    EXPECT_LE(plan.offsets[i] + arrays[i].bytes, plan.bytes);
    for (std::size_t j = 0; j < i; ++j) {
      const bool meet = arrays[i].first <= arrays[j].last &&
                        arrays[j].first <= arrays[i].last;
      EXPECT_FALSE(meet &&
                   Overlap(plan.offsets[i], plan.offsets[i] + arrays[i].bytes,
                           plan.offsets[j], plan.offsets[j] + arrays[j].bytes))
          << i << " and " << j;
    }
  }
}

TEST(MemoryPlan, UsesMemoryAgain) {
  // A chain, in which each array is read once: two of them live at a time.
  std::vector<Lifetime> arrays;
  for (int i = 0; i < 20; ++i) {
    arrays.push_back({128, i, i + 1});
  }
  EXPECT_EQ(256, PlanMemory(arrays).bytes);
}

}  // namespace
}  // namespace runtime
}  // namespace ul2q

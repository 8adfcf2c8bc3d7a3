// The factors of the learning rate, against values of the formulas by hand.
// tests/caffe/test_learning_rate.py holds solvers' rates against NumPy.

#include <gtest/gtest.h>

#include <climits>
#include <cmath>

#include "support/learning_rate.hpp"

namespace ul2q {
namespace {

TEST(LearningRateTest, CosineFallsFromOneToZero) {
  EXPECT_EQ(CosineDecay(0, 8), 1);
  EXPECT_DOUBLE_EQ(CosineDecay(2, 8), 0.5 + std::sqrt(0.125));
  EXPECT_DOUBLE_EQ(CosineDecay(4, 8), 0.5);
  EXPECT_DOUBLE_EQ(CosineDecay(6, 9), 0.25);
  EXPECT_EQ(CosineDecay(8, 8), 0);
  EXPECT_EQ(CosineDecay(12, 8), 0);
}

TEST(LearningRateTest, WarmUpRisesInEqualSteps) {
  for (int iter = 0; iter < 4; ++iter) {
    EXPECT_EQ(WarmUp(iter, 4), 0.25 * (iter + 1)) << iter;
  }
  EXPECT_EQ(WarmUp(4, 4), 1);
  EXPECT_EQ(WarmUp(INT_MAX, 4), 1);
  EXPECT_EQ(WarmUp(0, 1), 1);
  EXPECT_EQ(WarmUp(0, 0), 1);
}

}  // namespace
}  // namespace ul2q

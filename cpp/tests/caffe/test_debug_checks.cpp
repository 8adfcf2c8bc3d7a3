// The checks as a debug build compiles them: DCHECK is CHECK, and glog builds
// its comparisons another way.
#define DCHECK_ALWAYS_ON

#include <glog/logging.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace ul2q {
namespace {

TEST(DebugCheckTest, Throws) {
  const int one = 1;
  const struct {
    std::function<void()> action;
    std::string message;
  } cases[] = {
      {[&] { DCHECK(one == 2) << "words"; }, "Check failed: one == 2 words"},
      {[&] { DCHECK_EQ(one, 2) << "words"; },
       "Check failed: one == 2 (1 vs. 2) words"},
      {[&] { CHECK_LT(one, 0) << "words"; },
       "Check failed: one < 0 (1 vs. 0) words"},
  };
  for (const auto& c : cases) {
    try {
      c.action();
      ADD_FAILURE() << "nothing was thrown: " << c.message;
    } catch (const CaffeError& error) {
      EXPECT_EQ(error.message(), c.message);
    }
  }
  EXPECT_NO_THROW(DCHECK_NE(one, 2));
}

}  // namespace
}  // namespace ul2q

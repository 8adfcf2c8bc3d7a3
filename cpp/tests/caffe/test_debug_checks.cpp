// The checks as a debug build compiles them: DCHECK is CHECK, and glog builds
// its comparisons another way.
#define DCHECK_ALWAYS_ON

#include <glog/logging.h>
#include <gtest/gtest.h>

#include <functional>
#include <regex>
#include <string>

namespace ul2q {
namespace {

TEST(DebugCheckTest, Throws) {
  const int one = 1;
  const struct {
    std::function<void()> action;
    std::string message;
  } cases[] = {
      {[&] { DCHECK(one == 2) << "words"; },
       "words [test_debug_checks.cpp:L: one == 2]"},
      {[&] { DCHECK_EQ(one, 2) << "words"; },
       "words [test_debug_checks.cpp:L: one == 2 (1 vs. 2)]"},
      {[&] { CHECK_LT(one, 0) << "words"; },
       "words [test_debug_checks.cpp:L: one < 0 (1 vs. 0)]"},
  };
  for (const auto& c : cases) {
    try {
      c.action();
      ADD_FAILURE() << "nothing was thrown: " << c.message;
    } catch (const CaffeError& error) {
      const std::regex line("cpp:[0-9]+");
      EXPECT_EQ(std::regex_replace(error.what(), line, "cpp:L"), c.message);
    }
  }
  EXPECT_NO_THROW(DCHECK_NE(one, 2));
}

}  // namespace
}  // namespace ul2q

// What the tests of all folders share; it needs no more than ul2q/core.
#ifndef UL2Q_TESTS_CORE_SUPPORT_HPP_
#define UL2Q_TESTS_CORE_SUPPORT_HPP_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace ul2q {

using Dtypes = ::testing::Types<float, double>;

/// `n` normal values, the same for the same seed.
template <typename Dtype>
std::vector<Dtype> Normal(std::int64_t n, unsigned seed, double mean = 0,
                          double sigma = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> distribution(mean, sigma);
  std::vector<Dtype> values(n);
  for (Dtype& value : values) {
    value = static_cast<Dtype>(distribution(engine));
  }
  return values;
}

/// The message of the `Error` that `action` throws; a test failure and "" if it
/// throws none.
template <typename Error, typename Action>
std::string MessageOf(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

inline void ExpectWords(const std::string& text,
                        const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    EXPECT_NE(text.find(word), std::string::npos)
        << "no \"" << word << "\" in: " << text;
  }
}

/// Equal to a few roundings of the largest element: what is left when the same
/// sums run over the same values.
template <typename Dtype>
void ExpectClose(const std::vector<Dtype>& expected,
                 const std::vector<Dtype>& actual, const char* what) {
  ASSERT_EQ(expected.size(), actual.size()) << what;
  Dtype largest = 0;
  for (const Dtype value : expected) {
    largest = std::max(largest, std::abs(value));
  }
  const Dtype tolerance =
      32 * std::numeric_limits<Dtype>::epsilon() * std::max(largest, Dtype(1));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(expected[i], actual[i], tolerance) << what << " at " << i;
  }
}

}  // namespace ul2q

#endif  // UL2Q_TESTS_CORE_SUPPORT_HPP_

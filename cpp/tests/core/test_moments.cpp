#include <gtest/gtest.h>
#include <omp.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "core/reference.hpp"
#include "core/support.hpp"
#include "ul2q/core/kernels/moments.hpp"
#include "ul2q/core/quantizer.hpp"

namespace ul2q {
namespace {

// Lanes, blocks and the threshold for threads begin and end around these.
constexpr std::int64_t kSizes[] = {0,
                                   1,
                                   2,
                                   3,
                                   7,
                                   8,
                                   9,
                                   2047,
                                   2048,
                                   2049,
                                   100000,
                                   (1 << 20) - 1,
                                   (1 << 20) + 1};

template <typename Dtype>
class MomentsTest : public ::testing::Test {};
TYPED_TEST_SUITE(MomentsTest, Dtypes);

TYPED_TEST(MomentsTest, AreThoseOfAPlainLoop) {
  const struct {
    double mean, sigma;
    double tolerance;  // relative, of sigma
  } cases[] = {
      {0, 1, 1e-13},         {-3, 0.05, 1e-13},
      {1000, 1, 1e-12},       // 1000 sigma away
      {-1e5, 0.1, 1e-9},      // a million
      {1e-30, 1e-33, 1e-12},  // float squares would underflow
      {0, 1e30, 1e-13},       // float squares would overflow
  };
  for (const auto& c : cases) {
    for (const std::int64_t n : kSizes) {
      SCOPED_TRACE("mean " + std::to_string(c.mean) + ", n " +
                   std::to_string(n));
      const auto w = Normal<TypeParam>(n, 7, c.mean, c.sigma);
      const PlainMoments expected = ComputePlainMoments(w);
      const Moments actual = ComputeMoments(w.data(), n);
      EXPECT_EQ(static_cast<double>(expected.min), actual.min);
      EXPECT_EQ(static_cast<double>(expected.max), actual.max);
      const double scale = std::abs(c.mean) + c.sigma;
      EXPECT_NEAR(static_cast<double>(expected.mean), actual.mean,
                  1e-15 * scale);
      EXPECT_NEAR(static_cast<double>(expected.sigma), actual.sigma,
                  c.tolerance * static_cast<double>(expected.sigma));
    }
  }
}

TYPED_TEST(MomentsTest, OfConstantsHaveNoSigma) {
  const TypeParam values[] = {
      0,     TypeParam(-0.0),   TypeParam(0.1),
      -1e30, TypeParam(1) / 3,  std::numeric_limits<TypeParam>::denorm_min(),
      1e30,  TypeParam(1e-310), std::numeric_limits<TypeParam>::max()};
  for (const TypeParam value : values) {
    for (const std::int64_t n : kSizes) {
      if (n == 0) {
        continue;
      }
      SCOPED_TRACE(std::to_string(value) + ", n " + std::to_string(n));
      const std::vector<TypeParam> w(n, value);
      const Moments moments = ComputeMoments(w.data(), n);
      EXPECT_EQ(moments.sigma, 0);
      EXPECT_EQ(moments.mean, value);
      EXPECT_EQ(moments.min, value);
      EXPECT_EQ(moments.max, value);
    }
  }
}

TYPED_TEST(MomentsTest, NameTheFirstElementThatIsNotFinite) {
  constexpr TypeParam kInfinity = std::numeric_limits<TypeParam>::infinity();
  const struct {
    TypeParam value;
    const char* words;
  } cases[] = {
      {std::numeric_limits<TypeParam>::quiet_NaN(), "NaN"},
      {kInfinity, "an infinite value"},
      {-kInfinity, "an infinite value"},
  };
  for (const auto& c : cases) {
    for (const std::int64_t n : {1, 9, 2049, 50000}) {
      for (const std::int64_t at : {std::int64_t{0}, n / 2, n - 1}) {
        auto w = Normal<TypeParam>(n, 3);
        w[at] = c.value;
        w[n - 1] = c.value;
        const std::string message =
            MessageOf<NonFiniteError>([&] { ComputeMoments(w.data(), n); });
        EXPECT_EQ(message, std::string("holds ") + c.words + " at element " +
                               std::to_string(at) + " of " + std::to_string(n));
      }
    }
  }
}

TEST(MomentsRangeTest, OfDoublesThatOverflowAreRefused) {
  const double largest = std::numeric_limits<double>::max();
  for (const double large : {1e160, largest}) {
    const std::vector<double> w = {large, -large, 1};
    ExpectWords(
        MessageOf<NonFiniteError>([&] { ComputeMoments(w.data(), w.size()); }),
        {"variance overflows"});
  }
}

TEST(MomentsRangeTest, OfDoublesTooCloseToTellApartHaveNoSigma) {
  const std::vector<double> w = {1e-200, -1e-200, 0};
  const Moments moments = ComputeMoments(w.data(), w.size());
  EXPECT_EQ(moments.sigma, 0);
  EXPECT_EQ(moments.max, 1e-200);
}

TEST(MomentsRangeTest, OfTheLargestFloatsAreFinite) {
  const float largest = std::numeric_limits<float>::max();
  const std::vector<float> w = {largest, -largest};
  EXPECT_EQ(ComputeMoments(w.data(), w.size()).sigma, largest);
}

TYPED_TEST(MomentsTest, DoNotDependOnTheThreads) {
  const auto a = Normal<TypeParam>(1 << 20, 11, 3, 2);
  const auto b = Normal<TypeParam>(1 << 20, 12, 3, 2);
  const int threads_before = omp_get_max_threads();
  std::vector<Moments> moments;
  std::vector<double> errors;
  for (const int threads : {1, 2, 16}) {
    omp_set_num_threads(threads);
    moments.push_back(ComputeMoments(a.data(), a.size()));
    errors.push_back(MeanSquaredError(a.data(), b.data(), a.size()));
  }
  omp_set_num_threads(threads_before);
  for (const std::size_t i : {1, 2}) {
    EXPECT_EQ(moments[0].mean, moments[i].mean);
    EXPECT_EQ(moments[0].sigma, moments[i].sigma);
    EXPECT_EQ(errors[0], errors[i]);
  }
}

TYPED_TEST(MomentsTest, MeanSquaredErrorIsThatOfAPlainLoop) {
  for (const std::int64_t n : kSizes) {
    const auto a = Normal<TypeParam>(n, 5, 100, 1);
    const auto b = Normal<TypeParam>(n, 6, 100, 1);
    long double expected = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      const long double error = static_cast<long double>(a[i]) - b[i];
      expected += error * error / n;
    }
    EXPECT_NEAR(static_cast<double>(expected),
                MeanSquaredError(a.data(), b.data(), n),
                1e-13 * static_cast<double>(expected))
        << n;
    EXPECT_EQ(MeanSquaredError(a.data(), a.data(), n), 0);
  }
}

}  // namespace
}  // namespace ul2q

// The loops on arrays, on every instruction set that this processor has: the
// same bits as plain loops written here.

#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <omp.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/reference.hpp"
#include "core/support.hpp"
#include "ul2q/core/kernels/arrays.hpp"
#include "ul2q/core/kernels/magnitudes.hpp"
#include "ul2q/core/kernels/moments.hpp"
#include "ul2q/core/kernels/sign.hpp"
#include "ul2q/core/kernels/ternary.hpp"
#include "ul2q/core/kernels/uniform.hpp"
#include "ul2q/core/method.hpp"

namespace ul2q {
namespace {

std::vector<std::int64_t> Targets() {
  std::vector<std::int64_t> targets;
  for (std::int64_t rest = hwy::SupportedTargets(); rest != 0;
       rest &= rest - 1) {
    targets.push_back(rest & -rest);
  }
  return targets;
}

/// Calls body() once for each instruction set, in it.
template <typename Body>
void OnEachTarget(const Body& body) {
  for (const std::int64_t target : Targets()) {
    SCOPED_TRACE(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    body();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

/// Calls body() with 1, 2 and 16 threads.
template <typename Body>
void OnEachThreadCount(const Body& body) {
  const int threads_before = omp_get_max_threads();
  for (const int threads : {1, 2, 16}) {
    SCOPED_TRACE(std::to_string(threads) + " threads");
    omp_set_num_threads(threads);
    body();
  }
  omp_set_num_threads(threads_before);
}

/// Unlike ==, tells 0 from -0.
template <typename Value>
::testing::AssertionResult SameBits(const std::vector<Value>& expected,
                                    const Value* actual) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::memcmp(&expected[i], &actual[i], sizeof(Value)) != 0) {
      return ::testing::AssertionFailure()
             << "element " << i << " of " << expected.size() << " is "
             << actual[i] << ", not " << expected[i];
    }
  }
  return ::testing::AssertionSuccess();
}

// The grids' formulas once more.

template <typename Dtype>
struct PlainGrid {
  std::int32_t (*code)(const PlainGrid& grid, Dtype w);
  Dtype scale, shift, threshold, offset, lowest, highest;

  Dtype Value(std::int32_t code) const {
    return scale * (static_cast<Dtype>(code) - offset) + shift;
  }
};

template <typename Dtype>
std::int32_t PlainUniformCode(const PlainGrid<Dtype>& grid, Dtype w) {
  if (grid.scale == 0) {
    return 0;
  }
  const Dtype position =
      PlainQuotient<Dtype>(w - grid.shift, grid.scale) + grid.offset;
  return static_cast<std::int32_t>(
      std::round(std::fmin(std::fmax(position, grid.lowest), grid.highest)));
}

template <typename Dtype>
std::int32_t PlainTernaryCode(const PlainGrid<Dtype>& grid, Dtype w) {
  return std::fabs(w) <= grid.threshold ? 0 : (w < 0 ? -1 : 1);
}

template <typename Dtype>
std::int32_t PlainSignCode(const PlainGrid<Dtype>&, Dtype w) {
  return w < 0 ? -1 : 1;
}

/// Normal values with extremes and borders between codes among them.
template <typename Dtype>
std::vector<Dtype> Values(std::int64_t n, Dtype scale) {
  using Limits = std::numeric_limits<Dtype>;
  std::vector<Dtype> values = Normal<Dtype>(n, 21, 0.1, 2);
  const Dtype special[] = {0,
                           Dtype(-0.0),
                           Limits::denorm_min(),
                           -Limits::min(),
                           Dtype(1e38),
                           Dtype(-1e38),
                           scale / 2,
                           -scale / 2,
                           std::nextafter(scale / 2, Dtype(0)),
                           std::nextafter(scale / 2, scale),
                           scale,
                           3 * scale / 2};
  for (std::int64_t i = 0; i < n; i += 3) {
    values[i] = special[i / 3 % std::size(special)];
  }
  return values;
}

/// Lanes, blocks, tiles and the threshold for threads begin and end
/// around these.
std::vector<std::int64_t> Sizes() {
  std::vector<std::int64_t> sizes = {2047, 2048,  2049,  8191,  8192,
                                     8193, 32767, 32769, 40960, 100003};
  for (std::int64_t n = 0; n <= 70; ++n) {
    sizes.push_back(n);
  }
  return sizes;
}

template <typename Dtype>
class KernelsTest : public ::testing::Test {
 protected:
  template <template <typename> class Grid>
  static void ExpectPlainLoops(const Grid<Dtype>& grid,
                               const PlainGrid<Dtype>& plain, std::int64_t most,
                               std::int64_t misaligned) {
    for (const std::int64_t n : Sizes()) {
      if (n > most) {
        continue;
      }
      const std::vector<Dtype> w = Values<Dtype>(n, plain.scale);
      std::vector<std::int32_t> codes(n);
      std::vector<Dtype> values(n);
      for (std::int64_t i = 0; i < n; ++i) {
        codes[i] = plain.code(plain, w[i]);
        values[i] = plain.Value(codes[i]);
      }
      std::vector<Dtype> in(n + misaligned), out(n + misaligned + 1);
      std::vector<std::int32_t> out_codes(n + misaligned + 1);
      Dtype* const from = in.data() + misaligned;
      Dtype* const to = out.data() + misaligned;
      const Dtype end = to[n] = 123;
      EncodeArray(grid, std::copy(w.begin(), w.end(), from) - n, n,
                  out_codes.data() + misaligned);
      ASSERT_TRUE(SameBits(codes, out_codes.data() + misaligned));
      DecodeArray(grid, out_codes.data() + misaligned, n, to);
      ASSERT_TRUE(SameBits(values, to));
      for (const Stores stores : {Stores::kOrdinary, Stores::kStreaming}) {
        std::fill(to, to + n, Dtype(7));
        QuantizeArray(grid, from, n, to, stores);
        ASSERT_TRUE(SameBits(values, to));
      }
      QuantizeArray(grid, from, n, from);
      ASSERT_TRUE(SameBits(values, from)) << "in place";
      ASSERT_EQ(to[n], end);
    }
  }
};
TYPED_TEST_SUITE(KernelsTest, Dtypes);

TYPED_TEST(KernelsTest, UniformGridsAreThoseOfPlainLoops) {
  using Dtype = TypeParam;
  OnEachTarget([] {
    for (int bits = 1; bits <= 16; ++bits) {
      for (const Dtype offset : {Dtype(0.5), Dtype(0)}) {
        SCOPED_TRACE(std::to_string(bits) + " bits, offset " +
                     std::to_string(offset));
        const std::int32_t half = 1 << (bits - 1);
        const typename UniformGrid<Dtype>::Shape shape = {
            offset > 0 ? 1 - half : -half, offset > 0 ? half : half - 1,
            offset};
        const Dtype scale = Dtype(3.7) / static_cast<Dtype>(half);
        const ScaleShift<Dtype> fit = {scale, offset / 8};
        const PlainGrid<Dtype> plain = {&PlainUniformCode<Dtype>,
                                        fit.scale,
                                        fit.shift,
                                        0,
                                        offset,
                                        static_cast<Dtype>(shape.lowest),
                                        static_cast<Dtype>(shape.highest)};
        const bool all_sizes = offset > 0 && (bits == 2 || bits == 16);
        KernelsTest<Dtype>::ExpectPlainLoops(UniformGrid<Dtype>(fit, shape),
                                             plain, all_sizes ? 1 << 20 : 8193,
                                             bits % 4);
      }
    }
  });
}

TYPED_TEST(KernelsTest, GridsWithoutAStepAreThoseOfPlainLoops) {
  using Dtype = TypeParam;
  OnEachTarget([] {
    const ScaleShift<Dtype> fit = {0, Dtype(0.3)};
    KernelsTest<Dtype>::ExpectPlainLoops(
        UniformGrid<Dtype>(fit, {-1, 2, Dtype(0.5)}),
        {&PlainUniformCode<Dtype>, 0, fit.shift, 0, Dtype(0.5), -1, 2}, 8193,
        1);
  });
}

// 1/scale overflows, or just does not, or is itself denormal.
TYPED_TEST(KernelsTest, GridsWithExtremeStepsAreThoseOfPlainLoops) {
  using Dtype = TypeParam;
  using Limits = std::numeric_limits<Dtype>;
  OnEachTarget([] {
    for (const Dtype scale :
         {Limits::denorm_min(), 3 * Limits::denorm_min(), Limits::min() / 4,
          std::nextafter(Limits::min() / 4, Dtype(1)), Limits::min(),
          Limits::max() / 8}) {
      SCOPED_TRACE(scale);
      const ScaleShift<Dtype> fit = {scale, scale};
      KernelsTest<Dtype>::ExpectPlainLoops(
          UniformGrid<Dtype>(fit, {-1, 2, Dtype(0.5)}),
          {&PlainUniformCode<Dtype>, scale, scale, 0, Dtype(0.5), -1, 2}, 2049,
          1);
    }
  });
}

TYPED_TEST(KernelsTest, TernaryAndSignGridsAreThoseOfPlainLoops) {
  using Dtype = TypeParam;
  OnEachTarget([] {
    const ScaleShift<Dtype> fit = {Dtype(1.3), 0, Dtype(0.65)};
    KernelsTest<Dtype>::ExpectPlainLoops(
        TernaryGrid<Dtype>(fit, {}),
        {&PlainTernaryCode<Dtype>, fit.scale, 0, fit.threshold, 0, -1, 1},
        1 << 20, 1);
    KernelsTest<Dtype>::ExpectPlainLoops(
        SignGrid<Dtype>(fit, {}),
        {&PlainSignCode<Dtype>, fit.scale, 0, 0, 0, -1, 1}, 1 << 20, 3);
  });
}

/// Arrays whose moments are hard to get right.
template <typename Dtype>
std::vector<std::vector<Dtype>> HardArrays() {
  using Limits = std::numeric_limits<Dtype>;
  std::vector<std::vector<Dtype>> arrays;
  for (const std::int64_t n : {1, 2, 15, 16, 17, 63, 65, 2047, 2048, 2049, 8191,
                               8192, 8193, 32769, 100003}) {
    arrays.push_back(Normal<Dtype>(n, 1));
    arrays.push_back(Normal<Dtype>(n, 2, 1000, 1));
    arrays.push_back(Normal<Dtype>(n, 3, -1e-30, 1e-33));
    // Where sums about 0 are just good enough, or not.
    arrays.push_back(Normal<Dtype>(n, 5, 3.9, 1));
    arrays.push_back(Normal<Dtype>(n, 6, -4, 1));
    arrays.push_back(std::vector<Dtype>(n, Dtype(0.1)));
    // A huge outlier at the head of each block, or several of them.
    for (const std::int64_t outliers : {1, 3}) {
      arrays.push_back(Normal<Dtype>(n, 4));
      for (std::int64_t i = 0; i < n; ++i) {
        if (i % 2048 < outliers) {
          arrays.back()[i] = Dtype(1e10);
        }
      }
    }
    for (const Dtype magnitude : {Dtype(1e38), Limits::min()}) {
      arrays.emplace_back(n, magnitude);
      for (std::int64_t i = 1; i < n; i += 2) {
        arrays.back()[i] = -magnitude;
      }
    }
    if (sizeof(Dtype) == sizeof(float)) {  // a double's square would underflow
      arrays.emplace_back(n, Limits::denorm_min());
      arrays.back()[n / 2] = -7 * Limits::denorm_min();
    } else {
      arrays.pop_back();
      // The squares about 0 overflow, underflow, or nearly do.
      for (const double magnitude : {1e155, 1e-130, 1e-145}) {
        arrays.push_back(Normal<Dtype>(n, 7, magnitude, 1e-6 * magnitude));
        arrays.push_back(Normal<Dtype>(n, 8, 0, 1e-6 * magnitude));
      }
    }
    arrays.emplace_back(n, Dtype(0));  // of either sign
    arrays.back()[n / 2] = Dtype(-0.0);
  }
  return arrays;
}

std::vector<double> Numbers(const Moments& moments) {
  return {moments.mean, moments.sigma, moments.min, moments.max};
}

TYPED_TEST(KernelsTest, MomentsAreRightAndTheSameBitsEverywhere) {
  for (const auto& w : HardArrays<TypeParam>()) {
    SCOPED_TRACE(std::to_string(w.size()) + " elements from " +
                 std::to_string(w[0]));
    const std::int64_t n = static_cast<std::int64_t>(w.size());
    const std::vector<double> first = Numbers(ComputeMoments(w.data(), n));
    const PlainMoments plain = ComputePlainMoments(w);
    const long double size = std::abs(plain.mean) + plain.sigma;
    EXPECT_NEAR(first[0], static_cast<double>(plain.mean),
                static_cast<double>(4e-15L * size));
    EXPECT_NEAR(first[1], static_cast<double>(plain.sigma),
                static_cast<double>(1e-13L * plain.sigma +
                                    3e-16L * std::abs(plain.mean)));
    EXPECT_EQ(first[2], static_cast<double>(plain.min));
    EXPECT_EQ(first[3], static_cast<double>(plain.max));
    OnEachTarget([&] {
      OnEachThreadCount([&] {
        const auto numbers = Numbers(ComputeMoments(w.data(), n));
        EXPECT_TRUE(SameBits(first, numbers.data()));
        std::vector<TypeParam> misaligned(w.size() + 1);
        std::copy(w.begin(), w.end(), misaligned.begin() + 1);
        const auto again = Numbers(ComputeMoments(misaligned.data() + 1, n));
        EXPECT_TRUE(SameBits(first, again.data()));
      });
    });
  }
}

TYPED_TEST(KernelsTest, SumsAreTheSameBitsEverywhere) {
  for (const std::int64_t n : {1, 2, 63, 64, 65, 2049, 100003}) {
    const auto a = Normal<TypeParam>(n, 5, 0.2, 1);
    const auto b = Normal<TypeParam>(n, 6, 0.1, 1);
    const auto sums = [&] {
      std::vector<double> numbers = {
          MeanMagnitude(a.data(), n),
          MeanMagnitudeAbove(a.data(), n, TypeParam(0.7)),
          MeanSquaredError(a.data(), b.data(), n)};
      for (const char* method : {"ul2q", "clip", "ternary", "binary"}) {
        QuantizerOptions options;
        options.fit = Fit::kEmpirical;
        if (method == std::string("ul2q") || method == std::string("clip")) {
          options.bits = 3;
        }
        const auto fit =
            MakeQuantizer<TypeParam>(method, options)->FitTo(a.data(), n);
        numbers.insert(numbers.end(), {fit.scale, fit.shift, fit.threshold});
      }
      return numbers;
    };
    const std::vector<double> first = sums();
    long double magnitude = 0;
    for (const TypeParam x : a) {
      magnitude += std::abs(x) / static_cast<long double>(n);
    }
    EXPECT_NEAR(first[0], static_cast<double>(magnitude), 1e-14);
    OnEachTarget([&] {
      OnEachThreadCount(
          [&] { EXPECT_TRUE(SameBits(first, sums().data())) << n; });
    });
  }
}

// Weights 1024 + k/1024, whose moments follow exactly from integer sums.
TEST(LargeArrayTest, ScaleOfManyWeightsFarFromZeroIsRight) {
  constexpr std::int64_t kElements = 100'000'000;
  std::vector<float> w(kElements);
  std::int64_t sum = 0, squares = 0;
  std::uint32_t state = 1;
  for (float& x : w) {
    state = state * 1664525u + 1013904223u;
    const std::int64_t k = static_cast<std::int64_t>(state >> 20) - 2048;
    x = 1024 + static_cast<float>(k) / 1024;
    sum += k;
    squares += k * k;
  }
  const long double mean = static_cast<long double>(sum) / kElements;
  const long double variance =
      static_cast<long double>(squares) / kElements - mean * mean;
  const double scale =
      static_cast<double>(kPlainExact[1] * std::sqrt(variance) / 1024);
  const auto fit =
      MakeQuantizer<float>("ul2q", {2})->FitTo(w.data(), kElements);
  EXPECT_NEAR(fit.scale, scale, 1e-5 * scale);
  EXPECT_NEAR(fit.shift, static_cast<double>(1024 + mean / 1024), 1e-4);
}

}  // namespace
}  // namespace ul2q

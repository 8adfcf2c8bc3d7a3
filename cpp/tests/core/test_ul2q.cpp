#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/reference.hpp"
#include "core/support.hpp"
#include "ul2q/core/kernels/moments.hpp"
#include "ul2q/core/method.hpp"

namespace ul2q {
namespace {

// The steps, held against the optimum found here. Cell j = 1 ... 2^(k-1) of the
// positive half reaches from (j-1)λ to jλ, the last to infinity, and stands for
// the level (j-½)λ. With P the probability of [a, b) under N(0, 1), p its
// density:
//   ∫x p = p(a) - p(b)      ∫x² p = P + a p(a) - b p(b)

struct Cell {
  long double probability, first, second;  ///< ∫p, ∫x p, ∫x² p
};

Cell IntegrateCell(long double a, long double b, bool last) {
  const auto density = [](long double x) {
    return std::exp(-x * x / 2) / std::sqrt(2 * std::acos(-1.0L));
  };
  const auto tail = [](long double x) {
    return std::erfc(x / std::sqrt(2.0L)) / 2;
  };
  const long double end = last ? 0 : density(b);
  Cell cell;
  cell.probability = tail(a) - (last ? 0 : tail(b));
  cell.first = density(a) - end;
  cell.second = cell.probability + a * density(a) - (last ? 0 : b * end);
  return cell;
}

/// Calls visit(j - ½, cell) for the cells of the positive half.
template <typename Visit>
void ForEachCell(int bits, long double step, const Visit& visit) {
  const int cells = 1 << (bits - 1);
  for (int j = 1; j <= cells; ++j) {
    visit(j - 0.5L, IntegrateCell((j - 1) * step, j * step, j == cells));
  }
}

/// E[(x - Q(x))²] for x ~ N(0, 1).
double ExpectedMse(int bits, long double step) {
  long double mse = 0;
  ForEachCell(bits, step, [&](long double level, const Cell& cell) {
    const long double y = level * step;
    mse += 2 * (cell.second - 2 * y * cell.first + y * y * cell.probability);
  });
  return static_cast<double>(mse);
}

/// A quarter of the error's derivative by the step, negated. (What the borders
/// of the cells contribute cancels: both neighbours are equally far.)
long double Descent(int bits, long double step) {
  long double descent = 0;
  ForEachCell(bits, step, [&](long double level, const Cell& cell) {
    descent += level * (cell.first - level * step * cell.probability);
  });
  return descent;
}

/// The step of least squared error, by bisection of the derivative.
double OptimalStep(int bits) {
  long double low = 1.0L / (1 << bits), high = 3;
  for (int i = 0; i < 60; ++i) {
    const long double middle = (low + high) / 2;
    (Descent(bits, middle) > 0 ? low : high) = middle;
  }
  return static_cast<double>(low);
}

/// λ: the scale of an array of mean 0 and standard deviation 1.
double Step(int bits, Fit fit) {
  const double w[] = {-1, 1};
  return MakeQuantizer<double>("ul2q", {bits, fit})->FitTo(w, 2).scale;
}

TEST(Ul2qStepTest, ExactIsTheOptimumToItsPrintedDigits) {
  for (int bits = kMinBits; bits <= kMaxBits; ++bits) {
    const double optimum = OptimalStep(bits);
    EXPECT_NEAR(Step(bits, Fit::kExact), optimum, 1e-9 * optimum)
        << bits << " bits";
  }
}

TEST(Ul2qStepTest, ExactLosesLessThanItsNeighbours) {
  for (int bits = kMinBits; bits <= 8; ++bits) {
    const double step = Step(bits, Fit::kExact);
    const double mse = ExpectedMse(bits, step);
    EXPECT_LT(mse, ExpectedMse(bits, 0.999 * step)) << bits << " bits";
    EXPECT_LT(mse, ExpectedMse(bits, 1.001 * step)) << bits << " bits";
  }
}

TEST(Ul2qStepTest, PaperHasTheLossesOfTableI) {
  for (int bits = kMinBits; bits <= 8; ++bits) {
    const double step = Step(bits, Fit::kPaper);
    EXPECT_EQ(step, kPlainPaper[bits - 1]);
    // The paper measured on samples: 1 bit reads 0.0009 below the optimum.
    EXPECT_NEAR(ExpectedMse(bits, step), kPaperMse[bits - 1],
                bits == 1 ? 1e-3 : 1e-4)
        << bits << " bits";
  }
}

TEST(Ul2qStepTest, PaperCoversTheRangeAboveEightBits) {
  for (int bits = 9; bits <= kMaxBits; ++bits) {
    EXPECT_EQ(Step(bits, Fit::kPaper), 2.0 / ((1 << bits) - 1));
  }
}

template <typename Dtype>
class Ul2qTest : public ::testing::Test {
 protected:
  static std::unique_ptr<Quantizer<Dtype>> Make(int bits,
                                                Fit fit = Fit::kExact) {
    return MakeQuantizer<Dtype>("ul2q", {bits, fit});
  }

  static std::vector<std::int32_t> Encode(const Quantizer<Dtype>& quantizer,
                                          const ScaleShift<Dtype>& fit,
                                          const std::vector<Dtype>& w) {
    std::vector<std::int32_t> codes(w.size());
    quantizer.Encode(fit, w.data(), w.size(), {}, codes.data());
    return codes;
  }

  static std::vector<Dtype> Quantize(const Quantizer<Dtype>& quantizer,
                                     const ScaleShift<Dtype>& fit,
                                     const std::vector<Dtype>& w) {
    std::vector<Dtype> values(w.size());
    quantizer.Quantize(fit, w.data(), w.size(), {}, values.data());
    return values;
  }

  /// Random, degenerate and extreme arrays.
  static std::vector<std::pair<std::string, std::vector<Dtype>>> Arrays() {
    // Squares of doubles underflow below 1e-162.
    const Dtype smallest = sizeof(Dtype) == sizeof(float)
                               ? std::numeric_limits<Dtype>::denorm_min()
                               : Dtype(1e-150);
    std::vector<Dtype> ramp(4001);
    for (std::size_t i = 0; i < ramp.size(); ++i) {
      ramp[i] = static_cast<Dtype>((static_cast<double>(i) - 2000) / 256);
    }
    std::vector<Dtype> outliers = Normal<Dtype>(3000, 4, 0, 0.01);
    outliers[0] = 1000;
    outliers[2999] = -1;
    std::vector<Dtype> tails = Normal<Dtype>(3000, 5);
    for (Dtype& x : tails) {
      x = x * x * x;
    }
    // Squares of doubles overflow from 1e154 on.
    const double huge = sizeof(Dtype) == sizeof(float) ? 3e37 : 1e150;
    return {{"normal", Normal<Dtype>(5000, 1)},
            {"weights", Normal<Dtype>(50000, 2, 0.003, 0.02)},
            {"far from 0", Normal<Dtype>(5000, 3, 50, 0.5)},
            {"ramp", ramp},
            {"outliers", outliers},
            {"heavy tails", tails},
            {"huge", Normal<Dtype>(5000, 6, 0, huge)},
            {"tiny", Normal<Dtype>(5000, 6, 0, 1e-30)},
            {"two values", {-1, 3, 3, -1, 3}},
            {"smallest", {0, smallest, 3 * smallest, -2 * smallest}},
            {"signed zeros", {Dtype(0.0), Dtype(-0.0)}},
            {"constant", std::vector<Dtype>(2500, Dtype(0.1))},
            {"single", {Dtype(-0.7)}},
            {"empty", {}}};
  }
};
TYPED_TEST_SUITE(Ul2qTest, Dtypes);

TYPED_TEST(Ul2qTest, IsAlgorithmOne) {
  constexpr TypeParam kEpsilon = std::numeric_limits<TypeParam>::epsilon();
  constexpr TypeParam kDenormal = std::numeric_limits<TypeParam>::denorm_min();
  for (const auto& [name, w] : this->Arrays()) {
    const PlainMoments moments = ComputePlainMoments(w);
    const auto largest = static_cast<TypeParam>(
        std::max(std::abs(moments.min), std::abs(moments.max)));
    for (const Fit option : {Fit::kExact, Fit::kPaper}) {
      for (int bits = kMinBits; bits <= kMaxBits; ++bits) {
        SCOPED_TRACE(name + ", " + std::to_string(bits) + " bits" +
                     (option == Fit::kPaper ? ", paper" : ""));
        const auto quantizer = this->Make(bits, option);
        const auto fit = quantizer->FitTo(w.data(), w.size());
        const auto expected = PlainFit(w, bits, option);
        ASSERT_NEAR(expected.scale, fit.scale,
                    4 * kEpsilon * expected.scale + kDenormal);
        ASSERT_NEAR(expected.shift, fit.shift,
                    2 * kEpsilon * largest + kDenormal);
        const auto codes = this->Encode(*quantizer, fit, w);
        std::vector<TypeParam> decoded(w.size());
        quantizer->Decode(fit, codes.data(), codes.size(), decoded.data());
        for (std::size_t i = 0; i < w.size(); ++i) {
          ASSERT_EQ(PlainCode(fit, w[i], bits), codes[i]) << "at " << i;
          const auto value = PlainValue(fit, codes[i]);
          ASSERT_NEAR(static_cast<TypeParam>(value), decoded[i],
                      kEpsilon * (std::abs(value) + 2 * std::abs(fit.shift)) +
                          kDenormal)
              << "at " << i;
        }
        ASSERT_EQ(decoded, this->Quantize(*quantizer, fit, w));
        auto in_place = w;
        quantizer->Quantize(fit, in_place.data(), in_place.size(), {},
                            in_place.data());
        ASSERT_EQ(decoded, in_place);
      }
    }
  }
}

// The level chosen is the nearest one: no clipped element is further than half
// a step from its value.
TYPED_TEST(Ul2qTest, TakesTheNearestLevel) {
  const auto w = Normal<TypeParam>(20000, 8, -1, 2);
  for (int bits = 1; bits <= 12; ++bits) {
    const auto quantizer = this->Make(bits);
    const auto fit = quantizer->FitTo(w.data(), w.size());
    const auto values = this->Quantize(*quantizer, fit, w);
    const double reach = fit.scale * std::pow(2.0, bits - 1);
    int inside = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
      if (std::abs(w[i] - fit.shift) < reach) {
        ++inside;
        ASSERT_LE(std::abs(w[i] - values[i]), fit.scale * 0.5001) << bits;
      }
    }
    EXPECT_GT(inside, 17000) << bits;
  }
}

// Ties the steps, the moments and the codes together: on normal data the mse
// is the expected one.
TYPED_TEST(Ul2qTest, HasTheExpectedMseOnNormalData) {
  const auto w = Normal<TypeParam>(200000, 9, 9, 6);
  for (const Fit option : {Fit::kExact, Fit::kPaper}) {
    for (int bits = 1; bits <= 8; ++bits) {
      const auto quantizer = this->Make(bits, option);
      const auto fit = quantizer->FitTo(w.data(), w.size());
      const auto values = this->Quantize(*quantizer, fit, w);
      const double mse =
          MeanSquaredError(w.data(), values.data(), w.size()) / 36;
      const double expected = ExpectedMse(bits, Step(bits, option));
      EXPECT_NEAR(mse, expected, 0.1 * expected) << bits << " bits";
    }
  }
}

TYPED_TEST(Ul2qTest, RoundsHalfAwayFromZeroAndClips) {
  constexpr TypeParam kBelowHalf =
      TypeParam(0.5) - std::numeric_limits<TypeParam>::epsilon() / 4;
  constexpr TypeParam kBelowOneAndHalf =
      TypeParam(1.5) - std::numeric_limits<TypeParam>::epsilon();
  const TypeParam largest = std::numeric_limits<TypeParam>::max();
  // With α = 1 and β = 0 the position is w + ½.
  const struct {
    TypeParam w;
    std::int32_t code;  // of 4 bits: -7 ... 8
  } cases[] = {
      {0, 1},
      {1, 2},
      {-1, -1},
      {-2, -2},
      {-6, -6},
      {TypeParam(-0.5), 0},
      {kBelowHalf - TypeParam(0.5), 0},
      {kBelowOneAndHalf - TypeParam(0.5), 1},
      {std::numeric_limits<TypeParam>::epsilon() / 2 - 1, 0},
      {-kBelowOneAndHalf - TypeParam(0.5), -1},
      {TypeParam(7.25), 8},
      {TypeParam(7.75), 8},
      {8, 8},
      {TypeParam(-7.25), -7},
      {TypeParam(-7.75), -7},
      {-9, -7},
      {TypeParam(1e38), 8},
      {TypeParam(-1e38), -7},
      {largest, 8},
      {-largest, -7},
  };
  const auto quantizer = this->Make(4);
  for (const auto& c : cases) {
    EXPECT_EQ(this->Encode(*quantizer, {1, 0}, {c.w})[0], c.code) << c.w;
  }
}

TYPED_TEST(Ul2qTest, UsesAllLevelsAndNoOther) {
  for (int bits = kMinBits; bits <= kMaxBits; ++bits) {
    const int half = 1 << (bits - 1);
    // A ramp that goes two levels beyond both ends, four elements a level.
    std::vector<TypeParam> w;
    for (int i = -4 * (half + 2); i <= 4 * (half + 2); ++i) {
      w.push_back(static_cast<TypeParam>(i) / 4);
    }
    const auto quantizer = this->Make(bits);
    const auto codes = this->Encode(*quantizer, {1, 0}, w);
    const std::set<std::int32_t> levels(codes.begin(), codes.end());
    EXPECT_EQ(levels.size(), std::size_t{1} << bits);
    EXPECT_EQ(*levels.begin(), 1 - half);
    EXPECT_EQ(*levels.rbegin(), half);
    const auto values = this->Quantize(*quantizer, {1, 0}, w);
    EXPECT_EQ(values.front(), TypeParam(0.5) - half);
    EXPECT_EQ(values.back(), half - TypeParam(0.5));
  }
}

TYPED_TEST(Ul2qTest, OneBitIsPlusMinusHalfAStep) {
  const auto w = Normal<TypeParam>(1000, 10, 2, 3);
  const auto quantizer = this->Make(1);
  const auto fit = quantizer->FitTo(w.data(), w.size());
  const auto values = this->Quantize(*quantizer, fit, w);
  for (std::size_t i = 0; i < w.size(); ++i) {
    EXPECT_NEAR(values[i],
                w[i] < fit.shift ? fit.shift - fit.scale / 2
                                 : fit.shift + fit.scale / 2,
                1e-5);
  }
}

TYPED_TEST(Ul2qTest, LeavesConstantsAsTheyAre) {
  for (const TypeParam value : {TypeParam(0), TypeParam(0.1), TypeParam(-1e30),
                                std::numeric_limits<TypeParam>::denorm_min(),
                                std::numeric_limits<TypeParam>::max()}) {
    for (const std::size_t n : {0, 1, 2, 5000}) {
      for (const Fit option : {Fit::kExact, Fit::kPaper}) {
        for (const int bits : {1, 2, 8, 16}) {
          const std::vector<TypeParam> w(n, value);
          const auto quantizer = this->Make(bits, option);
          const auto fit = quantizer->FitTo(w.data(), n);
          EXPECT_EQ(fit.scale, 0);
          EXPECT_EQ(fit.shift, n == 0 ? 0 : value);
          EXPECT_EQ(this->Encode(*quantizer, fit, w),
                    std::vector<std::int32_t>(n, 0));
          EXPECT_EQ(this->Quantize(*quantizer, fit, w), w);
        }
      }
    }
  }
}

TEST(Ul2qRangeTest, FloatsThatStayFiniteAreQuantised) {
  const float huge = 1e38f;
  const auto quantizer = MakeQuantizer<float>("ul2q", {1, Fit::kExact});
  std::vector<float> w = {huge, -huge};
  const auto fit = quantizer->FitTo(w.data(), w.size());
  quantizer->Quantize(fit, w.data(), w.size(), {}, w.data());
  EXPECT_FLOAT_EQ(w[0], 0.79788456f * huge);
  EXPECT_FLOAT_EQ(w[1], -0.79788456f * huge);
}

TEST(Ul2qRangeTest, ValuesThatOverflowAreRefused) {
  const float largest = std::numeric_limits<float>::max();
  const struct {
    int bits;
    std::vector<float> w;
  } cases[] = {
      {1, {largest, -largest}},     // the scale
      {2, {largest, -largest, 0}},  // the outer level
  };
  for (const auto& c : cases) {
    const auto quantizer = MakeQuantizer<float>("ul2q", {c.bits, Fit::kExact});
    ExpectWords(MessageOf<NonFiniteError>(
                    [&] { quantizer->FitTo(c.w.data(), c.w.size()); }),
                {"quantised values overflow"});
  }
}

TYPED_TEST(Ul2qTest, DoesNotDependOnTheThreads) {
  const auto w = Normal<TypeParam>(1 << 20, 13);
  const auto quantizer = this->Make(4);
  const int threads_before = omp_get_max_threads();
  std::vector<std::vector<TypeParam>> values;
  for (const int threads : {1, 2, 16}) {
    omp_set_num_threads(threads);
    const auto fit = quantizer->FitTo(w.data(), w.size());
    values.push_back(this->Quantize(*quantizer, fit, w));
  }
  omp_set_num_threads(threads_before);
  EXPECT_EQ(values[0], values[1]);
  EXPECT_EQ(values[0], values[2]);
}

TYPED_TEST(Ul2qTest, RefusesWhatItDoesNotKnow) {
  const struct {
    std::string method;
    int bits;
    std::vector<std::string> words;
  } cases[] = {
      {"ul2q", 0, {"bits is 0", "1 to 16"}},
      {"ul2q", 17, {"bits is 17", "1 to 16"}},
      {"ul2q", -1, {"bits is -1", "1 to 16"}},
      {"ulq", 2, {"method is \"ulq\"", "one of", "ul2q"}},
      {"", 2, {"method is \"\"", "ul2q"}},
      {"UL2Q", 2, {"method is \"UL2Q\"", "ul2q"}},
  };
  for (const auto& c : cases) {
    ExpectWords(MessageOf<std::invalid_argument>([&] {
                  MakeQuantizer<TypeParam>(c.method, {c.bits, Fit::kExact});
                }),
                c.words);
  }
}

TEST(ParseFitTest, KnowsItsNames) {
  EXPECT_EQ(ParseFit("exact"), Fit::kExact);
  EXPECT_EQ(ParseFit("paper"), Fit::kPaper);
  ExpectWords(MessageOf<std::invalid_argument>([] { ParseFit("best"); }),
              {"fit is \"best\"", "exact, paper, empirical"});
}

}  // namespace
}  // namespace ul2q

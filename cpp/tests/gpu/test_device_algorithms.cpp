// What kernels do on a CUDA device, run by loops on the host: fits against
// plain formulas, values and gradients against those of the CPU for the same
// fits.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/reference.hpp"
#include "gpu/loop_executor.hpp"
#include "support.hpp"
#include "ul2q/core/channels.hpp"
#include "ul2q/core/method.hpp"
#include "ul2q/gpu/quantize_on.hpp"

namespace ul2q {
namespace {

/// A quantizer's work on the host's device of loops.
template <typename Dtype>
class LoopQuantizer {
 public:
  LoopQuantizer(const Quantizer<Dtype>& quantizer, const ChannelLayout& layout)
      : recipe_(quantizer.recipe()), blocks_(layout) {}

  std::vector<ScaleShift<Dtype>> Fit(const std::vector<Dtype>& w) {
    std::vector<ScaleShift<Dtype>> fits(blocks_.channel_count());
    std::vector<double> memory(FitMemory(recipe_, blocks_).bytes() /
                               sizeof(double));
    status_ = 0;
    FitOn(LoopExecutor(), recipe_, blocks_, w.data(), memory.data(),
          fits.data(), &status_);
    return fits;
  }
  bool has_failed() const { return status_ != 0; }

  ScaleShift<Dtype> Average(const MovingAverage<Dtype>& average,
                            ScaleShift<Dtype> fit) {
    AverageFitOn(LoopExecutor(), recipe_, average, &fit, &status_);
    return fit;
  }

  bool HasOddElement(const std::vector<Dtype>& w) const {
    int status = 0;
    CheckOn(LoopExecutor(), blocks_, w.data(), &status);
    return status != 0;
  }

  std::vector<Dtype> Quantize(const std::vector<ScaleShift<Dtype>>& fits,
                              const std::vector<Dtype>& w,
                              typename Quantizer<Dtype>::Seed seed) const {
    std::vector<Dtype> values(w.size());
    QuantizeOn(LoopExecutor(), recipe_, blocks_, fits.data(), w.data(), seed,
               values.data());
    return values;
  }

  std::vector<Dtype> AddGradient(const std::vector<ScaleShift<Dtype>>& fits,
                                 const std::vector<Dtype>& w,
                                 const std::vector<Dtype>& gradient,
                                 std::vector<Dtype> sum) const {
    AddGradientWithinLevelsOn(LoopExecutor(), recipe_, blocks_, fits.data(),
                              w.data(), gradient.data(), sum.data());
    return sum;
  }

  std::vector<Dtype> PassGradient(const std::vector<ScaleShift<Dtype>>& fits,
                                  const std::vector<Dtype>& w,
                                  std::vector<Dtype> gradient) const {
    PassGradientWithinLevelsOn(LoopExecutor(), recipe_, blocks_, fits.data(),
                               w.data(), gradient.data(), gradient.data());
    return gradient;
  }

 private:
  Recipe<Dtype> recipe_;
  DeviceBlocks blocks_;
  int status_ = 0;
};

/// The elements of a channel, found element by element.
template <typename Dtype>
std::vector<Dtype> ChannelOf(const ChannelLayout& layout,
                             const std::vector<Dtype>& w,
                             std::int64_t channel) {
  std::vector<Dtype> elements;
  for (std::int64_t i = 0; i < layout.size(); ++i) {
    const std::int64_t c = i / layout.inner % layout.channels;
    const std::int64_t group =
        i / (layout.inner * layout.channels * layout.outer);
    if (group * layout.channels + c == channel) {
      elements.push_back(w[i]);
    }
  }
  return elements;
}

// Scales from their definitions.

template <typename Dtype>
long double PlainMagnitude(const std::vector<Dtype>& w, Dtype above) {
  long double sum = 0;
  std::size_t count = 0;
  for (const Dtype x : w) {
    if (std::fabs(x) > above) {
      sum += std::fabs(x);
      ++count;
    }
  }
  return count > 0 ? sum / count : 0;
}

template <typename Dtype>
ScaleShift<Dtype> PlainFitOf(const std::string& method,
                             const QuantizerOptions& options,
                             const std::vector<Dtype>& w) {
  const PlainMoments moments = ComputePlainMoments(w);
  const long double rms = std::hypot(moments.mean, moments.sigma);
  const long double largest = std::max(-moments.min, moments.max);
  const int bits = options.bits.value_or(1);
  ScaleShift<Dtype> fit;
  if (method == "ul2q" && !options.is_signed) {
    // max(x, 0), x ~ N(0, 1), at 2 bits.
    fit.scale = static_cast<Dtype>(0.650769704L * std::sqrt(2.0L) * rms);
  } else if (method == "ul2q" && options.shift == Shift::kZero) {
    fit.scale = static_cast<Dtype>(kPlainExact[bits - 1] * rms);
  } else if (method == "ul2q") {
    fit = PlainFit(w, bits, options.fit);
  } else if (method == "binary") {
    fit.scale = static_cast<Dtype>(PlainMagnitude(w, Dtype(-1)));
  } else if (method == "clip" || method == "fixed_point") {
    const long double scale = options.is_signed
                                  ? largest / std::pow(2.0L, bits - 1)
                                  : moments.max / (std::pow(2.0L, bits) - 1);
    fit.scale = static_cast<Dtype>(
        method == "clip" ? scale : std::exp2(std::ceil(std::log2(scale))));
  } else {
    fit.threshold = static_cast<Dtype>(0.7L * PlainMagnitude(w, Dtype(-1)));
    long double scale = PlainMagnitude(w, fit.threshold);
    if (method == "ternary_quantized") {
      const long double unit =
          std::exp2(std::floor(std::log2(scale)) + 1 - bits);
      scale = std::round(static_cast<Dtype>(scale) / unit) * unit;
    }
    fit.scale = static_cast<Dtype>(scale);
  }
  return fit;
}

struct Case {
  const char* method;
  QuantizerOptions options;

  std::string Of(const ChannelLayout& layout) const {
    return std::string(method) + ", " + std::to_string(*options.bits) +
           " bits, " + std::to_string(layout.size()) + " elements";
  }
};

std::vector<Case> CasesFor(const ChannelLayout& layout) {
  if (layout.size() > 100 * kDeviceBlockSize) {  // enough of so many elements
    return {{"ul2q", {2}}, {"ternary", {2}}};
  }
  std::vector<Case> cases = {
      {"binary", {1}},
      {"ternary", {2}},
      {"ternary_quantized", {4}},
      {"ul2q", {3, Fit::kExact, Shift::kZero}},
      {"ul2q", {4, Fit::kPaper}},
      {"ul2q", {12, Fit::kPaper}},
      {"ul2q", {2, Fit::kExact, {}, Rounding::kNearest, false}},
      {"clip", {5, Fit::kExact, {}, Rounding::kNearest, false}},
      {"fixed_point", {8, Fit::kExact, {}, Rounding::kStochastic}},
  };
  for (const int bits : {1, 2, 3, 4, 8, 12, 16}) {
    for (const char* method : {"ul2q", "clip", "fixed_point"}) {
      cases.push_back({method, {bits}});
    }
  }
  return cases;
}

constexpr ChannelLayout kLayouts[] = {
    {1, 1, 1, 1},                           // one element
    {1, 1, 1, kDeviceBlockSize},            // a whole block
    {1, 1, 1, kDeviceBlockSize + 1},        // and one element more
    {1, 1, 1, 300 * kDeviceBlockSize - 7},  // more blocks than threads
    {8, 1, 1, 45},                          // convolution
    {2, 1, 1, 3 * kDeviceBlockSize + 5},    // blocks a channel
    {3, 4, 5, 9},                           // deconvolution in groups
    {1, 2 * kDeviceBlockSize, 3, 1},        // transposed inner product
    {2, 3, 1, 4},                           // a channel that is its group
};

template <typename Dtype>
class DeviceAlgorithmsTest : public ::testing::Test {
 protected:
  /// Signed values have a mean, unsigned ones are those of a ReLU.
  static std::vector<Dtype> ValuesFor(const Case& test,
                                      const ChannelLayout& layout) {
    auto w = Normal<Dtype>(layout.size(), 5, 0.3, 1.5);
    for (Dtype& x : w) {
      x = test.options.is_signed ? x : std::max(x, Dtype(0.01));
    }
    return w;
  }

  /// Calls body(case, quantizer, layout, w) for the cases of each layout.
  template <typename CasesOf, typename Body>
  static void ForEachCase(const CasesOf& cases_of, const Body& body) {
    for (const ChannelLayout& layout : kLayouts) {
      for (const Case& test : cases_of(layout)) {
        SCOPED_TRACE(test.Of(layout));
        body(test, *MakeQuantizer<Dtype>(test.method, test.options), layout,
             ValuesFor(test, layout));
      }
    }
  }
};
TYPED_TEST_SUITE(DeviceAlgorithmsTest, Dtypes);

TYPED_TEST(DeviceAlgorithmsTest, FitByTheMethodsFormula) {
  this->ForEachCase(&CasesFor, [](const Case& test, const auto& quantizer,
                                  const ChannelLayout& layout, const auto& w) {
    LoopQuantizer<TypeParam> loops(quantizer, layout);
    const auto fits = loops.Fit(w);
    EXPECT_FALSE(loops.has_failed());
    ASSERT_EQ(fits.size(), static_cast<std::size_t>(layout.channel_count()));
    for (std::int64_t channel = 0; channel < layout.channel_count();
         ++channel) {
      const auto expected =
          PlainFitOf(test.method, test.options, ChannelOf(layout, w, channel));
      // Some roundings; double's sums have as many as their order makes.
      const double epsilon = std::numeric_limits<TypeParam>::epsilon();
      const double relative = std::max(4 * epsilon, 1e-13);
      EXPECT_NEAR(fits[channel].scale, expected.scale,
                  relative * expected.scale);
      EXPECT_NEAR(fits[channel].shift, expected.shift, relative * 3);
      EXPECT_NEAR(fits[channel].threshold, expected.threshold,
                  relative * expected.threshold);
    }
  });
}

TYPED_TEST(DeviceAlgorithmsTest, QuantiseAsTheCpuForTheSameFits) {
  this->ForEachCase(&CasesFor, [](const Case& test, const auto& quantizer,
                                  const ChannelLayout& layout, const auto& w) {
    typename Quantizer<TypeParam>::Seed seed;
    if (test.options.rounding == Rounding::kStochastic) {
      seed = 17;
    }
    std::vector<TypeParam> expected(w.size());
    const auto fits =
        QuantizeChannels(quantizer, layout, w.data(), seed, expected.data());
    LoopQuantizer<TypeParam> loops(quantizer, layout);
    EXPECT_EQ(loops.Quantize(fits, w, seed), expected);
    const auto gradient = Normal<TypeParam>(w.size(), 6);
    auto sum = Normal<TypeParam>(w.size(), 7);
    const auto added = loops.AddGradient(fits, w, gradient, sum);
    AddGradientWithinLevels(quantizer, layout, fits, w.data(), gradient.data(),
                            sum.data());
    EXPECT_EQ(added, sum);
    std::vector<TypeParam> passed(w.size());
    AddGradientWithinLevels(quantizer, layout, fits, w.data(), gradient.data(),
                            passed.data());
    EXPECT_EQ(loops.PassGradient(fits, w, gradient), passed);
  });
}

std::vector<Case> SearchedCases(const ChannelLayout& layout) {
  if (layout.size() > 10 * kDeviceBlockSize) {
    return {};  // which takes long, in loops
  }
  std::vector<Case> cases = {
      {"ternary", {2, Fit::kEmpirical}},
      {"ternary_quantized", {4, Fit::kEmpirical}},
      {"ul2q", {3, Fit::kEmpirical, Shift::kZero}},
      {"ul2q", {2, Fit::kEmpirical, {}, Rounding::kNearest, false}},
      {"clip", {5, Fit::kEmpirical, {}, Rounding::kNearest, false}}};
  for (const int bits : {1, 2, 4, 8}) {
    for (const char* method : {"ul2q", "clip", "fixed_point"}) {
      cases.push_back({method, {bits, Fit::kEmpirical}});
    }
  }
  return cases;
}

template <typename Dtype>
double SquaredErrorOf(const std::vector<Dtype>& a,
                      const std::vector<Dtype>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    sum += (a[i] - b[i]) * (a[i] - b[i]);
  }
  return sum;
}

/// Sums that differ by a rounding may end in another minimum, as small.
TYPED_TEST(DeviceAlgorithmsTest, SearchesEndAsLowAsTheCpus) {
  this->ForEachCase(
      &SearchedCases, [](const Case&, const auto& quantizer,
                         const ChannelLayout& layout, const auto& w) {
        LoopQuantizer<TypeParam> loops(quantizer, layout);
        const auto fits = loops.Fit(w);
        EXPECT_FALSE(loops.has_failed());
        std::vector<TypeParam> expected(w.size());
        QuantizeChannels(quantizer, layout, w.data(), {}, expected.data());
        const double error = SquaredErrorOf(expected, w);
        EXPECT_NEAR(SquaredErrorOf(loops.Quantize(fits, w, {}), w), error,
                    1e-3 * error + 1e-10);
      });
}

TYPED_TEST(DeviceAlgorithmsTest, SearchesFindTheLevelsThatTheElementsAre) {
  for (const std::int64_t n : {std::int64_t{40}, 3 * kDeviceBlockSize}) {
    SCOPED_TRACE(n);
    const auto layout = ChannelLayout::Whole(n);
    constexpr int kSteps[] = {0, 1, 1, 2, 3, 3, 3};
    std::vector<TypeParam> w(n);
    for (std::int64_t i = 0; i < n; ++i) {
      w[i] = TypeParam(0.25) * kSteps[i % 7] - 1;
    }
    QuantizerOptions options = {2};
    const auto error_by = [&](Fit fit) {
      options.fit = fit;
      LoopQuantizer<TypeParam> loops(*MakeQuantizer<TypeParam>("ul2q", options),
                                     layout);
      return SquaredErrorOf(loops.Quantize(loops.Fit(w), w, {}), w) / n;
    };
    EXPECT_GT(error_by(Fit::kExact), 1e-4);
    EXPECT_LT(error_by(Fit::kEmpirical), 1e-12);
  }
}

TYPED_TEST(DeviceAlgorithmsTest, AverageFits) {
  const struct {
    const char* method;
    QuantizerOptions options;
    TypeParam scales[3], used;
  } cases[] = {
      // The average is (9/16 · 8 + 3/4 · 4 + 2) / (9/16 + 3/4 + 1) = 152/37.
      {"clip", {4}, {8, 4, 2}, TypeParam(152) / 37},
      {"fixed_point", {4}, {8, 4, 2}, 4},
      {"ternary_quantized", {2}, {8, 4, 2}, 4},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.method);
    const auto quantizer = MakeQuantizer<TypeParam>(test.method, test.options);
    LoopQuantizer<TypeParam> loops(*quantizer, ChannelLayout::Whole(1));
    TypeParam fit[3] = {}, weight = 0;
    ScaleShift<TypeParam> used;
    for (const TypeParam scale : test.scales) {
      used = loops.Average({0.75, fit, &weight}, {scale, -scale, 2 * scale});
    }
    // The definition: what came k fits ago counts keep^k.
    const double keep = 0.75, weights = keep * keep + keep + 1;
    const double average = (keep * keep * 8 + keep * 4 + 2) / weights;
    const double epsilon = 4 * std::numeric_limits<TypeParam>::epsilon();
    EXPECT_NEAR(fit[0], average, epsilon * average);
    EXPECT_NEAR(fit[1], -average, epsilon * average);
    EXPECT_NEAR(fit[2], 2 * average, epsilon * 2 * average);
    EXPECT_NEAR(weight, (1 - keep) * weights, epsilon);
    EXPECT_NEAR(used.scale, test.used, epsilon * test.used);
    EXPECT_EQ(used.threshold, fit[2]);
    // A batch that fails leaves the average.
    loops.Fit({std::numeric_limits<TypeParam>::quiet_NaN()});
    EXPECT_EQ(loops.Average({0.75, fit, &weight}, {100, 0, 0}).scale,
              used.scale);
    EXPECT_NEAR(fit[0], average, epsilon * average);
  }
}

TYPED_TEST(DeviceAlgorithmsTest, EqualElementsHaveNoStep) {
  const auto layout = ChannelLayout::Whole(3 * kDeviceBlockSize);
  const auto quantizer = MakeQuantizer<TypeParam>("ul2q", {2});
  const std::vector<TypeParam> w(layout.size(), TypeParam(0.1));
  LoopQuantizer<TypeParam> loops(*quantizer, layout);
  const auto fits = loops.Fit(w);
  EXPECT_EQ(fits[0].scale, 0);
  EXPECT_EQ(loops.Quantize(fits, w, {}), w);
}

TYPED_TEST(DeviceAlgorithmsTest, AMeanFarFromZeroCostsNoDigits) {
  const auto layout = ChannelLayout::Whole(5 * kDeviceBlockSize + 3);
  const auto quantizer = MakeQuantizer<TypeParam>("ul2q", {2});
  const auto w = Normal<TypeParam>(layout.size(), 8, 1000, 0.01);
  LoopQuantizer<TypeParam> loops(*quantizer, layout);
  const auto expected = PlainFit(w, 2, Fit::kExact);
  EXPECT_NEAR(loops.Fit(w)[0].scale, expected.scale, 1e-6 * expected.scale);
}

TYPED_TEST(DeviceAlgorithmsTest, ReportWhatIsNotFinite) {
  const auto layout = ChannelLayout{3, 1, 1, 2 * kDeviceBlockSize};
  using Limits = std::numeric_limits<TypeParam>;
  for (const char* method : {"ul2q", "binary", "ternary", "clip"}) {
    QuantizerOptions options;
    if (std::string(method) == "ul2q" || std::string(method) == "clip") {
      options.bits = 2;
    }
    const auto quantizer = MakeQuantizer<TypeParam>(method, options);
    LoopQuantizer<TypeParam> loops(*quantizer, layout);
    auto w = Normal<TypeParam>(layout.size(), 9);
    loops.Fit(w);
    EXPECT_FALSE(loops.has_failed()) << method;
    const TypeParam good = w[5 * kDeviceBlockSize + 1];
    for (const TypeParam bad :
         {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()}) {
      w[5 * kDeviceBlockSize + 1] = bad;
      loops.Fit(w);
      EXPECT_TRUE(loops.has_failed()) << method << ", " << bad;
    }
    w[5 * kDeviceBlockSize + 1] = good;
    w[0] = Limits::quiet_NaN();  // where a block's sums begin
    loops.Fit(w);
    EXPECT_TRUE(loops.has_failed()) << method;
  }
  // A check needs no fit.
  LoopQuantizer<TypeParam> loops(*MakeQuantizer<TypeParam>("binary", {1}),
                                 layout);
  auto x = Normal<TypeParam>(layout.size(), 10);
  EXPECT_FALSE(loops.HasOddElement(x));
  for (const TypeParam bad : {Limits::quiet_NaN(), -Limits::infinity()}) {
    x.back() = bad;
    EXPECT_TRUE(loops.HasOddElement(x)) << bad;
  }
  // The largest level overflows, though its value does not.
  const auto clip = MakeQuantizer<TypeParam>("fixed_point", {1});
  LoopQuantizer<TypeParam> largest(*clip, ChannelLayout::Whole(1));
  largest.Fit({Limits::max()});
  EXPECT_TRUE(largest.has_failed());
}

TEST(RecipeTest, EmpiricalFitsAreSearchedFor) {
  QuantizerOptions options = {2};
  EXPECT_FALSE(MakeQuantizer<float>("ul2q", options)->recipe().search);
  options.fit = Fit::kEmpirical;
  EXPECT_TRUE(MakeQuantizer<float>("ul2q", options)->recipe().search);
  EXPECT_TRUE(MakeQuantizer<float>("ternary", options)->recipe().search);
  // The mean magnitude is its best fit anyway.
  EXPECT_FALSE(
      MakeQuantizer<float>("binary", {1, Fit::kEmpirical})->recipe().search);
}

}  // namespace
}  // namespace ul2q

#include <glog/logging.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/sgd_solvers.hpp"
#include "caffe/solver_factory.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/math_functions.hpp"
#include "core/reference.hpp"
#include "nets.hpp"
#include "support.hpp"
#include "ul2q/layers/quantized_activation_layer.hpp"

namespace ul2q {
namespace {

using caffe::Blob;
using caffe::Layer;
using caffe::LayerParameter;
using caffe::LayerRegistry;
using caffe::Net;
using caffe::NetParameter;

/// A method, how wide, and for which values.
struct Use {
  const Method* method;
  int bits;
  bool is_signed;

  std::string text() const {
    std::string name = method->name;
    std::transform(name.begin(), name.end(), name.begin(), ::toupper);
    return "method: " + name + " bits: " + std::to_string(bits) +
           (is_signed ? "" : " signed: false");
  }
};

std::vector<Use> Uses() {
  std::vector<Use> uses;
  for (const Method* method : Methods()) {
    for (const int bits : {1, 2, 8, 16}) {
      if (bits < method->min_bits || bits > method->max_bits) {
        continue;
      }
      uses.push_back({method, bits, true});
      if (method->has_unsigned) {
        uses.push_back({method, bits, false});
      }
    }
  }
  return uses;
}

/// The methods once more, plainly, as design and papers state them.
template <typename Dtype>
class Plain {
 public:
  using Fit = ScaleShift<Dtype>;

  explicit Plain(const Use& use)
      : name_(use.method->name), bits_(use.bits), is_signed_(use.is_signed) {}

  Fit FitTo(const std::vector<Dtype>& x) const {
    const PlainMoments moments = ComputePlainMoments(x);
    const long double mean_square =
        moments.mean * moments.mean + moments.sigma * moments.sigma;
    if (name_ == "ul2q") {
      return is_signed_ ? PlainFit(x, bits_, ul2q::Fit::kExact)
                        : Fit{static_cast<Dtype>(kRectifiedSteps.at(bits_) *
                                                 std::sqrt(2 * mean_square))};
    }
    if (name_ == "clip" || name_ == "fixed_point") {
      const long double covered =
          is_signed_ ? std::max(-moments.min, moments.max) : moments.max;
      const long double scale =
          covered / (is_signed_ ? Codes() / 2 : Codes() - 1);
      return {static_cast<Dtype>(
          name_ == "clip" ? scale : std::exp2(std::ceil(std::log2(scale))))};
    }
    const long double mean = MeanMagnitudeOver(x, -1);
    if (name_ == "binary") {
      return {static_cast<Dtype>(mean)};
    }
    if (name_ == "ternary" || name_ == "ternary_quantized") {
      const long double threshold = 0.7L * mean;
      return Nearest({static_cast<Dtype>(MeanMagnitudeOver(x, threshold)), 0,
                      static_cast<Dtype>(threshold)});
    }
    throw std::logic_error("this test has no formula for method " + name_);
  }

  Fit Nearest(Fit fit) const {
    if (name_ == "fixed_point") {
      const Dtype below = std::exp2(std::floor(std::log2(fit.scale)));
      fit.scale = fit.scale < Dtype(1.5) * below ? below : 2 * below;
    } else if (name_ == "ternary_quantized") {
      const Dtype unit =
          std::exp2(std::floor(std::log2(fit.scale)) + 1 - bits_);
      fit.scale = std::round(fit.scale / unit) * unit;
    }
    return fit;
  }

  Dtype Value(const Fit& fit, Dtype x) const {
    if (name_ == "binary") {
      return x < 0 ? -fit.scale : fit.scale;
    }
    if (IsTernary()) {
      return std::abs(x) <= fit.threshold ? 0 : std::copysign(fit.scale, x);
    }
    const Dtype position =
        PlainQuotient<Dtype>(x - fit.shift, fit.scale) + Offset();
    return LevelAt(fit, std::round(std::min(std::max(position, LowestCode()),
                                            HighestCode())));
  }

  Levels<Dtype> Outermost(const Fit& fit) const {
    if (name_ == "binary" || IsTernary()) {
      return {-fit.scale, fit.scale};
    }
    return {LevelAt(fit, LowestCode()), LevelAt(fit, HighestCode())};
  }

  std::vector<Dtype> Values(const Fit& fit, const std::vector<Dtype>& x) const {
    std::vector<Dtype> values;
    for (const Dtype value : x) {
      values.push_back(Value(fit, value));
    }
    return values;
  }

 private:
  /// argmin over λ of E[(y - Q(y))²], y = max(x, 0), x ~ N(0, 1), Q(y) = λ
  /// clip(round(y / λ), 0, 2^bits - 1): the root of the derivative.
  inline static const std::map<int, double> kRectifiedSteps = {
      {1, 1.22400636192496},
      {2, 0.65076970399684},
      {8, 0.01652815283082},
      {16, 9.38572245463729e-05}};

  bool IsTernary() const { return name_.rfind("ternary", 0) == 0; }
  long double Codes() const { return std::exp2(bits_); }
  Dtype Offset() const {
    return name_ == "ul2q" && is_signed_ ? Dtype(0.5) : Dtype(0);
  }
  Dtype LowestCode() const {
    const Dtype half = static_cast<Dtype>(Codes() / 2);
    return !is_signed_ ? 0 : name_ == "ul2q" ? 1 - half : -half;
  }
  Dtype HighestCode() const {
    return LowestCode() + static_cast<Dtype>(Codes()) - 1;
  }
  Dtype LevelAt(const Fit& fit, Dtype code) const {
    return fit.scale * (code - Offset()) + fit.shift;
  }

  static long double MeanMagnitudeOver(const std::vector<Dtype>& x,
                                       long double threshold) {
    long double sum = 0, count = 0;
    for (const Dtype value : x) {
      if (std::abs(value) > threshold) {
        sum += std::abs(value);
        ++count;
      }
    }
    return sum / count;
  }

  std::string name_;
  int bits_;
  bool is_signed_;
};

/// A batch of activations: `n` normal values, from 0 up where they are not
/// signed, but for a few that lie a little below.
template <typename Dtype>
std::vector<Dtype> Batch(const Use& use, int n, unsigned seed, double sigma) {
  auto x = Normal<Dtype>(n, seed, 0.1 * sigma, sigma);
  if (!use.is_signed) {
    for (Dtype& value : x) {
      value = std::max(value, Dtype(-0.001));
    }
  }
  return x;
}

LayerParameter Parameter(const std::string& activation,
                         caffe::Phase phase = caffe::TRAIN) {
  auto param = FromText<LayerParameter>(
      "name: 'q' type: 'QuantizedActivation' "
      "quantization_param { activation { " +
      activation + " } }");
  param.set_phase(phase);
  return param;
}

/// A layer with blobs of its own.
template <typename Dtype>
class Rig {
 public:
  explicit Rig(const LayerParameter& param, bool is_in_place = false,
               const std::vector<int>& shape = {4, 5, 20})
      : layer_(LayerRegistry<Dtype>::CreateLayer(param)),
        bottom_(shape),
        bottoms_{&bottom_},
        tops_{is_in_place ? &bottom_ : &own_top_} {
    layer_->SetUp(bottoms_, tops_);
  }

  void Reshape(const std::vector<int>& shape) { bottom_.Reshape(shape); }

  void Forward(const std::vector<Dtype>& x) {
    SetData(x, &bottom_);
    layer_->Forward(bottoms_, tops_);
  }

  void Backward(const std::vector<Dtype>& gradient, bool propagate = true) {
    SetDiff(gradient, tops_[0]);
    layer_->Backward(tops_, {propagate}, bottoms_);
  }

  std::vector<Dtype> averages() { return Data(*layer_->blobs()[0]); }
  Dtype weight() { return layer_->blobs()[1]->cpu_data()[0]; }
  ScaleShift<Dtype> average() {
    const auto values = averages();
    return {values[0], values[1], values[2]};
  }
  void SetAverage(const ScaleShift<Dtype>& fit) {
    SetData({fit.scale, fit.shift, fit.threshold}, layer_->blobs()[0].get());
    SetData({Dtype(1)}, layer_->blobs()[1].get());
  }

  Layer<Dtype>& layer() { return *layer_; }
  Blob<Dtype>& bottom() { return bottom_; }
  Blob<Dtype>& top() { return *tops_[0]; }

 private:
  boost::shared_ptr<Layer<Dtype>> layer_;
  Blob<Dtype> bottom_, own_top_;
  std::vector<Blob<Dtype>*> bottoms_, tops_;
};

/// The averages of the fits after all of them: the last weighs 1, the one
/// before f, then f², ..., divided by the sum of the weights.
template <typename Dtype>
std::vector<Dtype> PlainAverages(const std::vector<ScaleShift<Dtype>>& fits,
                                 long double fraction) {
  long double weight = 0, scale = 0, shift = 0, threshold = 0;
  for (std::size_t i = 0; i < fits.size(); ++i) {
    const long double share = std::pow(fraction, fits.size() - 1 - i);
    weight += share;
    scale += share * fits[i].scale;
    shift += share * fits[i].shift;
    threshold += share * fits[i].threshold;
  }
  return {static_cast<Dtype>(scale / weight),
          static_cast<Dtype>(shift / weight),
          static_cast<Dtype>(threshold / weight)};
}

/// Equal to the digits of the tables of steps, here and in the library.
template <typename Dtype>
void ExpectNear(const std::vector<Dtype>& expected,
                const std::vector<Dtype>& actual, const char* what) {
  ASSERT_EQ(expected.size(), actual.size()) << what;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(expected[i], actual[i], 1e-6 * std::abs(expected[i]) + 1e-9)
        << what << " at " << i;
  }
}

/// Where x lies between the outermost levels, the gradient; else 0.
template <typename Dtype>
std::vector<Dtype> Within(const Levels<Dtype>& levels,
                          const std::vector<Dtype>& x,
                          std::vector<Dtype> gradient) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (x[i] < levels.lowest || x[i] > levels.highest) {
      gradient[i] = 0;
    }
  }
  return gradient;
}

template <typename Dtype>
class QuantizedActivationTest : public ::testing::Test {
 protected:
  static constexpr int kCount = 400;
};
TYPED_TEST_SUITE(QuantizedActivationTest, Dtypes);

TYPED_TEST(QuantizedActivationTest, AveragesInTrainingAndKeepsInTesting) {
  constexpr int n = TestFixture::kCount;
  constexpr double kFraction = 0.75;
  const auto gradient = Normal<TypeParam>(n, 99);
  for (const Use& use : Uses()) {
    for (const bool is_in_place : {false, true}) {
      SCOPED_TRACE(use.text() + (is_in_place ? ", in place" : ""));
      const Plain<TypeParam> plain(use);
      const std::string options = use.text() + " moving_average_fraction: 0.75";
      Rig<TypeParam> train(Parameter(options), is_in_place);
      Rig<TypeParam> test(Parameter(options, caffe::TEST), is_in_place);
      for (std::size_t i = 0; i < test.layer().blobs().size(); ++i) {
        test.layer().blobs()[i]->ShareData(*train.layer().blobs()[i]);
      }
      EXPECT_EQ(train.weight(), 0);
      std::vector<ScaleShift<TypeParam>> fits;
      const auto expect_pass = [&](Rig<TypeParam>* rig,
                                   const std::vector<TypeParam>& x) {
        const auto fit = plain.Nearest(rig->average());
        ExpectClose(plain.Values(fit, x), Data(rig->top()), "top");
        rig->Backward(gradient);
        const auto expected = Within(plain.Outermost(fit), x, gradient);
        EXPECT_EQ(expected, Diff(rig->bottom()));
        EXPECT_EQ(x, Data(rig->bottom())) << "not put back";
        return std::count(expected.begin(), expected.end(), 0);
      };
      for (const double sigma : {1.0, 0.25, 3.0}) {
        const auto x = Batch<TypeParam>(use, n, 10 + fits.size(), sigma);
        train.Forward(x);
        fits.push_back(plain.FitTo(x));
        ExpectNear(PlainAverages(fits, kFraction), train.averages(),
                   "averages");
        EXPECT_NEAR(1 - std::pow(kFraction, fits.size()), train.weight(), 1e-6);
        expect_pass(&train, x);
      }
      const auto averages = train.averages();
      const auto x = Batch<TypeParam>(use, n, 20, 50.0);
      test.Forward(x);
      const auto cut = expect_pass(&test, x);
      EXPECT_GT(cut, 0);
      EXPECT_LT(cut, n);
      EXPECT_EQ(averages, train.averages()) << "changed by a test pass";
      if (this->HasFailure()) {
        return;
      }
    }
  }
}

TYPED_TEST(QuantizedActivationTest, QuantisesByTheBatchBeforeAnyTraining) {
  constexpr int n = TestFixture::kCount;
  for (const Use& use : Uses()) {
    SCOPED_TRACE(use.text());
    const Plain<TypeParam> plain(use);
    Rig<TypeParam> rig(Parameter(use.text(), caffe::TEST));
    for (const double sigma : {1.0, 5.0}) {
      const auto x = Batch<TypeParam>(use, n, 3, sigma);
      rig.Forward(x);
      ExpectNear(plain.Values(plain.FitTo(x), x), Data(rig.top()), "top");
      EXPECT_EQ(rig.averages(), std::vector<TypeParam>(3, 0));
      EXPECT_EQ(rig.weight(), 0);
    }
  }
}

/// Counts warnings while it lives.
class WarningCount : public google::LogSink {
 public:
  WarningCount() : level_(FLAGS_minloglevel) {
    FLAGS_minloglevel = google::GLOG_INFO;
    google::AddLogSink(this);
  }
  ~WarningCount() override {
    google::RemoveLogSink(this);
    FLAGS_minloglevel = level_;
  }

  void send(google::LogSeverity severity, const char*, const char*, int,
            const google::LogMessageTime&, const char* text,
            size_t size) override {
    if (severity == google::GLOG_WARNING) {
      ++count;
      last.assign(text, size);
    }
  }

  int count = 0;
  std::string last;

 private:
  int level_;
};

TYPED_TEST(QuantizedActivationTest, WarnsOnceBeforeAnyTraining) {
  Rig<TypeParam> rig(Parameter("bits: 8", caffe::TEST));
  const auto x = Normal<TypeParam>(TestFixture::kCount, 1);
  WarningCount warnings;
  rig.Forward(x);
  ASSERT_EQ(warnings.count, 1);
  ExpectWords(warnings.last, {"Layer 'q' (QuantizedActivation): ",
                              "no training pass has set the scale"});
  rig.Forward(x);
  EXPECT_EQ(warnings.count, 1);
  Rig<TypeParam> trained(Parameter("bits: 8"));
  trained.Forward(x);
  EXPECT_EQ(warnings.count, 1);
}

TYPED_TEST(QuantizedActivationTest, GathersAveragesInTesting) {
  const std::string options =
      "method: FIXED_POINT bits: 4 rounding: STOCHASTIC";
  Rig<TypeParam> train(Parameter(options));
  Rig<TypeParam> test(Parameter(options, caffe::TEST));
  auto& layer =
      dynamic_cast<caffe::QuantizedActivationLayer<TypeParam>&>(test.layer());
  WarningCount warnings;
  layer.gather_averages(true);
  for (const unsigned seed : {1, 2, 3}) {
    const auto x = Normal<TypeParam>(TestFixture::kCount, seed);
    train.Forward(x);
    caffe::Caffe::set_random_seed(5);
    const unsigned drawn = caffe::caffe_rng_rand();
    caffe::Caffe::set_random_seed(5);
    test.Forward(x);
    EXPECT_EQ(drawn, caffe::caffe_rng_rand()) << "drew random numbers";
    EXPECT_EQ(train.averages(), test.averages());
    EXPECT_EQ(train.weight(), test.weight());
  }
  EXPECT_EQ(warnings.count, 0);
  layer.gather_averages(false);
  const auto averages = test.averages();
  test.Forward(Normal<TypeParam>(TestFixture::kCount, 4));
  EXPECT_EQ(averages, test.averages());
}

TYPED_TEST(QuantizedActivationTest, TakesAveragesSetByHand) {
  Rig<TypeParam> rig(Parameter("method: CLIP bits: 4", caffe::TEST), false,
                     {5});
  rig.SetAverage({TypeParam(0.5), 0, 0});
  rig.Forward({-9, TypeParam(-0.3), TypeParam(0.2), TypeParam(1.3), 9});
  EXPECT_EQ(Data(rig.top()), (std::vector<TypeParam>{-4, -0.5, 0, 1.5, 3.5}));
}

TYPED_TEST(QuantizedActivationTest, FitsToTheData) {
  const auto x = Batch<TypeParam>({nullptr, 2, false}, 400, 8, 1);
  const auto error = [&](const std::string& fit) {
    Rig<TypeParam> rig(Parameter("method: CLIP bits: 2 signed: false" + fit));
    rig.Forward(x);
    const auto values = Data(rig.top());
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      sum += std::pow(x[i] - values[i], 2);
    }
    return sum;
  };
  EXPECT_LT(error(" fit: EMPIRICAL"), 0.9 * error(""));
}

TYPED_TEST(QuantizedActivationTest, PassesTheGradientOfItsOption) {
  const std::vector<TypeParam> x = {-9, -2, -1, 0, 1, 2, 9},
                               gradient = {1, 2, 3, 4, 5, 6, 7},
                               within = {0, 2, 3, 4, 5, 0, 0};
  const struct {
    std::string option;
    std::vector<TypeParam> expected;
  } cases[] = {{"", within},
               {"gradient: CLIPPED", within},
               {"gradient: IDENTITY", gradient}};
  for (const auto& c : cases) {
    for (const bool is_in_place : {false, true}) {
      SCOPED_TRACE(c.option + (is_in_place ? ", in place" : ""));
      Rig<TypeParam> rig(
          Parameter("method: CLIP bits: 2 " + c.option, caffe::TEST),
          is_in_place, {7});
      rig.SetAverage({1, 0, 0});  // the levels -2, -1, 0 and 1
      rig.Forward(x);
      rig.Backward(gradient);
      EXPECT_EQ(c.expected, Diff(rig.bottom()));
      EXPECT_EQ(x, Data(rig.bottom()));
    }
  }
}

TYPED_TEST(QuantizedActivationTest, ComputesNoGradientThatIsNotAskedFor) {
  Rig<TypeParam> rig(Parameter("bits: 8"), false, {3});
  rig.Forward({1, 2, 3});
  SetDiff({7, 8, 9}, &rig.bottom());
  rig.Backward({1, 1, 1}, false);
  EXPECT_EQ(Diff(rig.bottom()), (std::vector<TypeParam>{7, 8, 9}));
}

// Several forward passes before a backward one, as with a solver's iter_size or
// from Python: the gradient is that of the last.
TYPED_TEST(QuantizedActivationTest, UsesTheLevelsOfTheLastForwardPass) {
  const auto gradient = Normal<TypeParam>(TestFixture::kCount, 9);
  for (const bool is_in_place : {false, true}) {
    Rig<TypeParam> rig(Parameter("method: BINARY"), is_in_place);
    const auto x = Normal<TypeParam>(TestFixture::kCount, 2, 0, 0.5);
    rig.Forward(Normal<TypeParam>(TestFixture::kCount, 1));
    rig.Forward(x);
    rig.Backward(gradient);
    const TypeParam scale = rig.average().scale;
    EXPECT_EQ(Within<TypeParam>({-scale, scale}, x, gradient),
              Diff(rig.bottom()));
  }
}

TYPED_TEST(QuantizedActivationTest, TakesAnyShape) {
  const std::vector<std::vector<int>> shapes = {
      {}, {1}, {7}, {3, 1}, {2, 3, 4, 5}, {2, 1, 2, 1, 2}};
  for (const bool is_in_place : {false, true}) {
    Rig<TypeParam> rig(Parameter("bits: 8"), is_in_place);
    for (const auto& shape : shapes) {
      rig.Reshape(shape);
      const auto x = Normal<TypeParam>(rig.bottom().count(), 4);
      rig.Forward(x);
      EXPECT_EQ(rig.top().shape(), shape);
      rig.Backward(x);
    }
  }
}

TYPED_TEST(QuantizedActivationTest, LearnsNothingFromABatchOfZero) {
  for (const bool is_in_place : {false, true}) {
    Rig<TypeParam> rig(Parameter("bits: 8"), is_in_place, {0, 3});
    rig.Forward({});
    rig.Backward({});
    EXPECT_EQ(rig.weight(), 0);
    EXPECT_EQ(rig.averages(), std::vector<TypeParam>(3, 0));
    rig.Reshape({1, 3});
    rig.Forward({1, 2, 3});
    const auto averages = rig.averages();
    rig.Reshape({0, 3});
    rig.Forward({});
    EXPECT_EQ(rig.averages(), averages);
  }
}

// A ReLU that is dead for its whole batch.
TYPED_TEST(QuantizedActivationTest, TakesEqualValues) {
  for (const TypeParam value : {TypeParam(0), TypeParam(2)}) {
    for (const Use& use : Uses()) {
      SCOPED_TRACE(use.text());
      Rig<TypeParam> rig(Parameter(use.text()), true, {4});
      const std::vector<TypeParam> x(4, value);
      rig.Forward(x);
      for (const TypeParam y : Data(rig.top())) {
        ASSERT_TRUE(std::isfinite(y));
        if (value == 0) {
          ASSERT_EQ(y, 0);
        }
      }
      rig.Backward({1, 2, 3, 4});
      EXPECT_EQ(x, Data(rig.bottom()));
    }
  }
}

TYPED_TEST(QuantizedActivationTest, RoundsStochasticallyInTrainingOnly) {
  const std::string options =
      "method: FIXED_POINT bits: 4 rounding: STOCHASTIC";
  constexpr int n = 20000;
  // The scale is 1: the values cover -8 to 7.
  std::vector<TypeParam> x(n, TypeParam(2.25));
  x[0] = -8;
  const auto run = [&](Rig<TypeParam>* rig) {
    rig->Forward(x);
    return Data(rig->top());
  };
  Rig<TypeParam> rig(Parameter(options), false, {n});
  caffe::Caffe::set_random_seed(5);
  const auto first = run(&rig), second = run(&rig);
  EXPECT_NE(first, second);
  caffe::Caffe::set_random_seed(5);
  EXPECT_EQ(first, run(&rig));
  double sum = 0;
  for (int i = 1; i < n; ++i) {
    ASSERT_TRUE(first[i] == 2 || first[i] == 3) << first[i];
    sum += first[i];
  }
  EXPECT_NEAR(sum / (n - 1), 2.25, 0.02);  // 6 standard deviations
  EXPECT_EQ(first[0], -8);

  Rig<TypeParam> test(Parameter(options, caffe::TEST), false, {n});
  std::vector<TypeParam> nearest(n, 2);
  nearest[0] = -8;
  EXPECT_EQ(nearest, run(&test));
}

TYPED_TEST(QuantizedActivationTest, SetsUpAgain) {
  Rig<TypeParam> rig(Parameter("bits: 8"));
  const auto x = Normal<TypeParam>(TestFixture::kCount, 1);
  rig.Forward(x);
  const auto averages = rig.averages();
  rig.layer().SetUp({&rig.bottom()}, {&rig.top()});
  EXPECT_EQ(rig.layer().layer_param().param_size(), 2);
  EXPECT_EQ(averages, rig.averages());
  rig.Forward(x);
}

TYPED_TEST(QuantizedActivationTest, RefusesValuesThatAreNotFinite) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  const TypeParam infinity = std::numeric_limits<TypeParam>::infinity();
  const auto good = Normal<TypeParam>(TestFixture::kCount, 1);
  for (const caffe::Phase phase : {caffe::TRAIN, caffe::TEST}) {
    for (const bool is_trained : {true, false}) {
      for (const TypeParam bad : {nan, infinity, -infinity}) {
        Rig<TypeParam> rig(Parameter("bits: 8", phase), true);
        if (is_trained) {
          rig.SetAverage({1, 0, 0});
        }
        rig.Forward(good);
        const auto averages = rig.averages();
        auto x = good;
        x[17] = bad;
        ExpectWords(MessageOf<CaffeError>([&] { rig.Forward(x); }),
                    {"Layer 'q' (QuantizedActivation): the bottom blob holds ",
                     std::isnan(bad) ? "NaN" : "an infinite value",
                     "at element 17 of 400: ",
                     phase == caffe::TRAIN ? "training has diverged"
                                           : "the data or the weights"});
        EXPECT_EQ(averages, rig.averages());
        EXPECT_THROW(rig.Backward(good), CaffeError);
        rig.Forward(good);
        rig.Backward(good);
      }
    }
  }
}

TYPED_TEST(QuantizedActivationTest, RefusesABackwardPassWithoutAForwardPass) {
  const std::string layer = "Layer 'q' (QuantizedActivation): ";
  Rig<TypeParam> rig(Parameter("bits: 8"), false, {4});
  ExpectWords(MessageOf<CaffeError>([&] { rig.Backward({1, 2, 3, 4}); }),
              {layer + "a backward pass needs a forward pass"});
  rig.Forward({1, 2, 3, 4});
  rig.Backward({1, 2, 3, 4});
  rig.Backward({1, 2, 3, 4});
  rig.Reshape({5});
  rig.layer().Reshape({&rig.bottom()}, {&rig.top()});
  ExpectWords(MessageOf<CaffeError>([&] { rig.Backward({1, 2, 3, 4, 5}); }),
              {layer + "bottom 0 has the shape 5; it had 4"});
}

TYPED_TEST(QuantizedActivationTest, RefusesAveragesThatCannotBe) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  const ScaleShift<TypeParam> cases[] = {
      {-1, 0, 0}, {nan, 0, 0}, {1, nan, 0}, {1, 0, nan}, {1, 0, -1}};
  for (const auto& fit : cases) {
    for (const caffe::Phase phase : {caffe::TRAIN, caffe::TEST}) {
      Rig<TypeParam> rig(Parameter("bits: 8", phase), false, {2});
      rig.SetAverage(fit);
      ExpectWords(MessageOf<CaffeError>([&] { rig.Forward({1, 2}); }),
                  {"Layer 'q'", "blobs[0] holds scale ", "must be finite"});
    }
  }
}

TYPED_TEST(QuantizedActivationTest, RefusesBadOptions) {
  const std::string says = "Layer 'q' (QuantizedActivation): ";
  const std::string activation = says + "quantization_param.activation.";
  const auto options = [](const std::string& text) {
    return "quantization_param { activation { " + text + " } }";
  };
  const std::string blob = "blobs { shape { dim: 3 } data: [0, 0, 0] } ";
  const struct {
    std::string text;
    std::vector<std::string> words;
  } cases[] = {
      {"", {activation + "bits is missing", "activation { bits: N }"}},
      {"quantization_param { }", {activation + "bits is missing"}},
      {options(""), {activation + "bits is missing"}},
      {options("bits: 0"), {activation + "bits is 0; must be 1 to 16"}},
      {options("bits: 17"), {activation + "bits is 17; must be 1 to 16"}},
      {options("bits: 8 granularity: CHANNEL"),
       {activation + "granularity is CHANNEL", "TENSOR"}},
      {options("bits: 8 moving_average_fraction: 1"),
       {activation + "moving_average_fraction is 1; must be at least 0"}},
      {options("bits: 8 moving_average_fraction: -0.5"),
       {activation + "moving_average_fraction is -0.5", "less than 1"}},
      {options("bits: 8 moving_average_fraction: nan"),
       {activation + "moving_average_fraction is nan"}},
      {options("method: TERNARY signed: false"),
       {activation + "signed is false", "TERNARY"}},
      {options("bits: 8 signed: false shift: MEAN"),
       {activation + "shift is MEAN", "ZERO"}},
      {options("bits: 8 rounding: STOCHASTIC"),
       {activation + "rounding is STOCHASTIC", "NEAREST"}},
      {"quantization_param { weight { bits: 8 } }",
       {says + "quantization_param.weight is for layers with weights",
        "activation { bits: N }"}},
      {"quantization_param { activation { bits: 8 } bias { bits: 8 } }",
       {says + "quantization_param.bias is for layers with weights"}},
      {options("bits: 8") + " param { name: 'a' }",
       {says + "param[0].lr_mult is 1; must be 0"}},
      {options("bits: 8") + " param { lr_mult: 0 } param { lr_mult: 2 }",
       {says + "param[1].lr_mult is 2; must be 0"}},
      {options("bits: 8") + blob, {says + "the layer's blobs must be two"}},
      {options("bits: 8") + blob + blob,
       {says + "the layer's blobs must be two, of shape (3) and (1)"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    ExpectWords(MessageOf<CaffeError>([&] {
                  Rig<TypeParam>(FromText<LayerParameter>(
                      "name: 'q' type: 'QuantizedActivation' " + c.text));
                }),
                c.words);
  }
}

// Nets and solvers.

/// x -> a -> `below`, in place -> 3 bits, in place or not -> b -> loss.
NetParameter ActivationNet(const std::string& below, bool is_in_place,
                           const std::string& options) {
  const auto inner_product = [](const std::string& name,
                                const std::string& bottom) {
    return "layer { name: '" + name + "' type: 'InnerProduct' bottom: '" +
           bottom + "' top: '" + name +
           "' inner_product_param { num_output: 6 weight_filler { type: "
           "'gaussian' std: 0.4 } } } ";
  };
  const std::string top = is_in_place ? "a" : "q";
  return FromText<NetParameter>(
      "state { phase: TRAIN } "
      "layer { name: 'x' type: 'Input' top: 'x' top: 't' "
      "input_param { shape { dim: 8 dim: 6 } } } " +
      inner_product("a", "x") + "layer { name: 'below' type: '" + below +
      "' bottom: 'a' top: 'a' } "
      "layer { name: 'q' type: 'QuantizedActivation' bottom: 'a' top: '" +
      top + "' quantization_param { activation { " + options + " } } } " +
      inner_product("b", top) +
      "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'b' bottom: 't' "
      "top: 'loss' }");
}

TYPED_TEST(QuantizedActivationTest, LeavesLayersBelowInPlaceTheirOutput) {
  for (const char* below : {"ReLU", "Sigmoid", "TanH"}) {
    SCOPED_TRACE(below);
    std::vector<std::vector<TypeParam>> gradients[2];
    for (const bool is_in_place : {false, true}) {
      caffe::Caffe::set_random_seed(3);
      Net<TypeParam> net(ActivationNet(below, is_in_place, "bits: 1"));
      SetInputs(&net);
      for (int step = 0; step < 2; ++step) {
        net.ClearParamDiffs();
        net.ForwardBackward();
        for (const Blob<TypeParam>* blob : net.learnable_params()) {
          gradients[is_in_place].push_back(Diff(*blob));
        }
        net.Update();
      }
    }
    EXPECT_EQ(gradients[false], gradients[true]);
    const auto& a = gradients[true][0];
    EXPECT_NE(a, std::vector<TypeParam>(a.size(), 0));
  }
}

TYPED_TEST(QuantizedActivationTest, SharesAveragesByName) {
  std::string text =
      "state { phase: TRAIN } "
      "layer { name: 'x' type: 'Input' top: 'x' top: 'y' "
      "input_param { shape { dim: 8 dim: 6 } } } ";
  for (const std::string bottom : {"x", "y"}) {
    text += "layer { name: 'q_" + bottom +
            "' type: 'QuantizedActivation' bottom: '" + bottom + "' top: 'q_" +
            bottom +
            "' param { name: 'averages' lr_mult: 0 } "
            "param { name: 'weight' lr_mult: 0 } quantization_param { "
            "activation { method: BINARY moving_average_fraction: 0.5 } } } ";
  }
  Net<TypeParam> net(FromText<NetParameter>(text));
  SetInputs(&net);
  net.Forward();
  const Plain<TypeParam> plain({Methods().front(), 1, true});
  const auto x = Data(*net.input_blobs()[0]), y = Data(*net.input_blobs()[1]);
  ASSERT_EQ(net.learnable_params().size(), 2u);
  ExpectNear(PlainAverages<TypeParam>({plain.FitTo(x), plain.FitTo(y)}, 0.5),
             Data(*net.learnable_params()[0]), "averages");
}

// lr_mult: 0 in the prototxt tells the net, too, that nothing is learned here.
TYPED_TEST(QuantizedActivationTest, NeedsNoGradientBehindTheData) {
  const std::string text =
      "layer { name: 'x' type: 'Input' top: 'x' top: 't' "
      "input_param { shape { dim: 8 dim: 6 } } } "
      "layer { name: 'q' type: 'QuantizedActivation' bottom: 'x' top: 'q' "
      "param { lr_mult: 0 } param { lr_mult: 0 } "
      "quantization_param { activation { bits: 8 } } } "
      "layer { name: 'ip' type: 'InnerProduct' bottom: 'q' top: 'ip' "
      "inner_product_param { num_output: 6 } } "
      "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 't' } ";
  Net<TypeParam> net(FromText<NetParameter>(text));
  EXPECT_FALSE(net.bottom_need_backward()[2][0]);
  SetInputs(&net);
  net.ForwardBackward();
}

TYPED_TEST(QuantizedActivationTest, CarriesItsAveragesInFiles) {
  const NetParameter param = ActivationNet("ReLU", true, "bits: 3");
  NetParameter test_param = param;
  test_param.mutable_state()->set_phase(caffe::TEST);
  Net<TypeParam> trained(param), shared(test_param);
  shared.ShareTrainedLayersWith(&trained);
  SetInputs(&trained);
  SetInputs(&shared);
  trained.Forward();
  trained.Forward();
  shared.Forward();
  const auto expected = Data(*shared.blob_by_name("b"));

  const TemporaryFolder folder;
  NetParameter saved;
  trained.ToProto(&saved);
  caffe::WriteProtoToBinaryFile(saved, folder / "net.caffemodel");
  trained.ToHDF5(folder / "net.caffemodel.h5");
  for (const char* name : {"net.caffemodel", "net.caffemodel.h5"}) {
    SCOPED_TRACE(name);
    Net<TypeParam> loaded(test_param);
    loaded.CopyTrainedLayersFrom(folder / name);
    SetInputs(&loaded);
    const WarningCount warnings;
    loaded.Forward();
    EXPECT_EQ(warnings.count, 0);
    EXPECT_EQ(expected, Data(*loaded.blob_by_name("b")));
  }
}

// A float net's file has no averages.
TYPED_TEST(QuantizedActivationTest, LoadsTheFileOfAFloatNet) {
  NetParameter param = ActivationNet("ReLU", true, "bits: 16");
  NetParameter float_param = param;
  float_param.mutable_layer()->DeleteSubrange(3, 1);
  Net<TypeParam> from(float_param);
  NetParameter saved;
  from.ToProto(&saved);
  param.mutable_state()->set_phase(caffe::TEST);
  Net<TypeParam> to(param);
  to.CopyTrainedLayersFrom(saved);
  for (Net<TypeParam>* net : {&from, &to}) {
    SetInputs(net);
    net->Forward();
  }
  const auto expected = Data(*from.blob_by_name("b"));
  const auto actual = Data(*to.blob_by_name("b"));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(expected[i], actual[i], 1e-3);
  }
}

// No solver's rate, momentum, decay or clipping reaches the averages; a pass
// each of iter_size counts; the solver's test net shares them.
TYPED_TEST(QuantizedActivationTest, IsMovedByNoSolver) {
  const Use use{Methods().front(), 1, true};
  const Plain<TypeParam> plain(use);
  ASSERT_EQ(use.text(), "method: BINARY bits: 1");
  const std::string net =
      "net_param { "
      "layer { name: 'x' type: 'Input' top: 'x' top: 't' "
      "input_param { shape { dim: 8 dim: 6 } } } "
      "layer { name: 'q' type: 'QuantizedActivation' bottom: 'x' top: 'q' "
      "quantization_param { activation { method: BINARY "
      "moving_average_fraction: 0.75 } } } "
      "layer { name: 'ip' type: 'InnerProduct' bottom: 'q' top: 'ip' "
      "inner_product_param { num_output: 6 } } "
      "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'ip' bottom: 't' } "
      "}";
  const struct {
    const char* type;
    const char* options;
  } solvers[] = {{"SGD", "momentum: 0.9 clip_gradients: 0.1"},
                 {"Nesterov", "momentum: 0.9"},
                 {"AdaGrad", ""},
                 {"RMSProp", "rms_decay: 0.9"},
                 {"AdaDelta", "momentum: 0.9 delta: 1e-6"},
                 {"Adam", "momentum: 0.9 momentum2: 0.99"}};
  for (const auto& c : solvers) {
    SCOPED_TRACE(c.type);
    const auto param = FromText<caffe::SolverParameter>(
        "type: '" + std::string(c.type) + "' " + c.options +
        " base_lr: 0.5 lr_policy: 'fixed' weight_decay: 0.5 iter_size: 2 "
        "test_iter: 1 test_interval: 1000 display: 0 "
        "snapshot_after_train: false " +
        net);
    const std::unique_ptr<caffe::Solver<TypeParam>> solver(
        caffe::SolverRegistry<TypeParam>::CreateSolver(param));
    Net<TypeParam>& train = *solver->net();
    Net<TypeParam>& test = *solver->test_nets()[0];
    SetInputs(&train);
    SetInputs(&test);
    const auto weights = Data(*train.layers()[2]->blobs()[0]);
    std::vector<ScaleShift<TypeParam>> fits;
    for (int step = 0; step < 3; ++step) {
      FillNormal(70 + step, train.input_blobs()[0], 0, 1.0 + step);
      const auto fit = plain.FitTo(Data(*train.input_blobs()[0]));
      fits.insert(fits.end(), {fit, fit});
      solver->Step(1);
      ExpectNear(PlainAverages(fits, 0.75),
                 Data(*train.layers()[1]->blobs()[0]), "averages");
    }
    EXPECT_NE(weights, Data(*train.layers()[2]->blobs()[0]));
    test.Forward();
    const auto x = Data(*test.input_blobs()[0]);
    const TypeParam scale = train.layers()[1]->blobs()[0]->cpu_data()[0];
    ExpectClose(plain.Values({scale}, x), Data(*test.blob_by_name("q")),
                "the test net's top");
  }
}

}  // namespace
}  // namespace ul2q

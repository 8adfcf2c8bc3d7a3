#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "caffe/layers/absval_layer.hpp"
#include "caffe/layers/bnll_layer.hpp"
#include "caffe/layers/clip_layer.hpp"
#include "caffe/layers/elu_layer.hpp"
#include "caffe/layers/exp_layer.hpp"
#include "caffe/layers/log_layer.hpp"
#include "caffe/layers/power_layer.hpp"
#include "caffe/layers/sigmoid_layer.hpp"
#include "caffe/layers/swish_layer.hpp"
#include "caffe/layers/tanh_layer.hpp"
#include "caffe/layers/threshold_layer.hpp"
#include "float_engine/element_cases.hpp"
#include "float_engine/parity.hpp"

namespace ul2q {
namespace {

using caffe::AbsValLayer;
using caffe::BNLLLayer;
using caffe::ClipLayer;
using caffe::ELULayer;
using caffe::ExpLayer;
using caffe::LogLayer;
using caffe::PowerLayer;
using caffe::SigmoidLayer;
using caffe::SwishLayer;
using caffe::TanHLayer;
using caffe::ThresholdLayer;

using Real = long double;
using Function = std::function<Real(Real)>;

/// A layer with options, and its formula on an element, in more bits.
template <typename Dtype>
struct Layer {
  std::string param;
  Function value, derivative;
  double error = 0;  ///< of a value, in units in the last place
  bool is_of_positive = false;
  bool takes_in_place = true;
  bool has_scale = false;  ///< numbers at the ends of the range are rounded
  std::shared_ptr<caffe::Layer<Dtype>> (*make_bvlcs)(
      const caffe::LayerParameter& param) = nullptr;
  std::shared_ptr<caffe::Layer<Dtype>> (*make_fast)(
      const caffe::LayerParameter& param) = nullptr;
};

template <template <typename> class Bvlcs, typename Dtype>
std::shared_ptr<caffe::Layer<Dtype>> MakeBvlcs(
    const caffe::LayerParameter& param) {
  return std::make_shared<Bvlcs<Dtype>>(param);
}

template <template <typename> class Bvlcs, typename Dtype>
Layer<Dtype> By(Layer<Dtype> layer) {
  layer.make_bvlcs = &MakeBvlcs<Bvlcs, Dtype>;
  layer.make_fast = &MakeFast<Bvlcs, Dtype>;
  return layer;
}

Real Sigmoid(Real x) { return 1 / (1 + std::exp(-x)); }

template <typename Dtype>
Layer<Dtype> PowerBy(const std::string& power) {
  const Real d = std::strtof(power.c_str(), nullptr);
  return By<PowerLayer, Dtype>(
      {"type: 'Power' power_param { scale: 0.5 power: " + power + " }",
       [d](Real x) { return std::pow(x / 2, d); },
       [d](Real x) { return d / 2 * std::pow(x / 2, d - 1); }, 1,
       std::floor(d) != d, true, true});
}

template <typename Dtype>
Layer<Dtype> SwishBy(Real beta) {
  return By<SwishLayer, Dtype>(
      {"type: 'Swish' swish_param { beta: " +
           std::to_string(static_cast<double>(beta)) + " }",
       [beta](Real x) { return x * Sigmoid(beta * x); },
       [beta](Real x) {
         return Sigmoid(beta * x) * (1 + beta * x * Sigmoid(-beta * x));
       },
       4, false, true, true});
}

template <typename Dtype>
Layer<Dtype> EluBy(Real alpha) {
  return By<ELULayer, Dtype>(
      {"type: 'ELU' elu_param { alpha: " +
           std::to_string(static_cast<double>(alpha)) + " }",
       [alpha](Real x) { return x > 0 ? x : alpha * std::expm1(x); },
       [alpha](Real x) { return x > 0 ? 1 : alpha * std::exp(x); }, 4});
}

template <typename Dtype>
std::vector<Layer<Dtype>> Layers() {
  const Real log2 = std::log(Real(2));
  return {
      By<AbsValLayer, Dtype>(
          {"type: 'AbsVal'", [](Real x) { return std::abs(x); },
           [](Real x) { return Real(x > 0 ? 1 : -1); }, 0, false, false}),
      By<BNLLLayer, Dtype>({"type: 'BNLL'",
                            [](Real x) {
                              return (x > 0 ? x : 0) +
                                     std::log1p(std::exp(-std::abs(x)));
                            },
                            [](Real x) { return Sigmoid(x); }, 4}),
      By<ClipLayer, Dtype>(
          {"type: 'Clip' clip_param { min: -0.5 max: 6 }",
           [](Real x) { return x > 6      ? 6
                               : x > -0.5 ? x
                                          : Real(-0.5); },
           [](Real x) { return Real(x >= -0.5 && x <= 6 ? 1 : 0); }}),
      EluBy<Dtype>(1), EluBy<Dtype>(0.25), EluBy<Dtype>(-2),
      By<ExpLayer, Dtype>({"type: 'Exp'", [](Real x) { return std::exp(x); },
                           [](Real x) { return std::exp(x); }, 2}),
      // The rounding of the exponent is that of BVLC's, too.
      By<ExpLayer, Dtype>(
          {"type: 'Exp' exp_param { base: 2 scale: 0.5 shift: 3 }",
           [](Real x) { return std::exp2(3 + x / 2); },
           [log2](Real x) { return std::exp2(3 + x / 2) * log2 / 2; },
           sizeof(Dtype) == 4 ? 100. : 1000.}),
      By<LogLayer, Dtype>({"type: 'Log'", [](Real x) { return std::log(x); },
                           [](Real x) { return 1 / x; }, 4, true}),
      By<LogLayer, Dtype>({"type: 'Log' log_param { base: 2 scale: 4 }",
                           [](Real x) { return std::log2(4 * x); },
                           [log2](Real x) { return 1 / (x * log2); }, 8, true,
                           true, true}),
      PowerBy<Dtype>("1"), PowerBy<Dtype>("2"), PowerBy<Dtype>("0.5"),
      PowerBy<Dtype>("-1"), PowerBy<Dtype>("3"), PowerBy<Dtype>("-2.5"),
      PowerBy<Dtype>("1.7"),
      By<SigmoidLayer, Dtype>({"type: 'Sigmoid'", &Sigmoid,
                               [](Real x) { return Sigmoid(x) * Sigmoid(-x); },
                               4}),
      SwishBy<Dtype>(1), SwishBy<Dtype>(2),
      By<TanHLayer, Dtype>({"type: 'TanH'", [](Real x) { return std::tanh(x); },
                            [](Real x) {
                              const Real y = std::tanh(x);
                              return 1 - y * y;
                            },
                            4})};
}

template <typename Dtype>
class FastElementwiseTest : public ::testing::Test {};
TYPED_TEST_SUITE(FastElementwiseTest, Dtypes);

TYPED_TEST(FastElementwiseTest, TakesThePlaceOfBvlcsUnlessThatIsAskedFor) {
  for (const Layer<TypeParam>& layer : Layers<TypeParam>()) {
    layer.make_fast(FromText<caffe::LayerParameter>(layer.param));
  }
  ExpectReplaces<SigmoidLayer, TypeParam>("Sigmoid", "sigmoid_param");
  ExpectReplaces<TanHLayer, TypeParam>("TanH", "tanh_param");
}

// In place the oracle is BVLC's layer with a top of its own: some of BVLC's
// have wrong gradients in place.
TYPED_TEST(FastElementwiseTest, IsBvlcs) {
  for (const Layer<TypeParam>& layer : Layers<TypeParam>()) {
    for (const bool propagate_down : {true, false}) {
      for (ParityCase& c :
           ElementCases(layer.param, 1,
                        layer.takes_in_place ? std::vector<bool>{false, true}
                                             : std::vector<bool>{false})) {
        SCOPED_TRACE(c.name);
        if (c.shapes[0] == ElementShapes().back()) {
          c.shapes[0] = {3, 4099};  // BVLC's are slow
        }
        c.propagate_down = {propagate_down};
        c.mean = layer.is_of_positive ? 10 : 0;
        c.sigma = 2;
        // Powers and exponentials: argument times rounding.
        c.tolerance = 16;
        ParityCase apart = c;
        apart.in_place = false;
        Bench<TypeParam> bvlcs(apart, layer.make_bvlcs);
        Bench<TypeParam> fast(c, layer.make_fast);
        for (unsigned pass = 1; pass <= 2; ++pass) {
          for (Bench<TypeParam>* bench : {&bvlcs, &fast}) {
            bench->FillBottoms(pass);
            bench->Forward();
          }
          ASSERT_NO_FATAL_FAILURE(ExpectWithin(c.tolerance, Data(*bvlcs.top[0]),
                                               Data(*fast.top[0]), "y"));
          for (Bench<TypeParam>* bench : {&bvlcs, &fast}) {
            bench->Backward(pass);
          }
          if (propagate_down || !c.in_place) {
            ASSERT_NO_FATAL_FAILURE(ExpectWithin(c.tolerance,
                                                 Diff(*bvlcs.bottom[0]),
                                                 Diff(*fast.bottom[0]), "dx"));
          }
        }
      }
    }
  }
}

TYPED_TEST(FastElementwiseTest, ThresholdIsBvlcs) {
  for (ParityCase& c :
       ElementCases("type: 'Threshold' threshold_param { threshold: 0.25 }", 1,
                    {false, true})) {
    Bench<TypeParam> bvlcs(c, &MakeBvlcs<ThresholdLayer, TypeParam>);
    Bench<TypeParam> fast(c, &MakeFast<ThresholdLayer, TypeParam>);
    for (Bench<TypeParam>* bench : {&bvlcs, &fast}) {
      bench->Forward();
    }
    ExpectSame(c, bvlcs, fast, c.name);
  }
}

TYPED_TEST(FastElementwiseTest, APowerOrScaleOf0IsBvlcs) {
  for (const char* options : {"power: 0", "scale: 0 shift: 2 power: 3"}) {
    for (const ParityCase& c : ElementCases(
             "type: 'Power' power_param { " + std::string(options) + " }", 1,
             {false})) {
      ExpectParity<PowerLayer, TypeParam>(c);
    }
  }
}

/// Numbers of all magnitudes and signs, each as far in bits from the next one:
/// subnormal ones, infinities and several NaN are among them.
template <typename Dtype>
std::vector<Dtype> NumbersOfAllSizes() {
  using Bits =
      std::conditional_t<sizeof(Dtype) == 4, std::uint32_t, std::uint64_t>;
  constexpr Bits kCount = 50021;
  std::vector<Dtype> numbers = {0,
                                Dtype(-0.0),
                                std::numeric_limits<Dtype>::infinity(),
                                -std::numeric_limits<Dtype>::infinity(),
                                std::numeric_limits<Dtype>::max(),
                                std::numeric_limits<Dtype>::lowest(),
                                std::numeric_limits<Dtype>::min(),
                                std::numeric_limits<Dtype>::denorm_min(),
                                -std::numeric_limits<Dtype>::denorm_min()};
  for (Bits i = 0; i < kCount; ++i) {
    const Bits bits = i * (std::numeric_limits<Bits>::max() / kCount);
    Dtype number;
    std::memcpy(&number, &bits, sizeof number);
    numbers.push_back(number);
  }
  return numbers;
}

/// |actual - expected| in units in the last place of a Dtype; 0 where they are
/// next to nothing: what is computed from subnormal numbers has few bits.
template <typename Dtype>
double UlpsBetween(Real expected, Dtype actual) {
  const auto rounded = static_cast<Dtype>(expected);
  if (std::isnan(rounded) || std::isnan(actual)) {
    return std::isnan(rounded) == std::isnan(actual) ? 0 : HUGE_VAL;
  }
  if (rounded == actual) {  // infinities, too
    return 0;
  }
  using Limits = std::numeric_limits<Dtype>;
  if (std::abs(actual - expected) < Real(1024) * Limits::denorm_min()) {
    return 0;
  }
  const int exponent = std::max(std::ilogb(expected), Limits::min_exponent - 1);
  const Real unit = std::ldexp(Real(1), exponent - Limits::digits + 1);
  return static_cast<double>(std::abs(actual - expected) / unit);
}

template <typename Dtype>
ParityCase CaseOf(const Layer<Dtype>& layer, std::size_t count) {
  ParityCase c;
  c.name = layer.param;
  c.param = layer.param;
  c.shapes = {{static_cast<int>(count)}};
  return c;
}

TYPED_TEST(FastElementwiseTest, IsNearTheTrueValueOfAllNumbers) {
  using Limits = std::numeric_limits<TypeParam>;
  const auto numbers = NumbersOfAllSizes<TypeParam>();
  for (const Layer<TypeParam>& layer : Layers<TypeParam>()) {
    SCOPED_TRACE(layer.param);
    Bench<TypeParam> fast(CaseOf(layer, numbers.size()), layer.make_fast);
    SetData(numbers, fast.bottom[0]);
    fast.Forward();
    const std::vector<TypeParam> y = Data(*fast.top[0]);
    double worst = 0;
    std::size_t at = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (std::isnan(numbers[i])) {
        continue;  // as BVLC's: another test
      }
      if (layer.has_scale && !(std::abs(numbers[i]) > 8 * Limits::min() &&
                               std::abs(numbers[i]) < Limits::max() / 8)) {
        continue;
      }
      const double ulps = UlpsBetween(layer.value(numbers[i]), y[i]);
      if (!(ulps <= worst)) {
        worst = ulps;
        at = i;
      }
    }
    EXPECT_LE(worst, layer.error) << "of " << numbers[at] << ": " << y[at]
                                  << " for " << layer.value(numbers[at]);
  }
}

TYPED_TEST(FastElementwiseTest, TheDerivativeIsNearTheTrueOne) {
  std::vector<TypeParam> numbers;
  for (const TypeParam number : NumbersOfAllSizes<TypeParam>()) {
    if (std::abs(number) > 1e-6 && std::abs(number) < 50) {
      numbers.push_back(number);
    }
  }
  ASSERT_GT(numbers.size(), 500u);
  for (const Layer<TypeParam>& layer : Layers<TypeParam>()) {
    SCOPED_TRACE(layer.param);
    Bench<TypeParam> fast(CaseOf(layer, numbers.size()), layer.make_fast);
    SetData(numbers, fast.bottom[0]);
    fast.Forward();
    SetDiff(std::vector<TypeParam>(numbers.size(), 1), fast.top[0]);
    fast.layer->Backward(fast.top, {true}, fast.bottom);
    const std::vector<TypeParam> dx = Diff(*fast.bottom[0]);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      if (layer.is_of_positive && numbers[i] < 0) {
        continue;
      }
      const Real expected = layer.derivative(numbers[i]);
      if (std::abs(expected) > std::numeric_limits<TypeParam>::max()) {
        continue;
      }
      // Swish multiplies the rounding of 1 - sigmoid by x.
      const Real tolerance = std::numeric_limits<TypeParam>::epsilon() *
                             (32 + layer.error) *
                             std::fmax(Real(1), std::abs(expected));
      ASSERT_LE(std::abs(dx[i] - expected), tolerance)
          << "of " << numbers[i] << ": " << dx[i] << " for " << expected;
    }
  }
}

TYPED_TEST(FastElementwiseTest, TreatsSpecialNumbersAsBvlcs) {
  constexpr TypeParam kInfinity = std::numeric_limits<TypeParam>::infinity();
  const std::vector<TypeParam> special = {
      0,
      TypeParam(-0.0),
      kInfinity,
      -kInfinity,
      std::numeric_limits<TypeParam>::quiet_NaN(),
      std::numeric_limits<TypeParam>::min()};
  for (const Layer<TypeParam>& layer : Layers<TypeParam>()) {
    const ParityCase c = CaseOf(layer, special.size());
    Bench<TypeParam> bvlcs(c, layer.make_bvlcs);
    Bench<TypeParam> fast(c, layer.make_fast);
    for (Bench<TypeParam>* bench : {&bvlcs, &fast}) {
      SetData(special, bench->bottom[0]);
      bench->Forward();
      bench->Backward(1);
    }
    ExpectWithin(c.tolerance, Data(*bvlcs.top[0]), Data(*fast.top[0]),
                 layer.param);
    // BVLC's may have ∞·0 where the derivative of ∞ is a number.
    std::vector<TypeParam> expected = Diff(*bvlcs.bottom[0]);
    std::vector<TypeParam> actual = Diff(*fast.bottom[0]);
    expected.erase(expected.begin() + 2, expected.begin() + 4);
    actual.erase(actual.begin() + 2, actual.begin() + 4);
    ExpectWithin(c.tolerance, expected, actual, layer.param + "'s dx");
  }
}

TYPED_TEST(FastElementwiseTest, AnElementIsTheSameWhereverItStands) {
  constexpr int kCount = 37;  // some whole vectors, and a rest
  for (const Layer<TypeParam>& layer : Layers<TypeParam>()) {
    Bench<TypeParam> all(CaseOf(layer, kCount), layer.make_fast);
    all.Forward();
    all.Backward(1);
    for (int i = 0; i < kCount; ++i) {
      Bench<TypeParam> one(CaseOf(layer, 1), layer.make_fast);
      SetData<TypeParam>({all.bottom[0]->cpu_data()[i]}, one.bottom[0]);
      one.Forward();
      SetDiff<TypeParam>({all.top[0]->cpu_diff()[i]}, one.top[0]);
      one.layer->Backward(one.top, {true}, one.bottom);
      const auto expect_same = [&](TypeParam expected, TypeParam actual) {
        EXPECT_EQ(0, std::memcmp(&expected, &actual, sizeof expected))
            << layer.param << " at " << i;
      };
      expect_same(all.top[0]->cpu_data()[i], one.top[0]->cpu_data()[0]);
      expect_same(all.bottom[0]->cpu_diff()[i], one.bottom[0]->cpu_diff()[0]);
    }
  }
}

TYPED_TEST(FastElementwiseTest, TakesEmptyBatches) {
  ExpectTakesEmptyBatch<TanHLayer, TypeParam>(
      ElementCases("type: 'TanH'", 1, {false})[0]);
}

TYPED_TEST(FastElementwiseTest, IsTheSameOnTwoThreads) {
  ParityCase c = ElementCases("type: 'TanH'", 1, {false}).back();
  c.shapes = {{5, 61, 4300}};
  ExpectSameOnTwoThreads<TanHLayer, TypeParam>(c);
  c.param = "type: 'Clip' clip_param { min: 0 max: 1 }";
  c.in_place = true;
  ExpectSameOnTwoThreads<ClipLayer, TypeParam>(c);
}

}  // namespace
}  // namespace ul2q

// Layers that work element by element: ReLU, Dropout, Eltwise.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "caffe/layers/dropout_layer.hpp"
#include "caffe/layers/eltwise_layer.hpp"
#include "caffe/layers/relu_layer.hpp"
#include "caffe/util/rng.hpp"
#include "float_engine/parity.hpp"
#include "ul2q/float_engine/fast_dropout_layer.hpp"
#include "ul2q/float_engine/fast_eltwise_layer.hpp"
#include "ul2q/float_engine/fast_relu_layer.hpp"

namespace ul2q {
namespace {

using caffe::DropoutLayer;
using caffe::EltwiseLayer;
using caffe::FastDropoutLayer;
using caffe::FastEltwiseLayer;
using caffe::FastReLULayer;
using caffe::ReLULayer;

std::vector<std::vector<int>> Shapes() {
  return {{1}, {7, 3}, {2, 3, 4, 5}, {1, 2, 3, 2, 11}, {100, 61, 43}};
}

std::vector<ParityCase> Cases(const std::string& param, int bottoms,
                              const std::vector<bool>& in_places) {
  std::vector<ParityCase> cases;
  for (const std::vector<int>& shape : Shapes()) {
    for (const bool in_place : in_places) {
      ParityCase c;
      c.name = param + " " + ::testing::PrintToString(shape) +
               (in_place ? " in place" : "");
      c.param = param;
      c.shapes.assign(bottoms, shape);
      c.in_place = in_place;
      c.tolerance = 4;
      cases.push_back(c);
    }
  }
  return cases;
}

template <typename Dtype>
class FastElementsTest : public ::testing::Test {};
TYPED_TEST_SUITE(FastElementsTest, Dtypes);

TYPED_TEST(FastElementsTest, AreRegistered) {
  ExpectRegistered<FastReLULayer, TypeParam>("type: 'ReLU'");
  ExpectRegistered<FastDropoutLayer, TypeParam>("type: 'Dropout'");
  ExpectRegistered<FastEltwiseLayer, TypeParam>("type: 'Eltwise'");
}

TYPED_TEST(FastElementsTest, ReluIsBvlcs) {
  for (const char* slope : {"0", "0.1", "-0.5", "2"}) {
    for (const bool propagate_down : {false, true}) {
      for (ParityCase& c : Cases("type: 'ReLU' relu_param { negative_slope: " +
                                     std::string(slope) + " }",
                                 1, {false, true})) {
        c.propagate_down = {propagate_down};
        c.tolerance = 0;
        ExpectParity<ReLULayer, FastReLULayer, TypeParam>(c);
      }
    }
  }
}

TYPED_TEST(FastElementsTest, ReluTreatsSpecialNumbersAsBvlcs) {
  constexpr TypeParam kInfinity = std::numeric_limits<TypeParam>::infinity();
  const std::vector<TypeParam> special = {
      0,
      TypeParam(-0.0),
      kInfinity,
      -kInfinity,
      std::nan(""),
      std::numeric_limits<TypeParam>::denorm_min()};
  ParityCase c = Cases("type: 'ReLU'", 1, {false})[0];
  c.shapes = {{6}};
  c.tolerance = 0;
  Bench<TypeParam> bvlc(c, [](const caffe::LayerParameter& param) {
    return std::make_shared<ReLULayer<TypeParam>>(param);
  });
  Bench<TypeParam> own(c, [](const caffe::LayerParameter& param) {
    return std::make_shared<FastReLULayer<TypeParam>>(param);
  });
  for (Bench<TypeParam>* bench : {&bvlc, &own}) {
    SetData(special, bench->bottom[0]);
    bench->Forward();
    bench->Backward(1);
  }
  ExpectSame(c, bvlc, own, "special numbers");
}

TYPED_TEST(FastElementsTest, DropoutDrawsBvlcsMask) {
  for (const char* ratio : {"0", "0.1", "0.5", "0.9"}) {
    for (const caffe::Phase phase : {caffe::TRAIN, caffe::TEST}) {
      for (ParityCase& c :
           Cases("type: 'Dropout' dropout_param { dropout_ratio: " +
                     std::string(ratio) + " }",
                 1, {false, true})) {
        c.phase = phase;
        c.tolerance = 0;
        ExpectParity<DropoutLayer, FastDropoutLayer, TypeParam>(c);
        c.propagate_down = {false};
        ExpectParity<DropoutLayer, FastDropoutLayer, TypeParam>(c);
      }
    }
  }
}

TYPED_TEST(FastElementsTest, DropoutLeavesTheRandomNumbersWhereBvlcsDoes) {
  const auto next_after = [](auto layer) {
    const auto c = Cases("type: 'Dropout'", 1, {false}).back();
    Bench<TypeParam> bench(c, [&](const caffe::LayerParameter& param) {
      return std::make_shared<decltype(layer)>(param);
    });
    bench.Forward();
    return caffe::caffe_rng_rand();
  };
  caffe::LayerParameter param;
  EXPECT_EQ(next_after(DropoutLayer<TypeParam>(param)),
            next_after(FastDropoutLayer<TypeParam>(param)));
}

TYPED_TEST(FastElementsTest, EltwiseIsBvlcs) {
  for (const char* options :
       {"operation: SUM", "operation: SUM coeff: 1 coeff: -1",
        "operation: SUM coeff: 0.3 coeff: 2 coeff: -0.7", "operation: MAX",
        "operation: PROD", "operation: PROD stable_prod_grad: false"}) {
    const std::string text = options;
    const auto coeffs = std::count(text.begin(), text.end(), '.') == 2 ? 3
                        : text.find("coeff") != std::string::npos      ? 2
                                                                       : 0;
    for (const int bottoms : {2, 3, 4}) {
      if (coeffs != 0 && coeffs != bottoms) {
        continue;
      }
      for (ParityCase& c :
           Cases("type: 'Eltwise' eltwise_param { " + text + " }", bottoms,
                 {false})) {
        ExpectParity<EltwiseLayer, FastEltwiseLayer, TypeParam>(c);
        c.propagate_down.assign(bottoms, false);
        c.propagate_down[1] = true;
        ExpectParity<EltwiseLayer, FastEltwiseLayer, TypeParam>(c);
      }
    }
  }
}

TYPED_TEST(FastElementsTest, EltwiseMaxOfEqualNumbersIsBvlcs) {
  for (const int bottoms : {2, 3}) {
    for (ParityCase& c :
         Cases("type: 'Eltwise' eltwise_param { operation: MAX }", bottoms,
               {false})) {
      c.sigma = 0;
      ExpectParity<EltwiseLayer, FastEltwiseLayer, TypeParam>(c);
    }
  }
}

TYPED_TEST(FastElementsTest, EltwiseIsRightInPlace) {
  const auto make = [](const caffe::LayerParameter& param) {
    return std::make_shared<FastEltwiseLayer<TypeParam>>(param);
  };
  for (const char* options :
       {"", "coeff: 0.5 coeff: 2 coeff: -3", "operation: MAX"}) {
    ParityCase c =
        Cases(std::string("type: 'Eltwise' eltwise_param { ") + options + " }",
              3, {false})
            .back();
    Bench<TypeParam> apart(c, make);
    c.in_place = true;
    Bench<TypeParam> in_place(c, make);
    for (Bench<TypeParam>* bench : {&apart, &in_place}) {
      bench->FillBottoms(1);
      bench->Forward();
    }
    ExpectWithin(0, Data(*apart.top[0]), Data(*in_place.top[0]), "y");
    for (Bench<TypeParam>* bench : {&apart, &in_place}) {
      bench->Backward(1);
    }
    for (int i = 0; i < 3; ++i) {
      ExpectWithin(0, Diff(*apart.bottom[i]), Diff(*in_place.bottom[i]), "dx");
    }
  }
}

TYPED_TEST(FastElementsTest, TakeEmptyBatches) {
  ExpectTakesEmptyBatch<FastReLULayer, TypeParam>(
      Cases("type: 'ReLU'", 1, {false})[0]);
  ExpectTakesEmptyBatch<FastDropoutLayer, TypeParam>(
      Cases("type: 'Dropout'", 1, {false})[0]);
  ExpectTakesEmptyBatch<FastEltwiseLayer, TypeParam>(
      Cases("type: 'Eltwise'", 2, {false})[0]);
}

TYPED_TEST(FastElementsTest, AreTheSameOnTwoThreads) {
  ExpectSameOnTwoThreads<FastReLULayer, TypeParam>(
      Cases("type: 'ReLU'", 1, {false}).back());
  ExpectSameOnTwoThreads<FastDropoutLayer, TypeParam>(
      Cases("type: 'Dropout'", 1, {false}).back());
  ExpectSameOnTwoThreads<FastEltwiseLayer, TypeParam>(
      Cases("type: 'Eltwise'", 2, {false}).back());
}

}  // namespace
}  // namespace ul2q

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "caffe/layers/relu_layer.hpp"
#include "float_engine/element_cases.hpp"
#include "float_engine/parity.hpp"

namespace ul2q {
namespace {

using caffe::ReLULayer;

template <typename Dtype>
class FastReluTest : public ::testing::Test {};
TYPED_TEST_SUITE(FastReluTest, Dtypes);

TYPED_TEST(FastReluTest, TakesThePlaceOfBvlcsUnlessThatIsAskedFor) {
  ExpectReplaces<ReLULayer, TypeParam>("ReLU", "relu_param");
}

TYPED_TEST(FastReluTest, IsBvlcs) {
  for (const char* slope : {"0", "0.1", "-0.5", "2"}) {
    for (const bool propagate_down : {false, true}) {
      for (ParityCase& c :
           ElementCases("type: 'ReLU' relu_param { negative_slope: " +
                            std::string(slope) + " }",
                        1, {false, true})) {
        c.propagate_down = {propagate_down};
        c.tolerance = 0;
        ExpectParity<ReLULayer, TypeParam>(c);
      }
    }
  }
}

TYPED_TEST(FastReluTest, TreatsSpecialNumbersAsBvlcs) {
  constexpr TypeParam kInfinity = std::numeric_limits<TypeParam>::infinity();
  const std::vector<TypeParam> special = {
      0,
      TypeParam(-0.0),
      kInfinity,
      -kInfinity,
      std::nan(""),
      std::numeric_limits<TypeParam>::denorm_min()};
  ParityCase c = ElementCases("type: 'ReLU'", 1, {false})[0];
  c.shapes = {{6}};
  c.tolerance = 0;
  Bench<TypeParam> bvlc(c, [](const caffe::LayerParameter& param) {
    return std::make_shared<ReLULayer<TypeParam>>(param);
  });
  Bench<TypeParam> fast(c, &MakeFast<caffe::ReLULayer, TypeParam>);
  for (Bench<TypeParam>* bench : {&bvlc, &fast}) {
    SetData(special, bench->bottom[0]);
    bench->Forward();
    bench->Backward(1);
  }
  ExpectSame(c, bvlc, fast, "special numbers");
}

TYPED_TEST(FastReluTest, TakesEmptyBatches) {
  ExpectTakesEmptyBatch<ReLULayer, TypeParam>(
      ElementCases("type: 'ReLU'", 1, {false})[0]);
}

TYPED_TEST(FastReluTest, IsTheSameOnTwoThreads) {
  ExpectSameOnTwoThreads<ReLULayer, TypeParam>(
      ElementCases("type: 'ReLU'", 1, {false}).back());
}

}  // namespace
}  // namespace ul2q

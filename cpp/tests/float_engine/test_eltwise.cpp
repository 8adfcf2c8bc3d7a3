#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "caffe/layers/eltwise_layer.hpp"
#include "float_engine/element_cases.hpp"
#include "float_engine/parity.hpp"

namespace ul2q {
namespace {

using caffe::EltwiseLayer;

template <typename Dtype>
class FastEltwiseTest : public ::testing::Test {};
TYPED_TEST_SUITE(FastEltwiseTest, Dtypes);

TYPED_TEST(FastEltwiseTest, TakesThePlaceOfBvlcsUnlessThatIsAskedFor) {
  ExpectReplaces<EltwiseLayer, TypeParam>("Eltwise", "relu_param");
}

TYPED_TEST(FastEltwiseTest, IsBvlcs) {
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
           ElementCases("type: 'Eltwise' eltwise_param { " + text + " }",
                        bottoms, {false})) {
        ExpectParity<EltwiseLayer, TypeParam>(c);
        c.propagate_down.assign(bottoms, false);
        c.propagate_down[1] = true;
        ExpectParity<EltwiseLayer, TypeParam>(c);
      }
    }
  }
}

TYPED_TEST(FastEltwiseTest, MaxOfEqualNumbersIsBvlcs) {
  for (const int bottoms : {2, 3}) {
    for (ParityCase& c :
         ElementCases("type: 'Eltwise' eltwise_param { operation: MAX }",
                      bottoms, {false})) {
      c.sigma = 0;
      ExpectParity<EltwiseLayer, TypeParam>(c);
    }
  }
}

TYPED_TEST(FastEltwiseTest, IsRightInPlace) {
  const auto make = &MakeFast<caffe::EltwiseLayer, TypeParam>;
  for (const char* options :
       {"", "coeff: 0.5 coeff: 2 coeff: -3", "operation: MAX"}) {
    ParityCase c =
        ElementCases(
            std::string("type: 'Eltwise' eltwise_param { ") + options + " }", 3,
            {false})
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

TYPED_TEST(FastEltwiseTest, TakesEmptyBatches) {
  ExpectTakesEmptyBatch<EltwiseLayer, TypeParam>(
      ElementCases("type: 'Eltwise'", 2, {false})[0]);
}

TYPED_TEST(FastEltwiseTest, IsTheSameOnTwoThreads) {
  ExpectSameOnTwoThreads<EltwiseLayer, TypeParam>(
      ElementCases("type: 'Eltwise'", 2, {false}).back());
}

}  // namespace
}  // namespace ul2q

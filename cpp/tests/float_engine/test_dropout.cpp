#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "caffe/layers/dropout_layer.hpp"
#include "caffe/util/rng.hpp"
#include "float_engine/element_cases.hpp"
#include "float_engine/parity.hpp"

namespace ul2q {
namespace {

using caffe::DropoutLayer;

template <typename Dtype>
class FastDropoutTest : public ::testing::Test {};
TYPED_TEST_SUITE(FastDropoutTest, Dtypes);

TYPED_TEST(FastDropoutTest, TakesThePlaceOfBvlcsUnlessThatIsAskedFor) {
  ExpectReplaces<DropoutLayer, TypeParam>("Dropout", "relu_param");
}

TYPED_TEST(FastDropoutTest, DrawsBvlcsMask) {
  for (const char* ratio : {"0", "0.1", "0.5", "0.9"}) {
    for (const caffe::Phase phase : {caffe::TRAIN, caffe::TEST}) {
      for (ParityCase& c :
           ElementCases("type: 'Dropout' dropout_param { dropout_ratio: " +
                            std::string(ratio) + " }",
                        1, {false, true})) {
        c.phase = phase;
        c.tolerance = 0;
        ExpectParity<DropoutLayer, TypeParam>(c);
        c.propagate_down = {false};
        ExpectParity<DropoutLayer, TypeParam>(c);
      }
    }
  }
}

TYPED_TEST(FastDropoutTest, LeavesTheRandomNumbersWhereBvlcsDoes) {
  const auto next_after = [](const auto& make) {
    Bench<TypeParam> bench(ElementCases("type: 'Dropout'", 1, {false}).back(),
                           make);
    bench.Forward();
    return caffe::caffe_rng_rand();
  };
  EXPECT_EQ(next_after([](const caffe::LayerParameter& param) {
              return std::make_shared<DropoutLayer<TypeParam>>(param);
            }),
            next_after(&MakeFast<DropoutLayer, TypeParam>));
}

TYPED_TEST(FastDropoutTest, TakesEmptyBatches) {
  ExpectTakesEmptyBatch<DropoutLayer, TypeParam>(
      ElementCases("type: 'Dropout'", 1, {false})[0]);
}

TYPED_TEST(FastDropoutTest, IsTheSameOnTwoThreads) {
  ExpectSameOnTwoThreads<DropoutLayer, TypeParam>(
      ElementCases("type: 'Dropout'", 1, {false}).back());
}

}  // namespace
}  // namespace ul2q

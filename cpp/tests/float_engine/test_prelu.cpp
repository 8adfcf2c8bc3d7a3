#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/layers/prelu_layer.hpp"
#include "float_engine/parity.hpp"

namespace ul2q {
namespace {

using caffe::PReLULayer;

constexpr double kTolerance = 512;  // BVLC's sums in single precision

/// Slopes: invertible ones; negative and tiny ones among them; 0.
const char* const kFillers[] = {
    "",
    "filler { type: 'constant' value: 0 }",
    "filler { type: 'uniform' min: -0.5 max: 0.5 }",
    "filler { type: 'constant' value: 1e-4 }",
    "channel_shared: true",
    "channel_shared: true filler { type: 'constant' value: -2 }"};

std::vector<ParityCase> Cases() {
  std::vector<ParityCase> cases;
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{3, 5},
                                     {1, 1},
                                     {2, 3, 4},
                                     {2, 3, 4, 5},
                                     {1, 7, 16, 16},
                                     {6, 1100},
                                     {40, 33, 9, 9}}) {
    for (const char* filler : kFillers) {
      for (const bool in_place : {false, true}) {
        ParityCase c;
        c.name = ::testing::PrintToString(shape) + " " + filler +
                 (in_place ? " in place" : "");
        c.param = "type: 'PReLU' prelu_param { " + std::string(filler) + " }";
        c.shapes = {shape};
        c.in_place = in_place;
        c.tolerance = kTolerance;
        cases.push_back(c);
      }
    }
  }
  return cases;
}

template <typename Dtype>
class FastPreluTest : public ::testing::Test {};
TYPED_TEST_SUITE(FastPreluTest, Dtypes);

TYPED_TEST(FastPreluTest, TakesThePlaceOfBvlcsUnlessThatIsAskedFor) {
  ExpectReplaces<PReLULayer, TypeParam>("PReLU", "relu_param");
}

TYPED_TEST(FastPreluTest, IsBvlcs) {
  for (ParityCase& c : Cases()) {
    ExpectParity<PReLULayer, TypeParam>(c);
    if (!c.in_place) {
      c.propagate_down = {false};
      ExpectParity<PReLULayer, TypeParam>(c);
    }
    c.propagate_down = {true};
    c.param_propagate_down = {false};
    ExpectParity<PReLULayer, TypeParam>(c);
  }
}

// In place the gradient comes from the slope that made the output.
TYPED_TEST(FastPreluTest, TakesOtherSlopesBetweenForwardAndBackward) {
  ParityCase c;
  c.name = "other slopes";
  c.param = "type: 'PReLU'";
  c.shapes = {{3, 4, 5, 5}};
  c.in_place = true;
  c.tolerance = kTolerance;
  Bench<TypeParam> bvlcs(c, [](const caffe::LayerParameter& param) {
    return std::make_shared<PReLULayer<TypeParam>>(param);
  });
  Bench<TypeParam> fast(c, &MakeFast<PReLULayer, TypeParam>);
  for (Bench<TypeParam>* bench : {&bvlcs, &fast}) {
    bench->Forward();
    SetData<TypeParam>({-1, 0, 0.5, 3}, bench->layer->blobs()[0].get());
    bench->Backward(1);
  }
  ExpectSame(c, bvlcs, fast, "after other slopes");
}

TYPED_TEST(FastPreluTest, TakesEmptyBatches) {
  ParityCase c;
  c.param = "type: 'PReLU'";
  c.shapes = {{2, 3, 4, 5}};
  ExpectTakesEmptyBatch<PReLULayer, TypeParam>(c);
}

TYPED_TEST(FastPreluTest, IsTheSameOnTwoThreads) {
  for (const char* filler : {kFillers[1], kFillers[4]}) {
    ParityCase c;
    c.name = filler;
    c.param = "type: 'PReLU' prelu_param { " + std::string(filler) + " }";
    c.shapes = {{9, 61, 50, 50}};
    c.in_place = true;
    ExpectSameOnTwoThreads<PReLULayer, TypeParam>(c);
  }
}

}  // namespace
}  // namespace ul2q

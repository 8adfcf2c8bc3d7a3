#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "caffe/layers/batch_norm_layer.hpp"
#include "float_engine/parity.hpp"

namespace ul2q {
namespace {

using caffe::BatchNormLayer;

/// BVLC's sums in single precision are what the tolerance is for.
constexpr double kTolerance = 512;

std::vector<std::vector<int>> Shapes() {
  return {{2, 3, 4, 5},  {1, 1, 1, 1},   {1, 4, 3, 3},   {7, 20},
          {40, 130},     {5, 3, 7},      {4, 37, 1, 1},  {3, 5, 3, 5},
          {3, 5, 4, 4},  {3, 5, 17, 1},  {3, 2, 17, 19}, {2, 3, 2, 3, 4},
          {9, 40, 8, 8}, {2, 1, 40, 40}, {50, 33, 9, 9}, {6, 1100}};
}

std::vector<ParityCase> Cases(const std::string& options) {
  std::vector<ParityCase> cases;
  for (const std::vector<int>& shape : Shapes()) {
    for (const bool in_place : {false, true}) {
      ParityCase c;
      c.name = ::testing::PrintToString(shape) + (in_place ? " in place" : "");
      c.param = "type: 'BatchNorm' batch_norm_param { " + options + " }";
      c.shapes = {shape};
      c.in_place = in_place;
      c.tolerance = kTolerance;
      c.random_params = true;
      cases.push_back(c);
    }
  }
  return cases;
}

template <typename Dtype>
class FastBatchNormTest : public ::testing::Test {};
TYPED_TEST_SUITE(FastBatchNormTest, Dtypes);

TYPED_TEST(FastBatchNormTest, TakesThePlaceOfBvlcsUnlessThatIsAskedFor) {
  // Without an engine of its own, it reads that of the other options.
  ExpectReplaces<BatchNormLayer, TypeParam>("BatchNorm", "relu_param");
}

TYPED_TEST(FastBatchNormTest, TrainsAsBvlcs) {
  for (const ParityCase& c : Cases("")) {
    ExpectParity<BatchNormLayer, TypeParam>(c);
  }
}

TYPED_TEST(FastBatchNormTest, ReadsItsOptions) {
  for (ParityCase& c : Cases("moving_average_fraction: 0.75 eps: 0.01")) {
    c.mean = 5;
    c.sigma = 2;
    ExpectParity<BatchNormLayer, TypeParam>(c);
  }
}

TYPED_TEST(FastBatchNormTest, TestsAsBvlcs) {
  for (ParityCase& c : Cases("")) {
    c.phase = caffe::TEST;
    ExpectParity<BatchNormLayer, TypeParam>(c);
  }
}

TYPED_TEST(FastBatchNormTest, UsesTheStatisticsThatItIsTold) {
  for (ParityCase& c : Cases("use_global_stats: true")) {
    ExpectParity<BatchNormLayer, TypeParam>(c);
  }
  for (ParityCase& c : Cases("use_global_stats: false")) {
    c.phase = caffe::TEST;
    ExpectParity<BatchNormLayer, TypeParam>(c);
  }
}

TYPED_TEST(FastBatchNormTest, TestsWithoutStatistics) {
  ParityCase c = Cases("")[0];
  c.phase = caffe::TEST;
  c.random_params = false;
  ExpectParity<BatchNormLayer, TypeParam>(c);
}

TYPED_TEST(FastBatchNormTest, IsTheSameOnTwoThreads) {
  for (const ParityCase& c : Cases("")) {
    ExpectSameOnTwoThreads<BatchNormLayer, TypeParam>(c);
  }
}

TYPED_TEST(FastBatchNormTest, MapsAConstantToZero) {
  ParityCase c = Cases("")[0];
  Bench<TypeParam> bench(c, &MakeFast<caffe::BatchNormLayer, TypeParam>);
  SetData(std::vector<TypeParam>(bench.bottom[0]->count(), TypeParam(0.1)),
          bench.bottom[0]);
  bench.Forward();
  for (const TypeParam y : Data(*bench.top[0])) {
    EXPECT_EQ(y, 0);
  }
}

TYPED_TEST(FastBatchNormTest, IsExactBesideAnOutlier) {
  ParityCase c = Cases("eps: 0")[0];
  c.shapes = {{20, 1, 40, 40}};
  Bench<TypeParam> bench(c, &MakeFast<caffe::BatchNormLayer, TypeParam>);
  std::vector<TypeParam> x = Normal<TypeParam>(bench.bottom[0]->count(), 5);
  x[0] = 100;
  SetData(x, bench.bottom[0]);
  bench.Forward();
  long double mean = 0, variance = 0;
  for (const TypeParam value : x) {
    mean += value;
  }
  mean /= x.size();
  for (const TypeParam value : x) {
    variance += (value - mean) * (value - mean);
  }
  variance /= x.size();
  std::vector<TypeParam> expected;
  for (const TypeParam value : x) {
    expected.push_back(
        static_cast<TypeParam>((value - mean) / std::sqrt(variance)));
  }
  ExpectWithin(8, expected, Data(*bench.top[0]), "y");
}

}  // namespace
}  // namespace ul2q

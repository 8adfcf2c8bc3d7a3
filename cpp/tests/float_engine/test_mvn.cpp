#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/layers/mvn_layer.hpp"
#include "float_engine/parity.hpp"

namespace ul2q {
namespace {

using caffe::MVNLayer;

constexpr double kTolerance = 512;  // BVLC's sums in single precision

std::vector<ParityCase> Cases() {
  std::vector<ParityCase> cases;
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{2, 3, 4, 5},
                                     {1, 7, 16, 17},
                                     {3, 2, 1, 6},
                                     {40, 33, 9, 9},
                                     {2, 30}}) {
    for (const char* options :
         {"", "across_channels: true", "normalize_variance: false",
          "across_channels: true normalize_variance: false", "eps: 0.1"}) {
      const bool is_of_channels =
          std::string(options).find("across") == std::string::npos;
      if (shape.size() == 2 && is_of_channels) {
        continue;  // one element has no deviation
      }
      ParityCase c;
      c.name = ::testing::PrintToString(shape) + " " + options;
      c.param = "type: 'MVN' mvn_param { " + std::string(options) + " }";
      c.shapes = {shape};
      c.mean = 3;
      c.tolerance = kTolerance;
      cases.push_back(c);
    }
  }
  return cases;
}

template <typename Dtype>
class FastMvnTest : public ::testing::Test {};
TYPED_TEST_SUITE(FastMvnTest, Dtypes);

TYPED_TEST(FastMvnTest, TakesThePlaceOfBvlcsUnlessThatIsAskedFor) {
  ExpectReplaces<MVNLayer, TypeParam>("MVN", "relu_param");
}

TYPED_TEST(FastMvnTest, IsBvlcs) {
  for (const ParityCase& c : Cases()) {
    ExpectParity<MVNLayer, TypeParam>(c);
  }
}

// BVLC's overwrites the top's gradient before it has done with it.
TYPED_TEST(FastMvnTest, IsRightInPlace) {
  for (ParityCase& c : Cases()) {
    SCOPED_TRACE(c.name);
    const auto make = &MakeFast<MVNLayer, TypeParam>;
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
    ExpectWithin(0, Diff(*apart.bottom[0]), Diff(*in_place.bottom[0]), "dx");
  }
}

TYPED_TEST(FastMvnTest, HoldsWhereDeviationsAreSmall) {
  ParityCase c;
  c.name = "values about 1000";
  c.param = "type: 'MVN'";
  c.shapes = {{2, 3, 40, 40}};
  c.mean = 1000;
  c.sigma = 0.5;
  Bench<TypeParam> fast(c, &MakeFast<MVNLayer, TypeParam>);
  fast.Forward();
  const std::vector<TypeParam> x = Data(*fast.bottom[0]);
  std::vector<TypeParam> expected(x.size());
  for (std::size_t channel = 0; channel < 6; ++channel) {
    const TypeParam* values = x.data() + channel * 1600;
    long double sum = 0, squares = 0;
    for (int i = 0; i < 1600; ++i) {
      sum += values[i];
    }
    for (int i = 0; i < 1600; ++i) {
      squares += (values[i] - sum / 1600) * (values[i] - sum / 1600);
    }
    for (int i = 0; i < 1600; ++i) {
      expected[channel * 1600 + i] = static_cast<TypeParam>(
          (values[i] - sum / 1600) / (std::sqrt(squares / 1600) + 1e-9L));
    }
  }
  // x - mean in single precision: a rounding of 1000.
  ExpectWithin(1000, expected, Data(*fast.top[0]), "y");
}

TYPED_TEST(FastMvnTest, IsTheSameOnTwoThreads) {
  ParityCase c;
  c.param = "type: 'MVN'";
  c.shapes = {{9, 61, 50, 50}};
  ExpectSameOnTwoThreads<MVNLayer, TypeParam>(c);
}

}  // namespace
}  // namespace ul2q

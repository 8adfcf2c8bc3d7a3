#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/layers/lrn_layer.hpp"
#include "float_engine/parity.hpp"
#include "support.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
class FastLrnTest : public ::testing::Test {
 protected:
  static Bench<Dtype> Fast(const ParityCase& c) {
    return {c, &MakeFast<caffe::LRNLayer, Dtype>};
  }
};
TYPED_TEST_SUITE(FastLrnTest, Dtypes);

std::string Lrn(const std::string& options) {
  return "type: 'LRN' lrn_param { " + options + " }";
}

std::vector<ParityCase> Cases() {
  const std::vector<std::string> options = {
      "local_size: 5 alpha: 0.0001 beta: 0.75",  // AlexNet's
      "local_size: 3 alpha: 2 beta: 0.75 k: 2",
      "local_size: 1 alpha: 0.5 beta: 0.75",
      "local_size: 5 alpha: 0.5 beta: 0.5",
      "local_size: 5 alpha: 0.5 beta: 1 k: 0.5",
      "local_size: 3 alpha: 0.5 beta: 0.6",
      "local_size: 3 alpha: 0.5 beta: 2",
      "local_size: 3 alpha: 0.5 beta: -1",
      "local_size: 3 alpha: 0.5 beta: -2",
      "local_size: 3 alpha: 0.5 beta: 0",
      "local_size: 3 alpha: 0 beta: 0.75",
      "local_size: 21 alpha: 1 beta: 0.75"};  // beyond the channels and edges
  const std::vector<std::vector<int>> shapes = {
      {2, 7, 5, 6},  {1, 1, 3, 3},   {3, 4, 1, 1}, {2, 3, 19, 33},
      {2, 32, 8, 8}, {3, 16, 32, 32}};  // the last with several threads
  std::vector<ParityCase> cases;
  for (const char* region : {"ACROSS_CHANNELS", "WITHIN_CHANNEL"}) {
    for (const std::string& option : options) {
      for (const std::vector<int>& shape : shapes) {
        ParityCase c;
        c.param = Lrn(option + " norm_region: " + region);
        c.shapes = {shape};
        c.name = c.param + " on " + ::testing::PrintToString(shape);
        cases.push_back(c);
        c.phase = caffe::TEST;
        cases.push_back(c);
      }
    }
  }
  return cases;
}

TYPED_TEST(FastLrnTest, GivesWhatBvlcsGives) {
  for (const ParityCase& c : Cases()) {
    ASSERT_NO_FATAL_FAILURE((ExpectParity<caffe::LRNLayer, TypeParam>(c)));
  }
}

// The formula on a window that is one element, of values far apart.
TYPED_TEST(FastLrnTest, IsTheFormulaFromTheSmallestToTheLargestValues) {
  for (const std::string beta : {"0.75", "0.5", "1", "0.6"}) {
    ParityCase c;
    c.param = Lrn("local_size: 1 alpha: 0.5 k: 1e-6 beta: " + beta);
    c.shapes = {{1, 1, 1, 37}};
    auto fast = this->Fast(c);
    std::vector<TypeParam> x(37);
    for (int i = 0; i < 37; ++i) {
      x[i] = std::pow(TypeParam(10), TypeParam(i - 18));
    }
    SetData(x, fast.bottom[0]);
    fast.Forward();
    for (int i = 0; i < 37; ++i) {
      const double s =
          static_cast<double>(TypeParam(1e-6f)) + 0.5 * double(x[i]) * x[i];
      const double y = x[i] * std::pow(s, -double(std::stof(beta)));
      EXPECT_NEAR(fast.top[0]->cpu_data()[i] / y, 1,
                  8 * std::numeric_limits<TypeParam>::epsilon())
          << beta << " at " << i;
    }
  }
}

TYPED_TEST(FastLrnTest, FollowsItsBottomsShape) {
  for (const char* region : {"ACROSS_CHANNELS", "WITHIN_CHANNEL"}) {
    ParityCase c;
    c.param = Lrn("local_size: 5 norm_region: " + std::string(region));
    c.shapes = {{2, 3, 6, 6}};
    Bench<TypeParam> bvlc(c, [](const caffe::LayerParameter& param) {
      return std::make_shared<caffe::LRNLayer<TypeParam>>(param);
    });
    auto fast = this->Fast(c);
    unsigned seed = 1;
    for (const std::vector<int>& shape :
         std::vector<std::vector<int>>{{3, 9, 11, 7}, {1, 2, 3, 3}}) {
      for (auto* bench : {&bvlc, &fast}) {
        bench->bottom[0]->Reshape(shape);
        bench->FillBottoms(seed);
        bench->Forward();
        bench->Backward(seed);
      }
      ASSERT_NO_FATAL_FAILURE(ExpectSame(c, bvlc, fast, region));
      ++seed;
    }
  }
}

TYPED_TEST(FastLrnTest, IsBvlcsInPlace) {
  for (const char* region : {"ACROSS_CHANNELS", "WITHIN_CHANNEL"}) {
    ParityCase c;
    c.name = region;
    c.param = Lrn("local_size: 3 norm_region: " + std::string(region));
    c.shapes = {{2, 4, 5, 5}};
    c.in_place = true;
    ASSERT_NO_FATAL_FAILURE((ExpectParity<caffe::LRNLayer, TypeParam>(c)));
  }
}

TYPED_TEST(FastLrnTest, WritesNoGradientThatIsNotAskedFor) {
  ParityCase c;
  c.param = Lrn("local_size: 3");
  c.shapes = {{2, 4, 5, 5}};
  c.propagate_down = {false};
  auto fast = this->Fast(c);
  fast.Forward();
  fast.Backward(1);
  EXPECT_EQ(Diff(*fast.bottom[0]), Normal<TypeParam>(2 * 4 * 5 * 5, 200));
}

TYPED_TEST(FastLrnTest, DoesNotDependOnTheThreads) {
  for (const char* region : {"ACROSS_CHANNELS", "WITHIN_CHANNEL"}) {
    ParityCase c;
    c.param = Lrn("local_size: 5 norm_region: " + std::string(region));
    c.shapes = {{3, 16, 32, 32}};
    ExpectSameOnTwoThreads<caffe::LRNLayer, TypeParam>(c);
  }
}

TYPED_TEST(FastLrnTest, TakesThePlaceOfBvlcsUnlessThatIsAskedFor) {
  ExpectReplaces<caffe::LRNLayer, TypeParam>("LRN", "lrn_param");
}

}  // namespace
}  // namespace ul2q

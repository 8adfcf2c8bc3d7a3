#include <gtest/gtest.h>

#include <cfloat>
#include <limits>
#include <string>
#include <vector>

#include "caffe/layers/pooling_layer.hpp"
#include "float_engine/parity.hpp"
#include "support.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
class FastPoolingTest : public ::testing::Test {
 protected:
  static Bench<Dtype> Bvlc(const ParityCase& c) {
    return {c, [](const caffe::LayerParameter& param) {
              return std::make_shared<caffe::PoolingLayer<Dtype>>(param);
            }};
  }
  static Bench<Dtype> Fast(const ParityCase& c) {
    return {c, &MakeFast<caffe::PoolingLayer, Dtype>};
  }
};
TYPED_TEST_SUITE(FastPoolingTest, Dtypes);

std::string Pooling(const std::string& options) {
  return "type: 'Pooling' pooling_param { " + options + " }";
}

std::vector<ParityCase> Cases() {
  struct Windows {
    std::string options;
    std::vector<int> shape;
  };
  const std::vector<Windows> windows = {
      {"kernel_size: 2 stride: 2", {2, 3, 8, 8}},
      {"kernel_size: 2 stride: 2", {2, 3, 7, 9}},
      {"kernel_size: 2 stride: 2 round_mode: FLOOR", {2, 3, 7, 9}},
      {"kernel_size: 2 stride: 2", {3, 40, 32, 32}},  // several threads
      {"kernel_size: 2 stride: 2", {1, 1, 2, 2}},
      {"kernel_size: 2 stride: 2", {1, 2, 2, 101}},
      {"kernel_size: 3 stride: 2", {2, 3, 32, 32}},
      {"kernel_size: 3 stride: 2", {2, 3, 9, 14}},
      {"kernel_size: 3 stride: 2 pad: 1", {2, 3, 32, 35}},
      {"kernel_size: 3 stride: 2 pad: 2", {2, 3, 6, 5}},
      {"kernel_size: 3 stride: 2 pad: 1 round_mode: FLOOR", {2, 3, 11, 12}},
      {"kernel_size: 3 stride: 1 pad: 1", {2, 3, 14, 37}},
      {"kernel_size: 3 stride: 1", {2, 3, 3, 3}},
      {"kernel_size: 3 stride: 1 pad: 1", {1, 5, 7, 7}},
      {"kernel_size: 3 stride: 2", {2, 3, 13, 70}},
      {"kernel_size: 4 stride: 2 pad: 1", {2, 3, 12, 67}},
      {"kernel_size: 5 stride: 1 pad: 4", {2, 2, 6, 40}},
      {"kernel_size: 3 stride: 1 pad: 2", {2, 3, 1, 2}},
      {"kernel_size: 3 stride: 3", {2, 3, 10, 11}},
      {"kernel_size: 3 stride: 5", {2, 3, 8, 13}},  // some lies in no window
      {"kernel_size: 1 stride: 3", {1, 2, 7, 10}},
      {"kernel_size: 5 stride: 2 pad: 2", {2, 2, 17, 6}},
      {"kernel_h: 2 kernel_w: 5 stride_h: 3 stride_w: 1 pad_h: 1 pad_w: 0",
       {2, 2, 11, 12}},
      {"kernel_h: 3 kernel_w: 3 stride_h: 2 stride_w: 1", {2, 2, 9, 9}},
      {"kernel_size: 7", {2, 3, 7, 7}},
      {"kernel_h: 2 kernel_w: 19 stride: 1", {2, 3, 5, 19}},
      {"global_pooling: true", {2, 3, 8, 8}},
      {"global_pooling: true", {1, 2, 1, 1}},
      {"global_pooling: true", {1, 1, 301, 301}}};  // beyond the offsets
  std::vector<ParityCase> cases;
  for (const Windows& w : windows) {
    for (const char* method : {"MAX", "AVE"}) {
      ParityCase c;
      c.param = Pooling("pool: " + std::string(method) + " " + w.options);
      c.shapes = {w.shape};
      c.name = c.param + " on " + ::testing::PrintToString(w.shape);
      cases.push_back(c);
      c.name += ", testing";
      c.phase = caffe::TEST;
      cases.push_back(c);
      c.name += ", no gradient";
      c.propagate_down = {false};
      cases.push_back(c);
      if (c.param.find("MAX") != std::string::npos) {
        c.name += ", mask";
        c.propagate_down = {};
        c.tops = 2;
        cases.push_back(c);
      }
    }
  }
  return cases;
}

TYPED_TEST(FastPoolingTest, GivesWhatBvlcsGives) {
  for (const ParityCase& c : Cases()) {
    ASSERT_NO_FATAL_FAILURE((ExpectParity<caffe::PoolingLayer, TypeParam>(c)));
  }
}

// A few different values only: most windows have several maxima.
TYPED_TEST(FastPoolingTest, TakesTheFirstOfEqualMaxima) {
  for (ParityCase c : Cases()) {
    if (c.param.find("MAX") == std::string::npos) {
      continue;
    }
    c.tops = 2;
    auto bvlc = this->Bvlc(c);
    auto fast = this->Fast(c);
    for (auto* bench : {&bvlc, &fast}) {
      bench->FillBottoms(1);
      for (int i = 0; i < bench->bottom[0]->count(); ++i) {
        TypeParam& x = bench->bottom[0]->mutable_cpu_data()[i];
        x = std::round(x);
      }
      bench->Forward();
    }
    ASSERT_EQ(Data(*bvlc.top[0]), Data(*fast.top[0])) << c.name;
    ASSERT_EQ(Data(*bvlc.top[1]), Data(*fast.top[1])) << c.name;
    // The mask that is kept inside.
    c.tops = 1;
    auto unmasked = this->Fast(c);
    SetData(Data(*fast.bottom[0]), unmasked.bottom[0]);
    unmasked.Forward();
    unmasked.Backward(1);
    fast.Backward(1);
    ASSERT_EQ(Diff(*fast.bottom[0]), Diff(*unmasked.bottom[0])) << c.name;
  }
}

// BVLC's backward pass writes before the blob here.
TYPED_TEST(FastPoolingTest, HasNoGradientWhereNothingIsAMaximum) {
  const TypeParam nan = std::numeric_limits<TypeParam>::quiet_NaN();
  const TypeParam inf = std::numeric_limits<TypeParam>::infinity();
  for (const auto& [tops, phase] : std::vector<std::pair<int, caffe::Phase>>{
           {1, caffe::TRAIN}, {2, caffe::TRAIN}, {1, caffe::TEST}}) {
    ParityCase c;
    c.param = Pooling("kernel_size: 2 stride: 2");
    c.shapes = {{1, 1, 2, 8}};
    c.tops = tops;
    c.phase = phase;
    auto bvlc = this->Bvlc(c);
    auto fast = this->Fast(c);
    for (auto* bench : {&bvlc, &fast}) {
      SetData<TypeParam>({nan, nan, nan, 1, -inf, -inf, 3, inf,  //
                          nan, nan, 2, 3, -inf, -inf, 5, nan},
                         bench->bottom[0]);
      bench->Forward();
    }
    for (int i = 0; i < tops; ++i) {
      EXPECT_EQ(Data(*bvlc.top[i]), Data(*fast.top[i]));
    }
    fast.Backward(1);
    const auto diff = Diff(*fast.top[0]);
    EXPECT_EQ(Diff(*fast.bottom[0]),
              (std::vector<TypeParam>{0, 0, 0, 0, 0, 0, 0, diff[3],  //
                                      0, 0, 0, diff[1], 0, 0, 0, 0}));
  }
}

TYPED_TEST(FastPoolingTest, AcceptsWindowsBeyondThePlane) {
  ParityCase c;
  c.name = "average";
  c.param = Pooling("pool: AVE kernel_size: 1 stride: 2");
  c.shapes = {{2, 3, 4, 4}};  // the third window of a row begins at column 4
  ASSERT_NO_FATAL_FAILURE((ExpectParity<caffe::PoolingLayer, TypeParam>(c)));
  c.param = Pooling("kernel_size: 1 stride: 2");
  c.tops = 2;
  auto bvlc = this->Bvlc(c);
  auto fast = this->Fast(c);
  bvlc.Forward();
  fast.Forward();
  EXPECT_EQ(Data(*bvlc.top[0]), Data(*fast.top[0]));
  EXPECT_EQ(Data(*bvlc.top[1]), Data(*fast.top[1]));
  fast.Backward(1);
  EXPECT_EQ(fast.bottom[0]->diff_at(1, 2, 2, 2),
            fast.top[0]->diff_at(1, 2, 1, 1));
}

TYPED_TEST(FastPoolingTest, FollowsItsBottomsShape) {
  ParityCase c;
  c.param = Pooling("kernel_size: 3 stride: 2");
  c.shapes = {{2, 3, 16, 16}};
  auto bvlc = this->Bvlc(c);
  auto fast = this->Fast(c);
  unsigned seed = 1;
  for (const std::vector<int>& shape : std::vector<std::vector<int>>{
           {4, 3, 9, 20}, {1, 1, 4, 4}, {0, 3, 9, 20}}) {
    for (auto* bench : {&bvlc, &fast}) {
      bench->bottom[0]->Reshape(shape);
      bench->FillBottoms(seed);
      bench->Forward();
      bench->Backward(seed);
    }
    ASSERT_NO_FATAL_FAILURE(ExpectSame(c, bvlc, fast, "reshaped"));
    ++seed;
  }
}

TYPED_TEST(FastPoolingTest, HasNoMaximaWithoutAForwardPass) {
  ParityCase c;
  c.param = Pooling("kernel_size: 3 stride: 2 pad: 1");
  c.shapes = {{2, 3, 8, 8}};
  auto fast = this->Fast(c);
  fast.Backward(1);
  EXPECT_EQ(Diff(*fast.bottom[0]), std::vector<TypeParam>(2 * 3 * 8 * 8, 0));
}

TYPED_TEST(FastPoolingTest, DoesNotDependOnTheThreads) {
  for (const char* method : {"MAX", "AVE"}) {
    ParityCase c;
    c.param = Pooling("kernel_size: 3 stride: 2 pool: " + std::string(method));
    c.shapes = {{3, 40, 32, 32}};
    ExpectSameOnTwoThreads<caffe::PoolingLayer, TypeParam>(c);
  }
}

TYPED_TEST(FastPoolingTest, TakesThePlaceOfBvlcsUnlessThatIsAskedFor) {
  ExpectReplaces<caffe::PoolingLayer, TypeParam>("Pooling", "pooling_param",
                                                 "kernel_size: 2");
}

}  // namespace
}  // namespace ul2q

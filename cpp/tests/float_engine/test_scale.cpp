#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "caffe/layers/bias_layer.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "float_engine/parity.hpp"

namespace ul2q {
namespace {

using caffe::BiasLayer;
using caffe::ScaleLayer;

constexpr double kTolerance = 512;  // BVLC's sums in single precision

struct Broadcast {
  std::vector<int> shape;
  std::string axes;
  std::vector<int> factor;  ///< the second bottom's shape
};

std::vector<Broadcast> Broadcasts() {
  return {{{2, 3, 4, 5}, "", {3}},
          {{2, 3, 4, 5}, "axis: 1 num_axes: 2", {3, 4}},
          {{2, 3, 4, 5}, "axis: -2 num_axes: -1", {4, 5}},
          {{2, 3, 4, 5}, "num_axes: 0", {}},
          {{7, 20}, "", {20}},
          {{4, 37, 1, 1}, "", {37}},
          {{3, 5, 4, 4}, "", {5}},
          {{3, 5, 17}, "", {5}},
          {{3, 2, 17, 19}, "", {2}},
          {{2, 3, 2, 3, 4}, "axis: 2", {2}},
          {{50, 33, 9, 9}, "", {33}},
          {{6, 1100}, "", {1100}}};
}

/// One row: BVLC's overwrites the diff of a scale that it has learnt.
std::vector<Broadcast> BroadcastsOfOneRow() {
  return {{{1, 3, 4, 5}, "", {3}},
          {{2, 3, 4, 5}, "axis: 0 num_axes: 2", {2, 3}},
          {{2, 3, 4, 5}, "axis: 0 num_axes: -1", {2, 3, 4, 5}},
          {{1, 1, 1, 1}, "", {1}}};
}

std::vector<ParityCase> Cases(const std::vector<Broadcast>& broadcasts,
                              const std::string& type,
                              const std::string& options, bool two_bottoms) {
  std::vector<ParityCase> cases;
  for (const Broadcast& broadcast : broadcasts) {
    for (const bool in_place : {false, true}) {
      ParityCase c;
      c.name = ::testing::PrintToString(broadcast.shape) + " " +
               broadcast.axes + (two_bottoms ? " two bottoms" : "") +
               (in_place ? " in place" : "");
      c.param = "type: '" + type + "' " + (type == "Scale" ? "scale" : "bias") +
                "_param { " + broadcast.axes + " " + options + " }";
      c.shapes = {broadcast.shape};
      if (two_bottoms) {
        c.shapes.push_back(broadcast.factor);
      }
      c.in_place = in_place;
      c.tolerance = kTolerance;
      c.random_params = true;
      cases.push_back(c);
    }
  }
  return cases;
}

const char kBias[] = "bias_term: true bias_filler { value: 0.3 }";

template <typename Dtype>
class FastScaleTest : public ::testing::Test {};
TYPED_TEST_SUITE(FastScaleTest, Dtypes);

TYPED_TEST(FastScaleTest, TakesThePlaceOfBvlcsUnlessThatIsAskedFor) {
  ExpectReplaces<ScaleLayer, TypeParam>("Scale", "relu_param");
  ExpectReplaces<BiasLayer, TypeParam>("Bias", "relu_param");
}

TYPED_TEST(FastScaleTest, IsBvlcs) {
  for (const char* options : {"", kBias}) {
    for (const bool two_bottoms : {false, true}) {
      for (const ParityCase& c :
           Cases(Broadcasts(), "Scale", options, two_bottoms)) {
        ExpectParity<ScaleLayer, TypeParam>(c);
      }
    }
    for (const ParityCase& c :
         Cases(BroadcastsOfOneRow(), "Scale", options, true)) {
      ExpectParity<ScaleLayer, TypeParam>(c);
    }
  }
}

TYPED_TEST(FastScaleTest, GoesDownWhereItIsToldTo) {
  for (const bool bottom : {false, true}) {
    for (const bool scale : {false, true}) {
      for (const bool bias : {false, true}) {
        for (ParityCase& c : Cases(Broadcasts(), "Scale", kBias, false)) {
          c.propagate_down = {bottom};
          c.param_propagate_down = {scale, bias};
          ExpectParity<ScaleLayer, TypeParam>(c);
        }
        for (ParityCase& c : Cases(Broadcasts(), "Scale", kBias, true)) {
          c.propagate_down = {bottom, scale};
          c.param_propagate_down = {bias};
          ExpectParity<ScaleLayer, TypeParam>(c);
        }
      }
    }
  }
}

TYPED_TEST(FastScaleTest, AddsTheGradientOfOneRow) {
  for (const ParityCase& c : Cases(BroadcastsOfOneRow(), "Scale", "", false)) {
    SCOPED_TRACE(c.name);
    Bench<TypeParam> bench(c, &MakeFast<caffe::ScaleLayer, TypeParam>);
    bench.FillBottoms(1);
    const std::vector<TypeParam> x = Data(*bench.bottom[0]);
    std::vector<TypeParam> expected = Diff(*bench.layer->blobs()[0]);
    bench.Forward();
    bench.Backward(1);
    // As Bench sets it; in place it is overwritten by now.
    const auto dy = Values<TypeParam>(x.size(), 300);
    const std::size_t inner = x.size() / expected.size();
    for (std::size_t i = 0; i < x.size(); ++i) {
      expected[i / inner] += dy[i] * x[i];
    }
    ExpectWithin(32, expected, Diff(*bench.layer->blobs()[0]), "dscale");
  }
}

TYPED_TEST(FastScaleTest, TakesEmptyBatches) {
  for (const ParityCase& c :
       Cases({{{2, 3, 4, 5}, "", {3}}}, "Scale", kBias, false)) {
    ExpectTakesEmptyBatch<ScaleLayer, TypeParam>(c);
  }
}

TYPED_TEST(FastScaleTest, IsTheSameOnTwoThreads) {
  for (const ParityCase& c : Cases(Broadcasts(), "Scale", kBias, false)) {
    ExpectSameOnTwoThreads<ScaleLayer, TypeParam>(c);
  }
}

TYPED_TEST(FastScaleTest, BiasIsBvlcs) {
  for (const bool bottom : {false, true}) {
    for (const bool bias : {false, true}) {
      for (std::vector<Broadcast> broadcasts :
           {Broadcasts(), BroadcastsOfOneRow()}) {
        for (ParityCase& c :
             Cases(broadcasts, "Bias", "filler { value: 0.3 }", false)) {
          c.propagate_down = {bottom};
          c.param_propagate_down = {bias};
          ExpectParity<BiasLayer, TypeParam>(c);
        }
        for (ParityCase& c : Cases(broadcasts, "Bias", "", true)) {
          c.propagate_down = {bottom, bias};
          ExpectParity<BiasLayer, TypeParam>(c);
        }
      }
    }
  }
}

}  // namespace
}  // namespace ul2q

#include <gtest/gtest.h>

#include "caffe/test/test_gradient_check_util.hpp"
#include "layers_of_forks/fork_cases.hpp"
#include "support.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
class ForkLayerTest : public ::testing::Test {};
TYPED_TEST_SUITE(ForkLayerTest, Dtypes);

bool IsLoss(const ForkCase& c) { return c.param.find("Loss'") != c.param.npos; }

TYPED_TEST(ForkLayerTest, GradientsAreThoseOfDifferences) {
  for (const ForkCase& c : ForkCases()) {
    if (!c.params) {
      continue;
    }
    SCOPED_TRACE(c.name);
    for (const int bottom : c.learned) {
      SCOPED_TRACE(bottom);
      ForkRig<TypeParam> rig(c);
      // Differences of float losses have few digits.
      const double threshold = sizeof(TypeParam) == sizeof(float) ? 5e-3 : 2e-3;
      caffe::GradientChecker<TypeParam> checker(1e-2, threshold);
      checker.CheckGradientExhaustive(rig.layer.get(), rig.bottoms, rig.tops,
                                      bottom);
    }
  }
}

/// The gradients of parameters add up; those of bottoms are new in each pass.
TYPED_TEST(ForkLayerTest, GradientsOfParametersAddUp) {
  for (const ForkCase& c : ForkCases()) {
    SCOPED_TRACE(c.name);
    ForkRig<TypeParam> rig(c);
    rig.layer->SetUp(rig.bottoms, rig.tops);
    rig.layer->Forward(rig.bottoms, rig.tops);
    if (!IsLoss(c)) {
      SetDiff(Normal<TypeParam>(rig.tops[0]->count(), 9), rig.tops[0]);
    }
    std::vector<bool> propagate_down(rig.bottoms.size(), false);
    for (const int bottom : c.learned) {
      propagate_down[bottom] = true;
    }
    for (const auto& blob : rig.layer->blobs()) {
      SetDiff(std::vector<TypeParam>(blob->count(), 0), blob.get());
    }
    std::vector<std::vector<TypeParam>> params, bottoms;
    rig.layer->Backward(rig.tops, propagate_down, rig.bottoms);
    for (const auto& blob : rig.layer->blobs()) {
      params.push_back(Diff(*blob));
    }
    for (const int bottom : c.learned) {
      bottoms.push_back(Diff(*rig.bottoms[bottom]));
    }
    rig.layer->Backward(rig.tops, propagate_down, rig.bottoms);
    for (std::size_t i = 0; i < params.size(); ++i) {
      const auto twice = Diff(*rig.layer->blobs()[i]);
      for (std::size_t k = 0; k < twice.size(); ++k) {
        EXPECT_NEAR(2 * params[i][k], twice[k],
                    1e-4 * (1 + std::abs(twice[k])));
      }
    }
    for (std::size_t i = 0; i < bottoms.size(); ++i) {
      EXPECT_EQ(bottoms[i], Diff(*rig.bottoms[c.learned[i]]));
    }
  }
}

/// BN works on its bottom itself, as in SegNet's nets.
TYPED_TEST(ForkLayerTest, WorkInPlace) {
  for (const ForkCase& c : ForkCases()) {
    if (c.name.compare(0, 2, "bn") != 0 && c.name != "relu6") {
      continue;
    }
    SCOPED_TRACE(c.name);
    ForkRig<TypeParam> apart(c), in_place(c);
    in_place.tops = in_place.bottoms;
    for (ForkRig<TypeParam>* rig : {&apart, &in_place}) {
      rig->layer->SetUp(rig->bottoms, rig->tops);
      rig->layer->Forward(rig->bottoms, rig->tops);
      SetDiff(Normal<TypeParam>(rig->tops[0]->count(), 9), rig->tops[0]);
    }
    EXPECT_EQ(Data(*apart.tops[0]), Data(*in_place.tops[0]));
    for (ForkRig<TypeParam>* rig : {&apart, &in_place}) {
      rig->layer->Backward(rig->tops, {true}, rig->bottoms);
    }
    EXPECT_EQ(Diff(*apart.bottoms[0]), Diff(*in_place.bottoms[0]));
  }
}

}  // namespace
}  // namespace ul2q

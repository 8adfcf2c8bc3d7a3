// The layers of forks on the GPU against the CPU. Skipped without a GPU.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "layers_of_forks/fork_cases.hpp"
#include "support.hpp"
#include "support/cuda_device.hpp"

namespace ul2q {
namespace {

using caffe::Caffe;

template <typename Dtype>
class GpuForkLayerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HasCudaDevice()) {
      GTEST_SKIP() << "no CUDA device";
    }
  }
  void TearDown() override { Caffe::set_mode(Caffe::CPU); }
};
TYPED_TEST_SUITE(GpuForkLayerTest, Dtypes);

/// All that two passes of a layer compute, in order.
template <typename Dtype>
std::vector<std::vector<Dtype>> ResultsOf(const ForkCase& c, Caffe::Brew mode) {
  Caffe::set_mode(mode);
  ForkRig<Dtype> rig(c);
  rig.layer->SetUp(rig.bottoms, rig.tops);
  std::vector<bool> propagate_down(rig.bottoms.size(), false);
  for (const int bottom : c.learned) {
    propagate_down[bottom] = true;
  }
  for (const auto& blob : rig.layer->blobs()) {
    SetDiff(std::vector<Dtype>(blob->count(), 1), blob.get());
  }
  std::vector<std::vector<Dtype>> results;
  for (int pass = 0; pass < 2; ++pass) {
    rig.layer->Forward(rig.bottoms, rig.tops);
    results.push_back(Data(*rig.tops[0]));
    if (rig.tops[0]->num_axes() > 0) {  // a loss has its weight there
      SetDiff(Normal<Dtype>(rig.tops[0]->count(), 9), rig.tops[0]);
    }
    rig.layer->Backward(rig.tops, propagate_down, rig.bottoms);
    for (const int bottom : c.learned) {
      results.push_back(Diff(*rig.bottoms[bottom]));
    }
    for (const auto& blob : rig.layer->blobs()) {
      results.push_back(Data(*blob));
      results.push_back(Diff(*blob));
    }
  }
  return results;
}

TYPED_TEST(GpuForkLayerTest, ComputesWhatTheCpuDoes) {
  for (const ForkCase& c : ForkCases()) {
    SCOPED_TRACE(c.name);
    const auto cpu = ResultsOf<TypeParam>(c, Caffe::CPU);
    const auto gpu = ResultsOf<TypeParam>(c, Caffe::GPU);
    ASSERT_EQ(cpu.size(), gpu.size());
    for (std::size_t i = 0; i < cpu.size(); ++i) {
      ASSERT_NO_FATAL_FAILURE(
          ExpectClose(cpu[i], gpu[i], std::to_string(i).c_str()));
    }
  }
}

}  // namespace
}  // namespace ul2q

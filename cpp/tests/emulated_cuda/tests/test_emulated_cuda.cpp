// The emulated device finds what a real one would fail at.

#include <curand.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "cublas_v2.h"
#include "emulated_cuda/kernel.hpp"
#include "nccl.h"

namespace emulated_cuda {
namespace {

constexpr int kCount = 1000;

void Fill(float* array, float value) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < kCount) {
    array[i] = value;
  }
}

/// array[i] = the sum of the block's elements up to i.
void SumUp(float* array) {
  __shared__ float shared[256];
  const unsigned thread = threadIdx.x;
  float* const own = array + blockIdx.x * blockDim.x;
  shared[thread] = own[thread];
  __syncthreads();
  for (unsigned reach = 1; reach < blockDim.x; reach *= 2) {
    const float before = thread >= reach ? shared[thread - reach] : 0;
    __syncthreads();
    shared[thread] += before;
    __syncthreads();
  }
  own[thread] = shared[thread];
}

class EmulatedCudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    cudaMalloc(&array_, kCount * sizeof(float));
    Launch("Fill", 4, 256)(Fill, array_, 1.f);
  }
  void TearDown() override {
    cudaFree(array_);
    cudaGetLastError();
  }
  std::vector<float> Values() const {
    std::vector<float> values(kCount);
    EXPECT_EQ(cudaMemcpy(values.data(), array_, kCount * sizeof(float),
                         cudaMemcpyDeviceToHost),
              cudaSuccess);
    return values;
  }

  float* array_ = nullptr;
};

TEST_F(EmulatedCudaTest, RunsAllThreadsOfAllBlocks) {
  EXPECT_EQ(Values(), std::vector<float>(kCount, 1));
}

TEST_F(EmulatedCudaTest, ThreadsWaitForEachOther) {
  Launch("SumUp", 5, 200)(SumUp, array_);
  const std::vector<float> values = Values();
  for (int i = 0; i < kCount; ++i) {
    ASSERT_EQ(values[i], i % 200 + 1) << i;
  }
}

TEST_F(EmulatedCudaTest, WorksWhenTheHostWaits) {
  float* pinned = nullptr;
  cudaHostAlloc(&pinned, kCount * sizeof(float), 0);
  pinned[3] = 0;
  cudaMemcpyAsync(pinned, array_, kCount * sizeof(float),
                  cudaMemcpyDeviceToHost);
  EXPECT_EQ(pinned[3], 0);
  cudaStreamSynchronize(nullptr);
  EXPECT_EQ(pinned[3], 1);
  cudaFreeHost(pinned);
}

TEST_F(EmulatedCudaTest, RefusesMemoryOfTheHost) {
  std::vector<float> host(kCount);
  Launch("Fill", 4, 256)(Fill, host.data(), 1.f);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  const float one = 1;
  EXPECT_EQ(cublasSaxpy(nullptr, kCount, &one, array_, 1, host.data(), 1),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(cudaMemcpy(host.data(), array_, 4, cudaMemcpyHostToDevice),
            cudaErrorInvalidValue);
}

TEST_F(EmulatedCudaTest, RefusesMemoryOfAnotherDevice) {
  setenv("EMULATED_CUDA_DEVICES", "2", 1);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  Launch("Fill", 4, 256)(Fill, array_, 1.f);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  cudaSetDevice(0);
  unsetenv("EMULATED_CUDA_DEVICES");
}

TEST_F(EmulatedCudaTest, RefusesFreedMemory) {
  float* freed = nullptr;
  cudaMalloc(&freed, kCount * sizeof(float));
  cudaFree(freed);
  Launch("Fill", 4, 256)(Fill, freed, 1.f);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaFree(freed), cudaErrorInvalidValue);
}

TEST_F(EmulatedCudaTest, RefusesCopiesBeyondAnArray) {
  std::vector<float> host(2 * kCount);
  EXPECT_EQ(cudaMemcpy(host.data(), array_, (kCount + 1) * sizeof(float),
                       cudaMemcpyDeviceToHost),
            cudaErrorInvalidValue);
}

TEST_F(EmulatedCudaTest, RefusesGridsWithoutBlocks) {
  Launch("Fill", 0, 256)(Fill, array_, 1.f);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  Launch("Fill", 1, 2048)(Fill, array_, 1.f);
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
}

class EmulatedCudaDeathTest : public EmulatedCudaTest {
 protected:
  void SetUp() override {
    // Not by a fork, in which there are no threads of OpenMP.
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EmulatedCudaTest::SetUp();
  }
  /// In the process that dies.
  template <typename Kernel, typename... Arguments>
  static void LaunchAndWait(const char* name, unsigned threads,
                            const Kernel& kernel, Arguments... arguments) {
    Launch(name, 1, threads)(kernel, arguments...);
    cudaDeviceSynchronize();
  }
};

TEST_F(EmulatedCudaDeathTest, ClosesTheDevicesMemoryToTheHost) {
  EXPECT_DEATH(array_[0] = 1, "the host accesses memory of a device");
}

TEST_F(EmulatedCudaDeathTest, ClosesWhatIsBehindAnArray) {
  float* small = nullptr;
  cudaMalloc(&small, 8 * sizeof(float));
  EXPECT_DEATH(LaunchAndWait("Fill", 256, Fill, small, 1.f),
               "Fill accesses memory behind the end of an array");
  cudaFree(small);
}

TEST_F(EmulatedCudaDeathTest, EndsWhereNotAllThreadsReachABarrier) {
  const auto half = [](float*) {
    if (threadIdx.x < 32) {
      __syncthreads();
    }
  };
  EXPECT_DEATH(LaunchAndWait("half", 64, half, array_),
               "some threads of a block wait");
}

TEST_F(EmulatedCudaTest, NormalNumbersComeInPairs) {
  curandGenerator_t generator = nullptr;
  curandCreateGenerator(&generator, CURAND_RNG_PSEUDO_DEFAULT);
  EXPECT_EQ(curandGenerateNormal(generator, array_, 999, 0, 1),
            CURAND_STATUS_LENGTH_NOT_MULTIPLE);
  EXPECT_EQ(curandGenerateNormal(generator, array_, kCount, 5, 2),
            CURAND_STATUS_SUCCESS);
  double sum = 0;
  for (const float value : Values()) {
    sum += value;
  }
  EXPECT_NEAR(sum / kCount, 5, 0.3);
  curandDestroyGenerator(generator);
}

TEST_F(EmulatedCudaTest, RanksAddTheirArrays) {
  ncclComm_t ranks[2];
  ncclCommInitAll(ranks, 2, nullptr);
  float* other = nullptr;
  cudaMalloc(&other, kCount * sizeof(float));
  Launch("Fill", 4, 256)(Fill, other, 2.f);
  std::thread thread([&] {
    ncclAllReduce(other, other, kCount, ncclFloat, ncclSum, ranks[1], nullptr);
  });
  ncclAllReduce(array_, array_, kCount, ncclFloat, ncclSum, ranks[0], nullptr);
  thread.join();
  EXPECT_EQ(Values(), std::vector<float>(kCount, 3));
  cudaFree(other);
  ncclCommDestroy(ranks[0]);
  ncclCommDestroy(ranks[1]);
}

}  // namespace
}  // namespace emulated_cuda

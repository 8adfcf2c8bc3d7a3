// Caffe with CUDA where there is a GPU and where there is none.

#include <gtest/gtest.h>

#include "caffe/common.hpp"
#include "caffe/internal_thread.hpp"
#include "support.hpp"
#include "support/cuda_device.hpp"

namespace ul2q {
namespace {

class Worker : public caffe::InternalThread {
 public:
  ~Worker() override { StopInternalThread(); }
  bool has_run = false;

 protected:
  void InternalThreadEntry() override { has_run = true; }
};

TEST(CudaDeviceTest, WithoutOneThreadsRunAndWhoAsksForItIsTold) {
  if (HasCudaDevice()) {
    GTEST_SKIP() << "this machine has a CUDA device";
  }
  const std::string error =
      MessageOf<CaffeError>([] { caffe::Caffe::SetDevice(0); });
  ExpectWords(error, {"Cannot use the GPU", "CPU mode"});
  EXPECT_EQ(MessageOf<CaffeError>([] { RequireCudaDevice(); }), error);
  EXPECT_EQ(caffe::Caffe::cublas_handle(), nullptr);
  EXPECT_EQ(caffe::Caffe::curand_generator(), nullptr);
  caffe::Caffe::set_random_seed(1);
  Worker worker;
  worker.StartInternalThread();
  worker.StopInternalThread();
  EXPECT_TRUE(worker.has_run);
}

TEST(GpuDeviceTest, HasProperties) {
  if (!HasCudaDevice()) {
    GTEST_SKIP() << "no CUDA device";
  }
  EXPECT_GT(PropertiesOf(ThreadDevice()).clockRate, 0);
}

}  // namespace
}  // namespace ul2q

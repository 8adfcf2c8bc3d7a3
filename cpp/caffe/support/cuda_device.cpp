#include "support/cuda_device.hpp"

#include <glog/logging.h>

namespace ul2q {
namespace {

cudaError_t CountDevices() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  return error == cudaSuccess && count == 0 ? cudaErrorNoDevice : error;
}

/// Neither devices nor a driver come while a process runs.
cudaError_t WhyNoDevice() {
  static const cudaError_t error = CountDevices();
  return error;
}

void Check(cudaError_t error) {
  CHECK_EQ(error, cudaSuccess) << " " << cudaGetErrorString(error);
}

}  // namespace

bool HasCudaDevice() { return WhyNoDevice() == cudaSuccess; }

void RequireCudaDevice() {
  if (!HasCudaDevice()) {
    LOG(FATAL) << "Cannot use the GPU: CUDA finds none ("
               << cudaGetErrorString(WhyNoDevice()) << "); CPU mode needs none";
  }
}

int ThreadDevice() {
  int device = 0;
  if (HasCudaDevice()) {
    Check(cudaGetDevice(&device));
  }
  return device;
}

void SetThreadDevice(int device) {
  if (HasCudaDevice()) {
    Check(cudaSetDevice(device));
  }
}

DeviceProperties PropertiesOf(int device) {
  DeviceProperties properties;
  Check(cudaGetDeviceProperties(&properties, device));
  Check(cudaDeviceGetAttribute(&properties.clockRate, cudaDevAttrClockRate,
                               device));
  Check(cudaDeviceGetAttribute(&properties.deviceOverlap, cudaDevAttrGpuOverlap,
                               device));
  Check(cudaDeviceGetAttribute(&properties.kernelExecTimeoutEnabled,
                               cudaDevAttrKernelExecTimeout, device));
  return properties;
}

}  // namespace ul2q

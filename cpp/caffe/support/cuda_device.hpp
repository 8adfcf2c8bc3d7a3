#ifndef UL2Q_SUPPORT_CUDA_DEVICE_HPP_
#define UL2Q_SUPPORT_CUDA_DEVICE_HPP_

#include <cuda_runtime_api.h>

namespace ul2q {

/// Whether CUDA finds a device. Without one, and without a driver, Caffe works
/// in CPU mode.
bool HasCudaDevice();

/// Throws CaffeError, with CUDA's reason, unless HasCudaDevice().
void RequireCudaDevice();

/// The calling thread's device, 0 where there is none; and another thread takes
/// it over.
int ThreadDevice();
void SetThreadDevice(int device);

/// With the fields that CUDA 13 dropped.
struct DeviceProperties : cudaDeviceProp {
  int clockRate = 0;  ///< kHz
  int deviceOverlap = 0;
  int kernelExecTimeoutEnabled = 0;
};

/// Throws CaffeError.
DeviceProperties PropertiesOf(int device);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_CUDA_DEVICE_HPP_

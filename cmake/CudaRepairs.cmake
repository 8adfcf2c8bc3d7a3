# What the GPU part of BVLC's source, of 2017, needs today.

# CUDA 13's properties of a device lack three fields.
ul2q_repair(src/caffe/common.cpp
  FROM [[#include "caffe/common.hpp"]]
  TO [[#include "caffe/common.hpp"
#include "support/cuda_device.hpp"]])
ul2q_repair(src/caffe/common.cpp
  FROM [[  cudaDeviceProp prop;
  int device;]]
  TO [[  int device;]])
ul2q_repair(src/caffe/common.cpp
  FROM [[  CUDA_CHECK(cudaGetDeviceProperties(&prop, device));]]
  TO [[  const ul2q::DeviceProperties prop = ul2q::PropertiesOf(device);]])

# Without a device, or a driver, the CPU computes, and says nothing of cuBLAS and cuRAND; only who asks for a GPU hears of it.
ul2q_repair(src/caffe/common.cpp
  FROM [[  // Try to create a cublas handler, and report an error if failed (but we will]]
  TO [[  if (!ul2q::HasCudaDevice()) { return; }
  // Try to create a cublas handler, and report an error if failed (but we will]])
ul2q_repair(src/caffe/common.cpp
  FROM [[    if (!g_curand_availability_logged) {]]
  TO [[    if (ul2q::HasCudaDevice() && !g_curand_availability_logged) {]])
ul2q_repair(src/caffe/common.cpp
  FROM [[  int current_device;]]
  TO [[  ul2q::RequireCudaDevice();
  int current_device;]])
ul2q_repair(src/caffe/internal_thread.cpp
  FROM [[#include "caffe/internal_thread.hpp"]]
  TO [[#include "caffe/internal_thread.hpp"
#include "support/cuda_device.hpp"]])
ul2q_repair(src/caffe/internal_thread.cpp
  FROM [[  CUDA_CHECK(cudaGetDevice(&device));]]
  TO [[  device = ul2q::ThreadDevice();]])
ul2q_repair(src/caffe/internal_thread.cpp
  FROM [[  CUDA_CHECK(cudaSetDevice(device));]]
  TO [[  ul2q::SetThreadDevice(device);]])

# A failed check throws here, which a destructor must not: after an error on the device each of these calls fails.
ul2q_repair(src/caffe/common.cpp
  FROM [[  if (cublas_handle_) CUBLAS_CHECK(cublasDestroy(cublas_handle_));
  if (curand_generator_) {
    CURAND_CHECK(curandDestroyGenerator(curand_generator_));
  }]]
  TO [[  if (cublas_handle_) { cublasDestroy(cublas_handle_); }
  if (curand_generator_) { curandDestroyGenerator(curand_generator_); }]])
ul2q_repair(src/caffe/syncedmem.cpp
  FROM [[  if (gpu_ptr_ && own_gpu_data_) {
    CUDA_CHECK(cudaFree(gpu_ptr_));
  }
#endif  // CPU_ONLY]]
  TO [[  if (gpu_ptr_ && own_gpu_data_) { cudaFree(gpu_ptr_); }
#endif  // CPU_ONLY]])
ul2q_repair(include/caffe/syncedmem.hpp
  FROM [[    CUDA_CHECK(cudaFreeHost(ptr));]]
  TO [[    cudaFreeHost(ptr);]])

# As in accuracy_layer.cpp; there are two such loops.
ul2q_repair(src/caffe/layers/accuracy_layer.cu
  FROM [[(bottom_data[n * dim + k * spatial_dim + s] >= prob_of_true_class);]]
  TO [[!(bottom_data[n * dim + k * spatial_dim + s] < prob_of_true_class);]])

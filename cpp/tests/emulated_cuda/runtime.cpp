#include "cuda_runtime_api.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "memory.hpp"
#include "work.hpp"

using emulated_cuda::CheckArray;
using emulated_cuda::CurrentDevice;
using emulated_cuda::DoWork;
using emulated_cuda::DoWorkAnd;
using emulated_cuda::Enqueue;
using emulated_cuda::Fail;
using emulated_cuda::Lock;
using emulated_cuda::Place;
using emulated_cuda::PlaceOf;

struct EmulatedStream {};
struct EmulatedEvent {
  std::chrono::steady_clock::time_point time;
};

namespace {

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

/// As many as the environment asks for, or 1.
int DeviceCount() {
  const char* const count = std::getenv("EMULATED_CUDA_DEVICES");
  return count == nullptr ? 1 : std::atoi(count);
}

cudaError_t CheckDevice(int device) {
  if (DeviceCount() == 0) {
    return Fail(cudaErrorNoDevice, "");
  }
  return 0 <= device && device < DeviceCount()
             ? cudaSuccess
             : Fail(cudaErrorInvalidDevice, "device " + std::to_string(device));
}

/// Whether the bytes lie where the kind of copy says.
bool CheckCopy(const void* to, const void* from, std::size_t bytes,
               cudaMemcpyKind kind) {
  const auto check = [&](const void* pointer, bool may_be_device,
                         bool may_be_host) {
    const Place place =
        PlaceOf(pointer, bytes, emulated_cuda::DeviceOf(pointer));
    const bool is_device = place == Place::kDevice;
    if (place == Place::kGone || (is_device ? !may_be_device : !may_be_host)) {
      Fail(cudaErrorInvalidValue, "a copy of " + std::to_string(bytes) +
                                      " bytes is not of the kind that it says, "
                                      "or not within arrays");
      return false;
    }
    return true;
  };
  const bool is_any = kind == cudaMemcpyDefault;
  const bool to_device =
      kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device =
      kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  return bytes == 0 ||
         (check(to, is_any || to_device, is_any || !to_device) &&
          check(from, is_any || from_device, is_any || !from_device));
}

}  // namespace

namespace emulated_cuda {

int CurrentDevice() { return current_device; }

cudaError_t Fail(cudaError_t error, const std::string& what) {
  if (!what.empty()) {
    std::fprintf(stderr, "emulated CUDA: %s\n", what.c_str());
  }
  return last_error = error;
}

}  // namespace emulated_cuda

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    case cudaErrorNoDevice:
      return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice:
      return "invalid device ordinal";
    case cudaErrorIllegalAddress:
      return "an illegal memory access was encountered";
  }
  return "unrecognized error code";
}

cudaError_t cudaPeekAtLastError() { return last_error; }

cudaError_t cudaGetLastError() {
  const cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = DeviceCount();
  return *count > 0 ? cudaSuccess : Fail(cudaErrorNoDevice, "");
}

cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return CheckDevice(current_device);
}

cudaError_t cudaSetDevice(int device) {
  const cudaError_t error = CheckDevice(device);
  if (error == cudaSuccess) {
    current_device = device;
  }
  return error;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  *properties = {};
  std::strcpy(properties->name, "emulated on the CPU");
  properties->major = 9;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  return CheckDevice(device);
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute,
                                   int device) {
  *value = attribute == cudaDevAttrClockRate ? 1000 : 0;
  return CheckDevice(device);
}

cudaError_t cudaDeviceSynchronize() {
  const auto lock = Lock();
  DoWork();
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  const auto lock = Lock();
  *pointer = nullptr;
  if (bytes > 0) {
    *pointer = emulated_cuda::AllocateOnDevice(bytes, current_device);
    if (*pointer == nullptr) {
      return Fail(cudaErrorMemoryAllocation, "");
    }
  }
  return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  const auto lock = Lock();
  DoWork();
  return pointer == nullptr || emulated_cuda::FreeOnDevice(pointer)
             ? cudaSuccess
             : Fail(cudaErrorInvalidValue, "cudaFree of what is no array");
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  const auto lock = Lock();
  *pointer = bytes == 0 ? nullptr : emulated_cuda::AllocatePinned(bytes);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return cudaHostAlloc(pointer, bytes, 0);
}

cudaError_t cudaFreeHost(void* pointer) {
  const auto lock = Lock();
  DoWork();
  return pointer == nullptr || emulated_cuda::FreePinned(pointer)
             ? cudaSuccess
             : Fail(cudaErrorInvalidValue, "cudaFreeHost of other memory");
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes,
                                     const void* pointer) {
  const auto lock = Lock();
  attributes->device = emulated_cuda::DeviceOf(pointer);
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes,
                       cudaMemcpyKind kind) {
  const auto lock = Lock();
  if (!CheckCopy(to, from, bytes, kind)) {
    return cudaErrorInvalidValue;
  }
  if (bytes > 0) {
    DoWorkAnd("a copy", [=] { std::memcpy(to, from, bytes); });
  }
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes,
                            cudaMemcpyKind kind, cudaStream_t) {
  const auto lock = Lock();
  if (!CheckCopy(to, from, bytes, kind)) {
    return cudaErrorInvalidValue;
  }
  const bool is_pageable =
      PlaceOf(from, bytes, current_device) == Place::kHost ||
      PlaceOf(to, bytes, current_device) == Place::kHost;
  if (is_pageable) {  // which CUDA waits for
    return cudaMemcpy(to, from, bytes, kind);
  }
  Enqueue("a copy", [=] { std::memcpy(to, from, bytes); });
  return cudaSuccess;
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  const auto lock = Lock();
  if (!CheckArray("cudaMemset", to, bytes)) {
    return cudaErrorIllegalAddress;
  }
  Enqueue("cudaMemset", [=] { std::memset(to, value, bytes); });
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  *stream = new EmulatedStream();
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return cudaStreamCreate(stream);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaDeviceSynchronize();
}

cudaError_t cudaStreamSynchronize(cudaStream_t) {
  return cudaDeviceSynchronize();
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  *event = new EmulatedEvent();
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  cudaDeviceSynchronize();
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  const auto lock = Lock();
  Enqueue("an event", [=] { event->time = std::chrono::steady_clock::now(); });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t) {
  return cudaDeviceSynchronize();
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin,
                                 cudaEvent_t end) {
  *milliseconds =
      std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return cudaSuccess;
}

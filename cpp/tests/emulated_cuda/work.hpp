// What the host has asked the emulated devices for. It is done when the host
// waits for it, and no sooner: the latest that CUDA may do it.
#ifndef UL2Q_TESTS_EMULATED_CUDA_WORK_HPP_
#define UL2Q_TESTS_EMULATED_CUDA_WORK_HPP_

#include <functional>
#include <mutex>
#include <string>

#include "cuda_runtime_api.h"

namespace emulated_cuda {

/// Held by each call of CUDA's.
std::unique_lock<std::recursive_mutex> Lock();

// With the lock:
/// Work that is done after what was asked for before, in whatever stream.
void Enqueue(const char* what, std::function<void()> work);
/// Does all that was asked for.
void DoWork();
/// Does it, and then `last` with the devices' memory open.
void DoWorkAnd(const char* what, const std::function<void()>& last);

/// The calling thread's device.
int CurrentDevice();
/// Keeps the error for cudaGetLastError, and says on stderr what it is about.
cudaError_t Fail(cudaError_t error, const std::string& what);

/// Whether the current device can use the array; Fail, if not.
bool CheckArray(const char* what, const void* pointer, std::size_t bytes);
/// Whether it can use whatever addresses lie in an argument of a kernel.
bool CheckArgument(const char* kernel, const void* argument, std::size_t bytes);

}  // namespace emulated_cuda

#endif  // UL2Q_TESTS_EMULATED_CUDA_WORK_HPP_

// What a .cu file knows without including anything: stands before each.
#ifndef UL2Q_TESTS_EMULATED_CUDA_KERNEL_HPP_
#define UL2Q_TESTS_EMULATED_CUDA_KERNEL_HPP_

#include <math.h>

#include <cstring>
#include <type_traits>

#include "grid.hpp"

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
// One block at a time runs on a thread of the host.
#define __shared__ static thread_local

#define threadIdx ::emulated_cuda::here.thread
#define blockIdx ::emulated_cuda::here.block
#define blockDim ::emulated_cuda::here.threads
#define gridDim ::emulated_cuda::here.blocks

inline void __syncthreads() { emulated_cuda::SyncThreads(); }

template <typename A, typename B>
constexpr std::common_type_t<A, B> min(A a, B b) {
  return b < a ? b : a;
}
template <typename A, typename B>
constexpr std::common_type_t<A, B> max(A a, B b) {
  return a < b ? b : a;
}

inline unsigned long long atomicCAS(unsigned long long* address,
                                    unsigned long long expected,
                                    unsigned long long value) {
  __atomic_compare_exchange_n(address, &expected, value, false,
                              __ATOMIC_RELAXED, __ATOMIC_RELAXED);
  return expected;
}
inline float atomicAdd(float* address, float value) {
  float old = *address, sum;
  do {
    sum = old + value;
  } while (!__atomic_compare_exchange(address, &old, &sum, false,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return old;
}

inline long long __double_as_longlong(double x) {
  long long bits;
  std::memcpy(&bits, &x, sizeof(bits));
  return bits;
}
inline double __longlong_as_double(long long bits) {
  double x;
  std::memcpy(&x, &bits, sizeof(x));
  return x;
}

#endif  // UL2Q_TESTS_EMULATED_CUDA_KERNEL_HPP_

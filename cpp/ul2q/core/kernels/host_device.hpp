#ifndef UL2Q_CORE_KERNELS_HOST_DEVICE_HPP_
#define UL2Q_CORE_KERNELS_HOST_DEVICE_HPP_

// Marks the formulas that CPU loops and CUDA kernels share. They become part of
// the loop that calls them, which is compiled for several instruction sets; a
// function that stayed a function would be compiled for one.
#ifdef __CUDACC__
#define UL2Q_HOST_DEVICE __host__ __device__ __attribute__((always_inline))
#else
#define UL2Q_HOST_DEVICE [[gnu::always_inline]]
#endif

#endif  // UL2Q_CORE_KERNELS_HOST_DEVICE_HPP_

#ifndef UL2Q_KERNELS_HOST_DEVICE_HPP_
#define UL2Q_KERNELS_HOST_DEVICE_HPP_

// Marks the formulas that CPU loops and CUDA kernels share.
#ifdef __CUDACC__
#define UL2Q_HOST_DEVICE __host__ __device__
#else
#define UL2Q_HOST_DEVICE
#endif

#endif  // UL2Q_KERNELS_HOST_DEVICE_HPP_

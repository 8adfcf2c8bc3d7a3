// The part of cuBLAS that Caffe calls.
#ifndef UL2Q_TESTS_EMULATED_CUDA_CUBLAS_V2_H_
#define UL2Q_TESTS_EMULATED_CUDA_CUBLAS_V2_H_

#include "cuda_runtime_api.h"

enum cublasStatus_t {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_NOT_INITIALIZED = 1,
  CUBLAS_STATUS_ALLOC_FAILED = 3,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_ARCH_MISMATCH = 8,
  CUBLAS_STATUS_MAPPING_ERROR = 11,
  CUBLAS_STATUS_EXECUTION_FAILED = 13,
  CUBLAS_STATUS_INTERNAL_ERROR = 14,
  CUBLAS_STATUS_NOT_SUPPORTED = 15,
  CUBLAS_STATUS_LICENSE_ERROR = 16,
};

enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };

using cublasHandle_t = struct EmulatedCublas*;

cublasStatus_t cublasCreate(cublasHandle_t* handle);
cublasStatus_t cublasDestroy(cublasHandle_t handle);
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream);
cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t* stream);

// cublasSgemm … and cublasDgemm …: the same for float and for double.
#define EMULATED_CUBLAS_DECLARE(X, T)                                          \
  cublasStatus_t cublas##X##gemm(                                              \
      cublasHandle_t handle, cublasOperation_t transposes_a,                   \
      cublasOperation_t transposes_b, int m, int n, int k, const T* alpha,     \
      const T* a, int lda, const T* b, int ldb, const T* beta, T* c, int ldc); \
  cublasStatus_t cublas##X##gemv(                                              \
      cublasHandle_t handle, cublasOperation_t transposes, int m, int n,       \
      const T* alpha, const T* a, int lda, const T* x, int incx,               \
      const T* beta, T* y, int incy);                                          \
  cublasStatus_t cublas##X##axpy(cublasHandle_t handle, int n, const T* alpha, \
                                 const T* x, int incx, T* y, int incy);        \
  cublasStatus_t cublas##X##copy(cublasHandle_t handle, int n, const T* x,     \
                                 int incx, T* y, int incy);                    \
  cublasStatus_t cublas##X##scal(cublasHandle_t handle, int n, const T* alpha, \
                                 T* x, int incx);                              \
  cublasStatus_t cublas##X##dot(cublasHandle_t handle, int n, const T* x,      \
                                int incx, const T* y, int incy, T* result);    \
  cublasStatus_t cublas##X##asum(cublasHandle_t handle, int n, const T* x,     \
                                 int incx, T* result);

EMULATED_CUBLAS_DECLARE(S, float)
EMULATED_CUBLAS_DECLARE(D, double)

#undef EMULATED_CUBLAS_DECLARE

#endif  // UL2Q_TESTS_EMULATED_CUDA_CUBLAS_V2_H_

#include "cublas_v2.h"

#include <cblas.h>

#include <algorithm>

#include "work.hpp"

struct EmulatedCublas {
  cudaStream_t stream = nullptr;
};

namespace {

using emulated_cuda::CheckArray;
using emulated_cuda::DoWorkAnd;
using emulated_cuda::Enqueue;
using emulated_cuda::Lock;

CBLAS_TRANSPOSE Transposition(cublasOperation_t operation) {
  return operation == CUBLAS_OP_N ? CblasNoTrans : CblasTrans;
}

/// Whether a matrix, in columns, is possible, and memory that it may be in.
template <typename T>
bool CheckMatrix(const char* what, const T* matrix, int rows, int columns,
                 int ld) {
  const std::size_t count =
      rows == 0 || columns == 0 ? 0 : std::size_t(ld) * (columns - 1) + rows;
  return rows >= 0 && columns >= 0 && ld >= std::max(1, rows) &&
         CheckArray(what, matrix, count * sizeof(T));
}

template <typename T>
bool CheckVector(const char* what, const T* vector, int n, int increment) {
  const std::size_t count = n <= 0 ? 0 : std::size_t(n - 1) * increment + 1;
  return increment > 0 && CheckArray(what, vector, count * sizeof(T));
}

}  // namespace

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new EmulatedCublas();
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t* stream) {
  *stream = handle->stream;
  return CUBLAS_STATUS_SUCCESS;
}

// cblas_s… for X = S, cblas_d… for X = D. Factors are the host's and are read
// at the call, results are waited for.
#define EMULATED_CUBLAS_DEFINE(X, x, T)                                        \
  cublasStatus_t cublas##X##gemm(                                              \
      cublasHandle_t, cublasOperation_t transposes_a,                          \
      cublasOperation_t transposes_b, int m, int n, int k, const T* alpha,     \
      const T* a, int lda, const T* b, int ldb, const T* beta, T* c,           \
      int ldc) {                                                               \
    const auto lock = Lock();                                                  \
    const bool is_a_plain = transposes_a == CUBLAS_OP_N;                       \
    const bool is_b_plain = transposes_b == CUBLAS_OP_N;                       \
    if (!CheckMatrix("gemm", a, is_a_plain ? m : k, is_a_plain ? k : m,        \
                     lda) ||                                                   \
        !CheckMatrix("gemm", b, is_b_plain ? k : n, is_b_plain ? n : k,        \
                     ldb) ||                                                   \
        !CheckMatrix("gemm", c, m, n, ldc)) {                                  \
      return CUBLAS_STATUS_INVALID_VALUE;                                      \
    }                                                                          \
    Enqueue("gemm", [=, alpha = *alpha, beta = *beta] {                        \
      cblas_##x##gemm(CblasColMajor, Transposition(transposes_a),              \
                      Transposition(transposes_b), m, n, k, alpha, a, lda, b,  \
                      ldb, beta, c, ldc);                                      \
    });                                                                        \
    return CUBLAS_STATUS_SUCCESS;                                              \
  }                                                                            \
  cublasStatus_t cublas##X##gemv(cublasHandle_t, cublasOperation_t transposes, \
                                 int m, int n, const T* alpha, const T* a,     \
                                 int lda, const T* u, int incu, const T* beta, \
                                 T* v, int incv) {                             \
    const auto lock = Lock();                                                  \
    const bool is_plain = transposes == CUBLAS_OP_N;                           \
    if (!CheckMatrix("gemv", a, m, n, lda) ||                                  \
        !CheckVector("gemv", u, is_plain ? n : m, incu) ||                     \
        !CheckVector("gemv", v, is_plain ? m : n, incv)) {                     \
      return CUBLAS_STATUS_INVALID_VALUE;                                      \
    }                                                                          \
    Enqueue("gemv", [=, alpha = *alpha, beta = *beta] {                        \
      cblas_##x##gemv(CblasColMajor, Transposition(transposes), m, n, alpha,   \
                      a, lda, u, incu, beta, v, incv);                         \
    });                                                                        \
    return CUBLAS_STATUS_SUCCESS;                                              \
  }                                                                            \
  cublasStatus_t cublas##X##axpy(cublasHandle_t, int n, const T* alpha,        \
                                 const T* u, int incu, T* v, int incv) {       \
    const auto lock = Lock();                                                  \
    if (!CheckVector("axpy", u, n, incu) ||                                    \
        !CheckVector("axpy", v, n, incv)) {                                    \
      return CUBLAS_STATUS_INVALID_VALUE;                                      \
    }                                                                          \
    Enqueue("axpy", [=, alpha = *alpha] {                                      \
      cblas_##x##axpy(n, alpha, u, incu, v, incv);                             \
    });                                                                        \
    return CUBLAS_STATUS_SUCCESS;                                              \
  }                                                                            \
  cublasStatus_t cublas##X##copy(cublasHandle_t, int n, const T* u, int incu,  \
                                 T* v, int incv) {                             \
    const auto lock = Lock();                                                  \
    if (!CheckVector("copy", u, n, incu) ||                                    \
        !CheckVector("copy", v, n, incv)) {                                    \
      return CUBLAS_STATUS_INVALID_VALUE;                                      \
    }                                                                          \
    Enqueue("copy", [=] { cblas_##x##copy(n, u, incu, v, incv); });            \
    return CUBLAS_STATUS_SUCCESS;                                              \
  }                                                                            \
  cublasStatus_t cublas##X##scal(cublasHandle_t, int n, const T* alpha, T* u,  \
                                 int incu) {                                   \
    const auto lock = Lock();                                                  \
    if (!CheckVector("scal", u, n, incu)) {                                    \
      return CUBLAS_STATUS_INVALID_VALUE;                                      \
    }                                                                          \
    Enqueue("scal",                                                            \
            [=, alpha = *alpha] { cblas_##x##scal(n, alpha, u, incu); });      \
    return CUBLAS_STATUS_SUCCESS;                                              \
  }                                                                            \
  cublasStatus_t cublas##X##dot(cublasHandle_t, int n, const T* u, int incu,   \
                                const T* v, int incv, T* result) {             \
    const auto lock = Lock();                                                  \
    if (!CheckVector("dot", u, n, incu) || !CheckVector("dot", v, n, incv)) {  \
      return CUBLAS_STATUS_INVALID_VALUE;                                      \
    }                                                                          \
    DoWorkAnd("dot", [=] { *result = cblas_##x##dot(n, u, incu, v, incv); });  \
    return CUBLAS_STATUS_SUCCESS;                                              \
  }                                                                            \
  cublasStatus_t cublas##X##asum(cublasHandle_t, int n, const T* u, int incu,  \
                                 T* result) {                                  \
    const auto lock = Lock();                                                  \
    if (!CheckVector("asum", u, n, incu)) {                                    \
      return CUBLAS_STATUS_INVALID_VALUE;                                      \
    }                                                                          \
    DoWorkAnd("asum", [=] { *result = cblas_##x##asum(n, u, incu); });         \
    return CUBLAS_STATUS_SUCCESS;                                              \
  }

EMULATED_CUBLAS_DEFINE(S, s, float)
EMULATED_CUBLAS_DEFINE(D, d, double)

#include "ul2q/float_engine/matrix_product.hpp"

#include <dnnl.hpp>

#include "caffe/common.hpp"
#include "caffe/util/math_functions.hpp"

namespace ul2q {

template <>
void MultiplyMatrices(Stored a_is, Stored b_is, std::int64_t m, std::int64_t n,
                      std::int64_t k, const float* a, const float* b,
                      float beta, float* c) {
  const bool a_turned = a_is == Stored::kTransposed;
  const bool b_turned = b_is == Stored::kTransposed;
  const dnnl::status status =
      dnnl::sgemm(a_turned ? 'T' : 'N', b_turned ? 'T' : 'N', m, n, k, 1, a,
                  a_turned ? m : k, b, b_turned ? k : n, beta, c, n);
  CHECK(status == dnnl::status::success)
      << "oneDNN could not multiply matrices of " << m << " x " << k << " and "
      << k << " x " << n;
}

template <>
void MultiplyMatrices(Stored a_is, Stored b_is, std::int64_t m, std::int64_t n,
                      std::int64_t k, const double* a, const double* b,
                      double beta, double* c) {
  caffe::caffe_cpu_gemm<double>(
      a_is == Stored::kTransposed ? CblasTrans : CblasNoTrans,
      b_is == Stored::kTransposed ? CblasTrans : CblasNoTrans,
      static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), 1, a, b,
      beta, c);
}

}  // namespace ul2q

#include "ul2q/float_engine/matrix_product.hpp"

#include <dnnl.hpp>
#include <string>

#include "caffe/common.hpp"
#include "caffe/util/math_functions.hpp"

namespace ul2q {
namespace {

/// Multiply-adds up to which OpenBLAS has kernels of their own for processors
/// with AVX-512, and those up to which they are always the faster ones.
constexpr std::int64_t kSmallProduct = 1 << 20;
constexpr std::int64_t kTinyProduct = 1 << 17;

/// Of so few columns oneDNN makes little use of a vector.
constexpr std::int64_t kFewColumns = 8;

/// So few rows of sums of so few products are faster by any OpenBLAS.
constexpr std::int64_t kFewRows = 8;
constexpr std::int64_t kFewTerms = 4;

bool BlasHasSmallKernels() {
  static const bool has_them = [] {
    const std::string name = openblas_get_corename();
    return name == "SkylakeX" || name == "Cooperlake" ||
           name == "SapphireRapids";
  }();
  return has_them;
}

/// BVLC's matrix product.
template <typename Dtype>
void MultiplyByBlas(Stored a_is, Stored b_is, std::int64_t m, std::int64_t n,
                    std::int64_t k, const Dtype* a, const Dtype* b, Dtype beta,
                    Dtype* c) {
  caffe::caffe_cpu_gemm<Dtype>(
      a_is == Stored::kTransposed ? CblasTrans : CblasNoTrans,
      b_is == Stored::kTransposed ? CblasTrans : CblasNoTrans,
      static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), 1, a, b,
      beta, c);
}

}  // namespace

bool IsForBlas(std::int64_t m, std::int64_t n, std::int64_t k) {
  if (m <= kFewRows && k <= kFewTerms) {
    return true;
  }
  const std::int64_t work = m * n * k;
  return work <= (n <= kFewColumns ? kSmallProduct : kTinyProduct) &&
         BlasHasSmallKernels();
}

template <>
void MultiplyMatrices(Stored a_is, Stored b_is, std::int64_t m, std::int64_t n,
                      std::int64_t k, const float* a, const float* b,
                      float beta, float* c) {
  if (IsForBlas(m, n, k)) {
    MultiplyByBlas(a_is, b_is, m, n, k, a, b, beta, c);
    return;
  }
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
  MultiplyByBlas(a_is, b_is, m, n, k, a, b, beta, c);
}

}  // namespace ul2q

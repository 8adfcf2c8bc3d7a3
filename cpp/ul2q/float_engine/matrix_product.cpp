#include "ul2q/float_engine/matrix_product.hpp"

#include <array>
#include <dnnl.hpp>
#include <string>

#include "caffe/common.hpp"
#include "caffe/util/math_functions.hpp"

namespace ul2q {
namespace {

/// So few rows of sums of so few products are faster by any OpenBLAS.
constexpr std::int64_t kFewRows = 8;
constexpr std::int64_t kFewTerms = 4;

/// Multiply-adds up to which OpenBLAS has kernels of their own for processors
/// with AVX-512. They are nearly always the faster ones.
constexpr std::int64_t kSmallProduct = 1'000'000;

/// What oneDNN needs beyond that: as many columns as use its vectors, or few
/// rows.
constexpr std::int64_t kWideColumns = 32;
constexpr std::int64_t kRowsOfWideColumns = 11;
constexpr std::int64_t kNarrowColumns = 6;

/// BVLC's matrix product, or of a large matrix with a vector one that does not
/// rearrange the matrix.
template <typename Dtype>
void MultiplyByBlas(Stored a_is, Stored b_is, std::int64_t m, std::int64_t n,
                    std::int64_t k, const Dtype* a, const Dtype* b, Dtype beta,
                    Dtype* c) {
  const bool a_turned = a_is == Stored::kTransposed;
  const bool b_turned = b_is == Stored::kTransposed;
  const auto [rows, columns, terms] =
      std::array{static_cast<int>(m), static_cast<int>(n), static_cast<int>(k)};
  const bool is_small = m * n * k <= kSmallProduct;
  if (n == 1 && !is_small) {
    caffe::caffe_cpu_gemv<Dtype>(a_turned ? CblasTrans : CblasNoTrans,
                                 a_turned ? terms : rows,
                                 a_turned ? rows : terms, 1, a, b, beta, c);
  } else if (m == 1 && !is_small) {
    caffe::caffe_cpu_gemv<Dtype>(b_turned ? CblasNoTrans : CblasTrans,
                                 b_turned ? columns : terms,
                                 b_turned ? terms : columns, 1, b, a, beta, c);
  } else {
    caffe::caffe_cpu_gemm<Dtype>(a_turned ? CblasTrans : CblasNoTrans,
                                 b_turned ? CblasTrans : CblasNoTrans, rows,
                                 columns, terms, 1, a, b, beta, c);
  }
}

}  // namespace

bool BlasHasWideKernels() {
  static const bool has_them = [] {
    const std::string name = openblas_get_corename();
    return name == "SkylakeX" || name == "Cooperlake" ||
           name == "SapphireRapids";
  }();
  return has_them;
}

bool IsForBlas(Stored b_is, std::int64_t m, std::int64_t n, std::int64_t k) {
  if (m <= kFewRows && k <= kFewTerms) {
    return true;
  }
  if (!BlasHasWideKernels()) {
    return false;
  }
  if (m == 1 || n == 1 || m * n * k <= kSmallProduct) {
    return true;
  }
  const bool is_wide = b_is == Stored::kPlain && n >= kWideColumns;
  return !is_wide && (m > kRowsOfWideColumns || n < kNarrowColumns);
}

template <>
void MultiplyMatrices(Stored a_is, Stored b_is, std::int64_t m, std::int64_t n,
                      std::int64_t k, const float* a, const float* b,
                      float beta, float* c) {
  if (IsForBlas(b_is, m, n, k)) {
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

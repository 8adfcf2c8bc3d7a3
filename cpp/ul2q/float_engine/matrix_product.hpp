#ifndef UL2Q_FLOAT_ENGINE_MATRIX_PRODUCT_HPP_
#define UL2Q_FLOAT_ENGINE_MATRIX_PRODUCT_HPP_

#include <cstdint>

namespace ul2q {

/// Whether an operand is stored as its transpose.
enum class Stored { kPlain, kTransposed };

/// c = a·b + beta·c, row by row: a is m × k, b is k × n and c is m × n. With a
/// beta of 0, c may be uninitialised. No dimension may be 0.
///
/// Floats are multiplied by oneDNN where OpenBLAS does not know the processor,
/// as an older one falls back to SSE for those that came after it, and by the
/// faster of both for the shape where it has kernels for AVX-512.
template <typename Dtype>
void MultiplyMatrices(Stored a_is, Stored b_is, std::int64_t m, std::int64_t n,
                      std::int64_t k, const Dtype* a, const Dtype* b,
                      Dtype beta, Dtype* c);

/// Whether the BLAS at hand has kernels for AVX-512, beside which little else
/// is faster for small matrices; it depends on the processor.
bool BlasHasWideKernels();

/// Whether the BLAS at hand is faster than oneDNN for floats of such a product.
bool IsForBlas(Stored b_is, std::int64_t m, std::int64_t n, std::int64_t k);

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_MATRIX_PRODUCT_HPP_

#ifndef UL2Q_FLOAT_ENGINE_MATRIX_PRODUCT_HPP_
#define UL2Q_FLOAT_ENGINE_MATRIX_PRODUCT_HPP_

#include <cstdint>

namespace ul2q {

/// Whether an operand is stored as its transpose.
enum class Stored { kPlain, kTransposed };

/// c = a·b + beta·c, row by row: a is m × k, b is k × n and c is m × n. With a
/// beta of 0, c may be uninitialised. No dimension may be 0.
///
/// Floats are multiplied by oneDNN, which knows the instruction sets of more
/// processors than an older OpenBLAS does: that falls back to SSE for those
/// that came after it. Where OpenBLAS has AVX-512, small ones are its own.
template <typename Dtype>
void MultiplyMatrices(Stored a_is, Stored b_is, std::int64_t m, std::int64_t n,
                      std::int64_t k, const Dtype* a, const Dtype* b,
                      Dtype beta, Dtype* c);

/// Whether the BLAS at hand is faster than oneDNN for floats of such a product;
/// it depends on the processor.
bool IsForBlas(std::int64_t m, std::int64_t n, std::int64_t k);

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_MATRIX_PRODUCT_HPP_

#ifndef UL2Q_FLOAT_ENGINE_FEW_VECTORS_HPP_
#define UL2Q_FLOAT_ENGINE_FEW_VECTORS_HPP_

#include <cstdint>

namespace ul2q {

/// A matrix of rows × columns, row by row.
struct MatrixShape {
  std::int64_t rows, columns;

  std::int64_t count() const { return rows * columns; }
};

// Products of a matrix with a few vectors, in which each of its elements is
// read but once: with so little to compute for each, a matrix product's
// rearranging of the matrix takes longer than the product itself. They run on
// several threads where there is enough to do, with the same bits on any number
// of them. Vectors lie one after the other.

/// y[v, row] = Σ matrix[row, column] · x[v, column] + bias[row]; bias may be
/// null.
template <typename Dtype>
void MultiplyRows(const MatrixShape& shape, const Dtype* matrix, const Dtype* x,
                  std::int64_t vectors, const Dtype* bias, Dtype* y);

/// y[v, column] = Σ matrix[row, column] · x[v, row] + bias[column]; bias may be
/// null.
template <typename Dtype>
void MultiplyColumns(const MatrixShape& shape, const Dtype* matrix,
                     const Dtype* x, std::int64_t vectors, const Dtype* bias,
                     Dtype* y);

/// matrix[row, column] += Σ x[v, row] · y[v, column]
template <typename Dtype>
void AddOuterProducts(const MatrixShape& shape, const Dtype* x, const Dtype* y,
                      std::int64_t vectors, Dtype* matrix);

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_FEW_VECTORS_HPP_

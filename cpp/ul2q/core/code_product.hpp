#ifndef UL2Q_CORE_CODE_PRODUCT_HPP_
#define UL2Q_CORE_CODE_PRODUCT_HPP_

#include <cstdint>
#include <functional>
#include <vector>

#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// The product of a few vectors with a quantised matrix that is kept as codes
/// of a byte each: a quarter of the floats' memory, and so of the time, since
/// with so few vectors there is little to compute for each weight.
class CodeProduct {
 public:
  /// Whether the quantizer's codes are few enough for a byte.
  static bool Takes(const Quantizer<float>& quantizer);

  /// Encodes a matrix of rows × columns; `fits` are of the rows, or one of the
  /// whole matrix.
  void Encode(const Quantizer<float>& quantizer,
              const std::vector<ScaleShift<float>>& fits, const float* matrix,
              std::int64_t rows, std::int64_t columns);

  /// Writes the codes of a row.
  using RowCodes = std::function<void(std::int64_t row, std::int32_t* codes)>;

  /// The same of codes that are there.
  void EncodeRows(const Quantizer<float>& quantizer,
                  const std::vector<ScaleShift<float>>& fits,
                  const RowCodes& row_codes, std::int64_t rows,
                  std::int64_t columns);

  /// y[v, row] = Σ x[v, column] · value[row, column] + bias[row] for
  /// `vectors` vectors; bias may be null.
  void Multiply(const float* x, std::int64_t vectors, const float* bias,
                float* y);

  std::int64_t rows() const { return static_cast<std::int64_t>(steps_.size()); }
  std::int64_t columns() const { return columns_; }

 private:
  std::int64_t columns_ = 0;
  std::int64_t stride_ = 0;  ///< columns_ and what fills the last lanes
  /// The value of code c of a row is middle_ + c · step_.
  std::vector<std::int8_t> codes_;
  std::vector<float> steps_, middles_;
  std::vector<float> padded_;  ///< the vectors, as long as stride_
  std::vector<double> sums_;   ///< of their elements
};

}  // namespace ul2q

#endif  // UL2Q_CORE_CODE_PRODUCT_HPP_

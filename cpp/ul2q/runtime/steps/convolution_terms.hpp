#ifndef UL2Q_RUNTIME_STEPS_CONVOLUTION_TERMS_HPP_
#define UL2Q_RUNTIME_STEPS_CONVOLUTION_TERMS_HPP_

#include <cstdint>
#include <vector>

#include "ul2q/runtime/steps/convolution.hpp"

namespace ul2q {
namespace runtime {

/// The pixels of a convolution's output by what of their window lies in the
/// image. Where code 0 does not stand for 0, the border, which has code 0, is
/// no zero: what of a constant term it takes part in depends on the pixel.
struct PixelClasses {
  std::vector<std::int64_t> of_row, of_column;
  std::int64_t columns = 1;  ///< classes of columns

  std::int64_t Of(std::int64_t y, std::int64_t x) const {
    return of_row[y] * columns + of_column[x];
  }
  bool is_one() const { return columns == 1 && of_row.back() == 0; }
};

/// The terms of a convolution and the classes of its pixels. `weight_factor`:
/// by how much its sums are too large.
struct ConvolutionTerms {
  PixelClasses classes;
  ProductTerms terms;
};

ConvolutionTerms TermsOf(const ConvolutionPlan& plan, const Weights& weights,
                         double sum_factor);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_CONVOLUTION_TERMS_HPP_

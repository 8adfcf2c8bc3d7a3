#ifndef UL2Q_RUNTIME_STEPS_CONVOLUTION_TERMS_HPP_
#define UL2Q_RUNTIME_STEPS_CONVOLUTION_TERMS_HPP_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ul2q/runtime/kernels/product.hpp"
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

/// The terms of a convolution and the classes of its pixels.
struct ConvolutionTerms {
  PixelClasses classes;
  ProductTerms terms;

  /// The pixels of row y from column x on that are of the class of the first,
  /// no more than `count`: nearly all.
  int OfOneClass(std::int64_t y, std::int64_t x, int count) const {
    int same = 1;
    while (same < count && classes.Of(y, x + same) == classes.Of(y, x)) {
      ++same;
    }
    return same;
  }
};

/// `sum_factor`: by how much its sums are too large.
ConvolutionTerms TermsOf(const ConvolutionPlan& plan, double sum_factor);

/// Finishes the sums of a tile's outputs for `count` pixels of row y of the
/// output from column x on, which go to `out`. `beside` begins with the first
/// of them.
template <typename Sum, typename Result>
void FinishPixels(const ConvolutionTerms& terms, const Sum* sums,
                  std::int64_t y, std::int64_t x, int count, std::int64_t tile,
                  const Beside& beside, const Image& image, Result* out) {
  const std::int64_t outputs =
      std::min(kTileOutputs, image.channel_stride - tile * kTileOutputs);
  for (int i = 0; i < count;) {
    const int same = terms.OfOneClass(y, x + i, count - i);
    FinishTile(sums + i * kTileOutputs, same, beside.From(i, kTileOutputs),
               terms.terms.Of(tile, terms.classes.Of(y, x + i)), outputs,
               image.channel_stride, out + i * image.channel_stride);
    i += same;
  }
}

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_CONVOLUTION_TERMS_HPP_

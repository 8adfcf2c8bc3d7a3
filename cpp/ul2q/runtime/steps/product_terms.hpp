#ifndef UL2Q_RUNTIME_STEPS_PRODUCT_TERMS_HPP_
#define UL2Q_RUNTIME_STEPS_PRODUCT_TERMS_HPP_

#include <cstdint>
#include <optional>
#include <vector>

#include "ul2q/runtime/graph.hpp"
#include "ul2q/runtime/kernels/finish.hpp"

namespace ul2q {
namespace runtime {

/// What the codes q of a tensor stand for: scale · q + zero, q from 0 to
/// `highest`.
struct Coding {
  double scale = 1, zero = 0;
  int highest = 0;

  static Coding Of(const Quantize& quantize);
};

/// What follows a product before its results are stored.
struct Ending {
  bool has_relu = false;
  std::optional<Quantize> quantize;  ///< absent: the results stay floats
};

/// The numbers of a `Finish`, for outputs up to a multiple of a tile's.
class ProductTerms {
 public:
  /// Of y = scale[n] · sum + code_scale[n] · codes + shift[class][n], and its
  /// ending. `code_scale` may be all 0. A class is a set of pixels with the
  /// same shifts.
  ProductTerms(const std::vector<double>& scale,
               const std::vector<double>& code_scale,
               const std::vector<std::vector<double>>& shifts,
               const Ending& ending);

  /// Those of a tile's outputs, for pixels of a class.
  Finish Of(std::int64_t tile, std::int64_t of_class = 0) const;

  bool reads_codes() const { return !code_scale_.empty(); }

 private:
  std::int64_t padded_;
  std::vector<float> scale_, code_scale_, shift_;
  float lowest_, highest_;
};

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_PRODUCT_TERMS_HPP_

#ifndef UL2Q_RUNTIME_STEPS_PRODUCT_TERMS_HPP_
#define UL2Q_RUNTIME_STEPS_PRODUCT_TERMS_HPP_

#include <cstdint>
#include <optional>
#include <vector>

#include "ul2q/runtime/graph.hpp"
#include "ul2q/runtime/kernels/finish.hpp"
#include "ul2q/runtime/steps/step.hpp"

namespace ul2q {
namespace runtime {

/// What the codes q of a tensor stand for: scale · q + zero, q from 0 to
/// `highest`.
struct Coding {
  double scale = 1, zero = 0;
  int highest = 0;
  std::vector<double> zeros;  ///< of each channel, in place of `zero`

  static Coding Of(const Quantize& quantize);

  double ZeroOf(std::int64_t channel) const {
    return zeros.empty() ? zero : zeros[channel];
  }
  /// Whether code 0 stands for 0.
  bool is_zero() const;
  /// Whether the same codes stand for the same numbers.
  bool IsLike(const Coding& other) const {
    return scale == other.scale && zero == other.zero && zeros == other.zeros;
  }
};

/// A tensor that is added to the results: own · result + scale · x, of which
/// the codes or the values are read.
struct Addend {
  Array from;
  std::optional<Coding> coding;
  double own = 1, scale = 1;

  /// Its pixels from (y, x) and an output on.
  Beside At(const Block& block, std::int64_t item, std::int64_t y,
            std::int64_t x, std::int64_t output) const;
};

/// What follows a product before its results are stored, in this order.
struct Ending {
  std::optional<Addend> addend;
  bool has_relu = false;
  std::optional<Quantize> quantize;  ///< absent: the results stay floats

  /// From a result to its position among the codes: (y - zero()) factor().
  double factor() const;
  double zero() const;
  /// The bounds of positions, or of results.
  float lowest() const;
  float highest() const;
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
  float added_scale_ = 0, lowest_, highest_;
};

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_PRODUCT_TERMS_HPP_

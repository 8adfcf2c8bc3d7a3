#ifndef UL2Q_QUANTIZER_HPP_
#define UL2Q_QUANTIZER_HPP_

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ul2q {

constexpr int kMinBits = 1;
constexpr int kMaxBits = 16;

/// Where the step of a method, in units of the standard deviation, comes from.
enum class Fit {
  kExact,  ///< the optimum for N(0, 1)
  kPaper   ///< the paper's Table I up to 8 bits, the data's range above
};

/// "exact" or "paper"; throws std::invalid_argument for another name.
Fit ParseFit(const std::string& name);

struct QuantizerOptions {
  int bits = 0;  ///< bits a code, kMinBits to kMaxBits
  Fit fit = Fit::kExact;
};

/// What a quantizer fits to an array: α and β of the paper, in the array's own
/// precision, so that codes and values follow from them exactly.
template <typename Dtype>
struct ScaleShift {
  Dtype scale = 0;  ///< α, the distance of two levels; 0 for constant arrays
  Dtype shift = 0;  ///< β, the centre of the levels
};

/// Values that cannot be quantised: NaN, infinity, or a range that overflows.
class NonFiniteError : public std::domain_error {
 public:
  using std::domain_error::domain_error;
};

/// Turns an array of weights into integer codes of a few bits and back:
/// moments -> scale and shift -> codes -> values.
///
/// A quantizer has no state: the same array gives the same result, whatever
/// the number of threads. Arrays are contiguous; `n` counts elements and may
/// be 0; input and output may be the same array.
template <typename Dtype>
class Quantizer {
 public:
  virtual ~Quantizer() = default;

  /// Scale and shift for `w`. Throws NonFiniteError.
  virtual ScaleShift<Dtype> FitTo(const Dtype* w, std::int64_t n) const = 0;

  /// The code of each element.
  virtual void Encode(const ScaleShift<Dtype>& fit, const Dtype* w,
                      std::int64_t n, std::int32_t* codes) const = 0;

  /// The value that each code stands for.
  virtual void Decode(const ScaleShift<Dtype>& fit, const std::int32_t* codes,
                      std::int64_t n, Dtype* values) const = 0;

  /// Decode(Encode(w)) in one pass over memory.
  virtual void Quantize(const ScaleShift<Dtype>& fit, const Dtype* w,
                        std::int64_t n, Dtype* values) const = 0;
};

/// A method's name and how to make its quantizer. The name serves Python and,
/// in upper case, the enum QuantizerParameter.Method.
struct Method {
  const char* name;
  std::unique_ptr<Quantizer<float>> (*make_float)(const QuantizerOptions&);
  std::unique_ptr<Quantizer<double>> (*make_double)(const QuantizerOptions&);
};

/// All methods, in the order of methods/registry.cpp.
const std::vector<const Method*>& Methods();

/// The quantizer of `method`. Throws std::invalid_argument, with the field and
/// the valid values, for an unknown method or bits out of range.
template <typename Dtype>
std::unique_ptr<Quantizer<Dtype>> MakeQuantizer(
    const std::string& method, const QuantizerOptions& options);

}  // namespace ul2q

#endif  // UL2Q_QUANTIZER_HPP_

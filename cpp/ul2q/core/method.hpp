#ifndef UL2Q_CORE_METHOD_HPP_
#define UL2Q_CORE_METHOD_HPP_

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "ul2q/core/quantizer.hpp"

namespace ul2q {

constexpr int kMinBits = 1;
constexpr int kMaxBits = 16;

/// Where scale and shift come from.
enum class Fit {
  kExact,  ///< the method's formula; μL2Q's step is the optimum for N(0, 1)
  kPaper,  ///< μL2Q: the paper's Table I up to 8 bits, the data's range above
  kEmpirical  ///< the data: codes and least squares in turn
};

/// The centre of the levels.
enum class Shift {
  kMean,  ///< the mean, the paper's β
  kZero   ///< held at 0
};

/// From a position between two levels to a code.
enum class Rounding {
  kNearest,    ///< to the nearest level, half away from zero
  kStochastic  ///< up or down at random, right on average
};

struct QuantizerOptions {
  std::optional<int> bits = {};  ///< absent: what the method knows by itself
  Fit fit = Fit::kExact;
  std::optional<Shift> shift = {};  ///< absent: the method's own
  Rounding rounding = Rounding::kNearest;
  bool is_signed = true;  ///< false: for values from 0 up, as of a ReLU
};

/// The options' values by name, "exact" or "zero", in lower case. Throw
/// OptionError for another name.
Fit ParseFit(const std::string& name);
Shift ParseShift(const std::string& name);
Rounding ParseRounding(const std::string& name);

/// An option that is not valid, or not for its method.
class OptionError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// A quantisation method: one file of methods/, and a name in the enum
/// QuantizerParameter.Method, there in upper case.
struct Method {
  const char* name;
  const char* summary;  ///< one line for the documentation
  const char* levels;   ///< the values that an element can get
  int min_bits = kMinBits;
  int max_bits = kMaxBits;
  bool has_paper_fit = false;
  bool has_mean_shift = false;  ///< and then it is the default
  bool has_stochastic_rounding = false;
  bool has_unsigned = false;
  /// Made of options that were checked against the above; bits and shift are
  /// present.
  std::unique_ptr<Quantizer<float>> (*make_float)(const QuantizerOptions&);
  std::unique_ptr<Quantizer<double>> (*make_double)(const QuantizerOptions&);

  /// Whether there is one width only, which need not be given then.
  bool bits_are_fixed() const { return min_bits == max_bits; }
};

/// All methods, ordered by name.
std::vector<const Method*> Methods();

/// Adds a method while its file is loaded, as Caffe's layers are added:
///
///   const MethodRegistration registration({"binary", ...});
class MethodRegistration {
 public:
  explicit MethodRegistration(const Method& method);
};

/// The quantizer of `method`. Throws OptionError, with the option and what is
/// valid, for an unknown method and for options that it does not take.
template <typename Dtype>
std::unique_ptr<Quantizer<Dtype>> MakeQuantizer(
    const std::string& method, const QuantizerOptions& options);

}  // namespace ul2q

#endif  // UL2Q_CORE_METHOD_HPP_

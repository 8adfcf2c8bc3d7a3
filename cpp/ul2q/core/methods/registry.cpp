#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "ul2q/core/method.hpp"

namespace ul2q {
namespace {

std::map<std::string, Method>& Registry() {
  // In a function: the methods' files may be loaded before this one.
  static std::map<std::string, Method> registry;
  return registry;
}

template <typename Value>
using Names = std::vector<std::pair<const char*, Value>>;

template <typename Value>
Value Parse(const char* option, const std::string& name,
            const Names<Value>& names) {
  std::string known;
  for (const auto& [candidate, value] : names) {
    if (name == candidate) {
      return value;
    }
    known += (known.empty() ? "" : ", ") + std::string(candidate);
  }
  throw OptionError(std::string(option) + " is \"" + name +
                    "\"; must be one of " + known);
}

/// The options with bits and shift filled in. Throws OptionError where the
/// method does not take them.
QuantizerOptions Checked(const Method& method, QuantizerOptions options) {
  const std::string name = method.name;
  const std::string width = method.bits_are_fixed()
                                ? std::to_string(method.min_bits)
                                : std::to_string(method.min_bits) + " to " +
                                      std::to_string(method.max_bits);
  if (!options.bits) {
    if (!method.bits_are_fixed()) {
      throw OptionError("bits is missing; method " + name + " takes " + width);
    }
    options.bits = method.min_bits;
  }
  if (*options.bits < method.min_bits || *options.bits > method.max_bits) {
    throw OptionError("bits is " + std::to_string(*options.bits) +
                      "; must be " + width + " for method " + name);
  }
  if (options.fit == Fit::kPaper &&
      !(method.has_paper_fit && options.is_signed)) {
    throw OptionError("fit is paper; method " + name +
                      (options.is_signed ? "" : " for unsigned values") +
                      " takes exact or empirical");
  }
  const bool may_shift = method.has_mean_shift && options.is_signed;
  if (options.shift == Shift::kMean && !may_shift) {
    throw OptionError("shift is mean; method " + name +
                      (options.is_signed ? "" : " for unsigned values") +
                      " takes zero");
  }
  if (!options.shift) {
    options.shift = may_shift ? Shift::kMean : Shift::kZero;
  }
  if (options.rounding == Rounding::kStochastic &&
      !method.has_stochastic_rounding) {
    throw OptionError("rounding is stochastic; method " + name +
                      " takes nearest");
  }
  if (!options.is_signed && !method.has_unsigned) {
    throw OptionError("signed is false; the codes of method " + name +
                      " are signed");
  }
  return options;
}

std::unique_ptr<Quantizer<float>> Make(const Method& method,
                                       const QuantizerOptions& options, float) {
  return method.make_float(options);
}

std::unique_ptr<Quantizer<double>> Make(const Method& method,
                                        const QuantizerOptions& options,
                                        double) {
  return method.make_double(options);
}

}  // namespace

MethodRegistration::MethodRegistration(const Method& method) {
  if (!Registry().emplace(method.name, method).second) {
    throw std::logic_error(std::string("two methods are named ") + method.name);
  }
}

std::vector<const Method*> Methods() {
  std::vector<const Method*> methods;
  for (const auto& entry : Registry()) {
    methods.push_back(&entry.second);
  }
  return methods;
}

Fit ParseFit(const std::string& name) {
  return Parse<Fit>("fit", name,
                    {{"exact", Fit::kExact},
                     {"paper", Fit::kPaper},
                     {"empirical", Fit::kEmpirical}});
}

Shift ParseShift(const std::string& name) {
  return Parse<Shift>("shift", name,
                      {{"mean", Shift::kMean}, {"zero", Shift::kZero}});
}

Rounding ParseRounding(const std::string& name) {
  return Parse<Rounding>(
      "rounding", name,
      {{"nearest", Rounding::kNearest}, {"stochastic", Rounding::kStochastic}});
}

template <typename Dtype>
std::unique_ptr<Quantizer<Dtype>> MakeQuantizer(
    const std::string& method, const QuantizerOptions& options) {
  Names<const Method*> known;
  for (const Method* candidate : Methods()) {
    known.emplace_back(candidate->name, candidate);
  }
  const Method& found = *Parse<const Method*>("method", method, known);
  return Make(found, Checked(found, options), Dtype());
}

template std::unique_ptr<Quantizer<float>> MakeQuantizer(
    const std::string&, const QuantizerOptions&);
template std::unique_ptr<Quantizer<double>> MakeQuantizer(
    const std::string&, const QuantizerOptions&);

}  // namespace ul2q

#include <algorithm>
#include <string>

#include "ul2q/methods/ul2q.hpp"
#include "ul2q/quantizer.hpp"

namespace ul2q {

const std::vector<const Method*>& Methods() {
  static const std::vector<const Method*> methods = {
      &kUl2q,
  };
  return methods;
}

Fit ParseFit(const std::string& name) {
  if (name == "exact") {
    return Fit::kExact;
  }
  if (name == "paper") {
    return Fit::kPaper;
  }
  throw std::invalid_argument("fit is \"" + name +
                              "\"; must be \"exact\" or \"paper\"");
}

namespace {

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

template <typename Dtype>
std::unique_ptr<Quantizer<Dtype>> MakeQuantizer(
    const std::string& method, const QuantizerOptions& options) {
  std::string known;
  for (const Method* candidate : Methods()) {
    if (method == candidate->name) {
      if (options.bits < kMinBits || options.bits > kMaxBits) {
        throw std::invalid_argument("bits is " + std::to_string(options.bits) +
                                    "; must be " + std::to_string(kMinBits) +
                                    " to " + std::to_string(kMaxBits));
      }
      return Make(*candidate, options, Dtype());
    }
    known += known.empty() ? "\"" : ", \"";
    known += std::string(candidate->name) + "\"";
  }
  throw std::invalid_argument("method is \"" + method + "\"; must be one of " +
                              known);
}

template std::unique_ptr<Quantizer<float>> MakeQuantizer(
    const std::string&, const QuantizerOptions&);
template std::unique_ptr<Quantizer<double>> MakeQuantizer(
    const std::string&, const QuantizerOptions&);

}  // namespace ul2q

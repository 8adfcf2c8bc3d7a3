#include "ul2q/runtime/steps/product_terms.hpp"

#include <algorithm>
#include <limits>

#include "ul2q/runtime/image.hpp"

namespace ul2q {
namespace runtime {

Coding Coding::Of(const Quantize& quantize) {
  if (quantize.scale == 0) {
    return {0, quantize.shift, 0};
  }
  const double zero =
      quantize.scale * (static_cast<double>(quantize.lowest) - quantize.offset);
  return {quantize.scale, zero + quantize.shift,
          quantize.highest - quantize.lowest};
}

ProductTerms::ProductTerms(const std::vector<double>& scale,
                           const std::vector<double>& code_scale,
                           const std::vector<std::vector<double>>& shifts,
                           const Ending& ending)
    : padded_(RoundUp(static_cast<std::int64_t>(scale.size()), kTileOutputs)) {
  const Coding coding =
      ending.quantize ? Coding::Of(*ending.quantize) : Coding();
  // From a result to its position among the codes: (y - zero) factor.
  const double factor = coding.scale > 0 ? 1 / coding.scale : 0;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  lowest_ = ending.quantize ? 0 : -kInfinity;
  highest_ = ending.quantize ? static_cast<float>(coding.highest) : kInfinity;
  if (ending.has_relu) {
    const auto of_zero = static_cast<float>(-coding.zero * factor);
    lowest_ = std::min(std::max(lowest_, of_zero), highest_);
  }
  const auto append = [&](const std::vector<double>& from, double minus,
                          std::vector<float>& to) {
    const std::size_t size = to.size();
    for (const double number : from) {
      to.push_back(static_cast<float>((number - minus) * factor));
    }
    to.resize(size + padded_, 0.0f);
  };
  append(scale, 0, scale_);
  if (std::any_of(code_scale.begin(), code_scale.end(),
                  [](double s) { return s != 0; })) {
    append(code_scale, 0, code_scale_);
  }
  for (const std::vector<double>& shift : shifts) {
    append(shift, coding.zero, shift_);
  }
}

Finish ProductTerms::Of(std::int64_t tile, std::int64_t of_class) const {
  const std::int64_t first = tile * kTileOutputs;
  return {scale_.data() + first,
          reads_codes() ? code_scale_.data() + first : nullptr,
          shift_.data() + of_class * padded_ + first, lowest_, highest_};
}

}  // namespace runtime
}  // namespace ul2q

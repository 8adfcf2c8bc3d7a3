#include "ul2q/runtime/steps/product_terms.hpp"

#include <algorithm>
#include <limits>

#include "ul2q/runtime/image.hpp"

namespace ul2q {
namespace runtime {

Coding Coding::Of(const Quantize& quantize) {
  if (quantize.scale == 0) {
    return {0, quantize.shift, 0, {}};
  }
  const double zero =
      quantize.scale * (static_cast<double>(quantize.lowest) - quantize.offset);
  return {quantize.scale,
          zero + quantize.shift,
          quantize.highest - quantize.lowest,
          {}};
}

bool Coding::is_zero() const {
  return zeros.empty() ? zero == 0
                       : std::all_of(zeros.begin(), zeros.end(),
                                     [](double number) { return number == 0; });
}

Beside Addend::At(const Block& block, std::int64_t item, std::int64_t y,
                  std::int64_t x, std::int64_t output) const {
  Beside beside;
  const std::int64_t at = from.image.At(y, x) + output;
  if (coding) {
    beside.added_codes = block.At<std::uint8_t>(from, item) + at;
  } else {
    beside.added_values = block.At<float>(from, item) + at;
  }
  beside.added_stride = from.image.channel_stride;
  return beside;
}

double Ending::factor() const {
  if (!quantize) {
    return 1;
  }
  const double scale = Coding::Of(*quantize).scale;
  return scale > 0 ? 1 / scale : 0;
}

double Ending::zero() const {
  return quantize ? Coding::Of(*quantize).zero : 0;
}

float Ending::lowest() const {
  float lowest = quantize ? 0.0f : -std::numeric_limits<float>::infinity();
  if (has_relu) {
    lowest = std::max(lowest, static_cast<float>(-zero() * factor()));
  }
  return std::min(lowest, highest());
}

float Ending::highest() const {
  return quantize ? static_cast<float>(Coding::Of(*quantize).highest)
                  : std::numeric_limits<float>::infinity();
}

ProductTerms::ProductTerms(const std::vector<double>& scale,
                           const std::vector<double>& code_scale,
                           const std::vector<std::vector<double>>& shifts,
                           const Ending& ending)
    : padded_(RoundUp(static_cast<std::int64_t>(scale.size()), kTileOutputs)),
      lowest_(ending.lowest()),
      highest_(ending.highest()) {
  const double factor = ending.factor();
  double own = 1, zero = ending.zero();
  if (ending.addend) {
    const Addend& addend = *ending.addend;
    own = addend.own;
    double added_scale = addend.scale * factor;
    if (addend.coding) {
      added_scale *= addend.coding->scale;
      zero -= addend.scale * addend.coding->zero;
    }
    added_scale_ = static_cast<float>(added_scale);
  }
  const auto append = [&](const std::vector<double>& from, double minus,
                          std::vector<float>& to) {
    const std::size_t size = to.size();
    for (const double number : from) {
      to.push_back(static_cast<float>((own * number - minus) * factor));
    }
    to.resize(size + padded_, 0.0f);
  };
  append(scale, 0, scale_);
  if (std::any_of(code_scale.begin(), code_scale.end(),
                  [](double s) { return s != 0; })) {
    append(code_scale, 0, code_scale_);
  }
  for (const std::vector<double>& shift : shifts) {
    append(shift, zero, shift_);
  }
}

Finish ProductTerms::Of(std::int64_t tile, std::int64_t of_class) const {
  const std::int64_t first = tile * kTileOutputs;
  return {scale_.data() + first,
          reads_codes() ? code_scale_.data() + first : nullptr,
          shift_.data() + of_class * padded_ + first,
          added_scale_,
          lowest_,
          highest_};
}

}  // namespace runtime
}  // namespace ul2q

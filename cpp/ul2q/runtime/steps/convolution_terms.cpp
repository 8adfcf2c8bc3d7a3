#include "ul2q/runtime/steps/convolution_terms.hpp"

#include <algorithm>
#include <map>

namespace ul2q {
namespace runtime {
namespace {

/// The part of a kernel that lies in the image, along one axis.
struct Range {
  std::int64_t begin, end;
  bool operator<(const Range& other) const {
    return begin != other.begin ? begin < other.begin : end < other.end;
  }
};

/// A class for each output along an axis, and the range of each class.
std::vector<Range> Classify(std::int64_t outputs, std::int64_t extent,
                            std::int64_t kernel, std::int64_t stride,
                            std::int64_t pad, std::int64_t dilation,
                            std::vector<std::int64_t>& of_output) {
  std::map<Range, std::int64_t> known;
  std::vector<Range> ranges;
  for (std::int64_t i = 0; i < outputs; ++i) {
    Range range = {kernel, 0};
    for (std::int64_t k = 0; k < kernel; ++k) {
      const std::int64_t at = i * stride - pad + k * dilation;
      if (0 <= at && at < extent) {
        range = {std::min(range.begin, k), k + 1};
      }
    }
    const auto [found, is_new] = known.try_emplace(range, ranges.size());
    if (is_new) {
      ranges.push_back(range);
    }
    of_output.push_back(found->second);
  }
  return ranges;
}

}  // namespace

ConvolutionTerms TermsOf(const ConvolutionPlan& plan, double sum_factor) {
  const Convolution& convolution = *plan.convolution;
  const Weights& weights = convolution.weights;
  const Image& in = plan.from.image;
  const Image& out = plan.to.image;
  const std::int64_t outputs = convolution.outputs;
  const Pair kernel = convolution.kernel;
  PixelClasses classes;
  const bool has_zero = !plan.coding || plan.coding->is_zero();
  const std::int64_t of_group = in.channels / convolution.group;
  const std::int64_t inputs = of_group * kernel.height * kernel.width;
  std::vector<Range> rows = {{0, 0}}, columns = {{0, 0}};
  if (!has_zero) {
    rows = Classify(out.height, in.height, kernel.height,
                    convolution.stride.height, convolution.pad.height,
                    convolution.dilation.height, classes.of_row);
    columns = Classify(out.width, in.width, kernel.width,
                       convolution.stride.width, convolution.pad.width,
                       convolution.dilation.width, classes.of_column);
    classes.columns = static_cast<std::int64_t>(columns.size());
  } else {
    classes.of_row.assign(out.height, 0);
    classes.of_column.assign(out.width, 0);
  }
  std::vector<std::vector<double>> shifts;
  for (const Range& row : rows) {
    for (const Range& column : columns) {
      std::vector<double> shift = convolution.bias;
      for (std::int64_t n = 0; !has_zero && n < outputs; ++n) {
        const std::int64_t first = n / (outputs / convolution.group) * of_group;
        for (std::int64_t c = 0; c < of_group; ++c) {
          double sum = 0;
          for (std::int64_t y = row.begin; y < row.end; ++y) {
            for (std::int64_t x = column.begin; x < column.end; ++x) {
              sum += weights.Value(
                  n, (c * kernel.height + y) * kernel.width + x, inputs);
            }
          }
          shift[n] += plan.coding->ZeroOf(first + c) * sum;
        }
      }
      shifts.push_back(std::move(shift));
    }
  }
  std::vector<double> scale(outputs, 1.0), code_scale(outputs, 0.0);
  if (plan.coding) {
    for (std::int64_t n = 0; n < outputs; ++n) {
      scale[n] = weights.step[n] * plan.coding->scale / sum_factor;
      code_scale[n] = weights.shift[n] * plan.coding->scale;
    }
  }
  return {classes, ProductTerms(scale, code_scale, shifts, plan.ending)};
}

}  // namespace runtime
}  // namespace ul2q

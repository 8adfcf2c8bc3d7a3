#ifndef UL2Q_TESTS_RUNTIME_REFERENCE_HPP_
#define UL2Q_TESTS_RUNTIME_REFERENCE_HPP_

// The layers of a graph by plain loops in double, in the order that their
// definitions are written in.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <variant>
#include <vector>

#include "ul2q/runtime/graph.hpp"

namespace ul2q {
namespace runtime {
namespace reference {

/// An item: channels × height × width.
struct Item {
  std::int64_t channels, height, width;
  std::vector<double> values;

  double at(std::int64_t c, std::int64_t y, std::int64_t x) const {
    const bool is_inside = 0 <= y && y < height && 0 <= x && x < width;
    return is_inside ? values[(c * height + y) * width + x] : 0;
  }
};

inline Item Run(const Convolution& op, const Item& x) {
  const auto extent = [](std::int64_t size, std::int64_t kernel,
                         std::int64_t stride, std::int64_t pad,
                         std::int64_t dilation) {
    return (size + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
  };
  Item y = {op.outputs,
            extent(x.height, op.kernel.height, op.stride.height, op.pad.height,
                   op.dilation.height),
            extent(x.width, op.kernel.width, op.stride.width, op.pad.width,
                   op.dilation.width),
            {}};
  const std::int64_t channels = x.channels / op.group;
  const std::int64_t inputs = channels * op.kernel.height * op.kernel.width;
  for (std::int64_t n = 0; n < op.outputs; ++n) {
    const std::int64_t first = n / (op.outputs / op.group) * channels;
    for (std::int64_t i = 0; i < y.height; ++i) {
      for (std::int64_t j = 0; j < y.width; ++j) {
        double sum = op.bias[n];
        for (std::int64_t k = 0; k < inputs; ++k) {
          const std::int64_t c = k / (op.kernel.height * op.kernel.width);
          const std::int64_t v = k / op.kernel.width % op.kernel.height;
          const std::int64_t u = k % op.kernel.width;
          sum +=
              op.weights.Value(n, k, inputs) *
              x.at(
                  first + c,
                  i * op.stride.height - op.pad.height + v * op.dilation.height,
                  j * op.stride.width - op.pad.width + u * op.dilation.width);
        }
        y.values.push_back(sum);
      }
    }
  }
  return y;
}

inline Item Run(const InnerProduct& op, const Item& x) {
  Item y = {op.outputs, 1, 1, {}};
  const auto inputs = static_cast<std::int64_t>(x.values.size());
  for (std::int64_t n = 0; n < op.outputs; ++n) {
    double sum = op.bias[n];
    for (std::int64_t k = 0; k < inputs; ++k) {
      sum += op.weights.Value(n, k, inputs) * x.values[k];
    }
    y.values.push_back(sum);
  }
  return y;
}

inline Item Relu(Item x) {
  for (double& value : x.values) {
    value = std::max(value, 0.0);
  }
  return x;
}

inline Item Run(const Quantize& op, Item x) {
  for (double& value : x.values) {
    const double position = std::clamp(
        (value - op.shift) / op.scale + op.offset,
        static_cast<double>(op.lowest), static_cast<double>(op.highest));
    value = op.scale * (std::round(position) - op.offset) + op.shift;
  }
  return x;
}

inline Item Run(const Pooling& op, const Item& x) {
  Item y = {x.channels, op.output.height, op.output.width, {}};
  for (std::int64_t c = 0; c < x.channels; ++c) {
    for (std::int64_t i = 0; i < y.height; ++i) {
      for (std::int64_t j = 0; j < y.width; ++j) {
        const std::int64_t top = i * op.stride.height - op.pad.height;
        const std::int64_t left = j * op.stride.width - op.pad.width;
        const std::int64_t bottom =
            std::min(top + op.kernel.height, x.height + op.pad.height);
        const std::int64_t right =
            std::min(left + op.kernel.width, x.width + op.pad.width);
        double largest = -INFINITY, sum = 0;
        for (std::int64_t v = std::max<std::int64_t>(top, 0);
             v < std::min(bottom, x.height); ++v) {
          for (std::int64_t u = std::max<std::int64_t>(left, 0);
               u < std::min(right, x.width); ++u) {
            largest = std::max(largest, x.at(c, v, u));
            sum += x.at(c, v, u);
          }
        }
        y.values.push_back(op.is_max ? largest
                                     : sum / ((bottom - top) * (right - left)));
      }
    }
  }
  return y;
}

/// Of channels; scale and shift of each, or of all.
inline Item Run(const Affine& op, Item x) {
  const std::int64_t pixels = x.height * x.width;
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    const auto of = [&](const std::vector<float>& numbers) {
      return numbers[numbers.size() == 1 ? 0 : i / pixels];
    };
    x.values[i] = of(op.scale) * x.values[i] + of(op.shift);
  }
  return x;
}

inline Item Run(const Combination& op, const std::vector<Item>& inputs) {
  Item y = inputs[0];
  for (std::size_t i = 0; i < y.values.size(); ++i) {
    double sum = 0, largest = -INFINITY, product = 1;
    for (std::size_t j = 0; j < inputs.size(); ++j) {
      const double value = inputs[j].values[i];
      sum +=
          op.kind == Combination::Kind::kSum ? op.coefficients[j] * value : 0;
      largest = std::max(largest, value);
      product *= value;
    }
    y.values[i] = op.kind == Combination::Kind::kSum       ? sum
                  : op.kind == Combination::Kind::kMaximum ? largest
                                                           : product;
  }
  return y;
}

/// Of channels.
inline Item Run(const Concat&, const std::vector<Item>& inputs) {
  Item y = {0, inputs[0].height, inputs[0].width, {}};
  for (const Item& x : inputs) {
    y.channels += x.channels;
    y.values.insert(y.values.end(), x.values.begin(), x.values.end());
  }
  return y;
}

/// A node of a graph; of functions there is ReLU.
inline Item RunNode(const Node& node, const std::vector<Item>& inputs) {
  if (const auto* op = std::get_if<Combination>(&node.op)) {
    return Run(*op, inputs);
  }
  if (const auto* op = std::get_if<Concat>(&node.op)) {
    return Run(*op, inputs);
  }
  if (const auto* op = std::get_if<Convolution>(&node.op)) {
    return Run(*op, inputs[0]);
  }
  if (const auto* op = std::get_if<InnerProduct>(&node.op)) {
    return Run(*op, inputs[0]);
  }
  if (const auto* op = std::get_if<Quantize>(&node.op)) {
    return Run(*op, inputs[0]);
  }
  if (const auto* op = std::get_if<Pooling>(&node.op)) {
    return Run(*op, inputs[0]);
  }
  if (const auto* op = std::get_if<Affine>(&node.op)) {
    return Run(*op, inputs[0]);
  }
  return Relu(inputs[0]);
}

}  // namespace reference
}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_TESTS_RUNTIME_REFERENCE_HPP_

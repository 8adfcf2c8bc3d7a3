#include "ul2q/runtime/validation.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

namespace ul2q {
namespace runtime {
namespace {

using Shape = std::vector<std::int64_t>;

std::string Told(const Shape& shape) {
  std::string told;
  for (const std::int64_t extent : shape) {
    told += (told.empty() ? "" : "×") + std::to_string(extent);
  }
  return told.empty() ? "a number" : told;
}

/// The checks of one node.
class Checker {
 public:
  Checker(const Graph& graph, const Node& node) : graph_(graph), node_(node) {}

  void operator()(const Convolution& op) const {
    const Shape& x = Image();
    for (const Pair& pair : {op.kernel, op.stride, op.dilation}) {
      RequireExtents(pair, 1, "kernel, stride and dilation must be 1");
    }
    RequireExtents(op.pad, 0, "pad must be 0");
    Require(op.group > 0 && op.outputs > 0 && op.group <= x[0] &&
                x[0] % op.group == 0 && op.outputs % op.group == 0,
            "the groups do not divide the channels");
    Check(op.weights, op.bias, op.outputs,
          x[0] / op.group * op.kernel.height * op.kernel.width);
    const auto extent = [](std::int64_t size, std::int64_t kernel,
                           std::int64_t stride, std::int64_t pad,
                           std::int64_t dilation) {
      return (size + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1;
    };
    RequireOutput({op.outputs,
                   extent(x[1], op.kernel.height, op.stride.height,
                          op.pad.height, op.dilation.height),
                   extent(x[2], op.kernel.width, op.stride.width, op.pad.width,
                          op.dilation.width)});
  }

  void operator()(const InnerProduct& op) const {
    Check(op.weights, op.bias, op.outputs, Input(0).count());
    RequireOutput({op.outputs});
  }

  void operator()(const Pooling& op) const {
    const Shape& x = Image();
    for (const Pair& pair : {op.kernel, op.stride}) {
      RequireExtents(pair, 1, "kernel and stride must be 1");
    }
    RequireOutput({x[0], op.output.height, op.output.width});
    CheckWindows(op.kernel.height, op.stride.height, op.pad.height,
                 op.output.height, x[1]);
    CheckWindows(op.kernel.width, op.stride.width, op.pad.width,
                 op.output.width, x[2]);
  }

  void operator()(const Affine& op) const {
    RequireOutput(Input(0).shape);
    RequireChannels(op.scale.size());
    RequireChannels(op.shift.size());
  }

  void operator()(const Function&) const { RequireOutput(Input(0).shape); }

  void operator()(const PRelu& op) const {
    RequireOutput(Input(0).shape);
    RequireChannels(op.slopes.size());
  }

  void operator()(const Combination& op) const {
    for (const int tensor : node_.inputs) {
      Require(graph_.tensors[tensor].shape == Input(0).shape,
              "its inputs must be of one shape");
    }
    Require(op.kind != Combination::Kind::kSum ||
                op.coefficients.size() == node_.inputs.size(),
            "there must be a coefficient for each input");
    RequireOutput(Input(0).shape);
  }

  void operator()(const Concat& op) const {
    Shape shape = Input(0).shape;
    Require(0 <= op.axis && op.axis < static_cast<int>(shape.size()),
            "the axis must be one of an item");
    for (std::size_t i = 1; i < node_.inputs.size(); ++i) {
      Shape other = Input(i).shape;
      Require(other.size() == shape.size(), "its inputs do not fit together");
      const std::int64_t extent = other[op.axis];
      other[op.axis] = shape[op.axis];
      Require(other == shape, "its inputs do not fit together");
      shape[op.axis] += extent;
    }
    RequireOutput(shape);
  }

  void operator()(const Reshape&) const {
    Require(Input(0).count() == Output().count(),
            "input and output must have the same number of elements");
  }

  void operator()(const Softmax& op) const {
    RequireOutput(Input(0).shape);
    Require(0 <= op.axis && op.axis < static_cast<int>(Output().shape.size()),
            "the axis must be one of an item");
  }

  void operator()(const Lrn& op) const {
    RequireOutput(Image());
    Require(op.size > 0 && op.size % 2 == 1, "its size must be odd");
  }

  void operator()(const Quantize& op) const {
    RequireOutput(Input(0).shape);
    Require(std::isfinite(op.scale) && op.scale >= 0 &&
                std::isfinite(op.shift) && std::isfinite(op.offset),
            "scale and shift must be finite");
    Require(op.lowest <= op.highest && op.highest - op.lowest < 256,
            "activations of more than 8 bits are not for this runtime; "
            "quantise them to 8 bits or leave them float");
  }

 private:
  const Tensor& Input(std::size_t i) const {
    return graph_.tensors[node_.inputs[i]];
  }
  const Tensor& Output() const { return graph_.tensors[node_.output]; }

  void Require(bool condition, const std::string& what) const {
    if (!condition) {
      throw ModelError("layer '" + node_.name + "': " + what);
    }
  }

  void RequireExtents(const Pair& pair, std::int64_t least,
                      const std::string& what) const {
    constexpr std::int64_t kMost = std::numeric_limits<std::int16_t>::max();
    Require(least <= std::min(pair.height, pair.width) &&
                std::max(pair.height, pair.width) <= kMost,
            what + " to " + std::to_string(kMost));
  }

  const Shape& Image() const {
    Require(Input(0).shape.size() == 3,
            "its input is " + Told(Input(0).shape) +
                " an item; it must be channels × height × width");
    return Input(0).shape;
  }

  void RequireOutput(const Shape& shape) const {
    Require(Output().shape == shape, "its output is " + Told(Output().shape) +
                                         " an item; it must be " + Told(shape));
  }

  void RequireChannels(std::size_t count) const {
    const Shape& shape = Output().shape;
    Require(count == 1 || (!shape.empty() &&
                           static_cast<std::int64_t>(count) == shape[0]),
            "there must be one number, or one for each channel");
  }

  /// Each window must have an element.
  void CheckWindows(std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                    std::int64_t outputs, std::int64_t extent) const {
    Require(pad >= 0 && pad < kernel && outputs > 0 &&
                (outputs - 1) * stride - pad < extent,
            "a window lies outside the input");
  }

  void Check(const Weights& weights, const std::vector<double>& bias,
             std::int64_t outputs, std::int64_t inputs) const {
    const std::size_t count = weights.are_integers() ? weights.integers.size()
                                                     : weights.values.size();
    Require(outputs > 0 && inputs > 0 &&
                count / outputs == static_cast<std::size_t>(inputs) &&
                count % outputs == 0,
            "it has " + std::to_string(count) + " weights; it must have " +
                std::to_string(outputs) + " × " + std::to_string(inputs));
    const auto of_outputs = static_cast<std::size_t>(outputs);
    Require(bias.size() == of_outputs, "there must be a bias for each output");
    if (weights.are_integers()) {
      Require(weights.step.size() == of_outputs &&
                  weights.shift.size() == of_outputs,
              "there must be a step and a shift for each output");
    }
    const auto finite = [](const auto& numbers) {
      return std::all_of(numbers.begin(), numbers.end(),
                         [](auto number) { return std::isfinite(number); });
    };
    Require(finite(bias) && finite(weights.step) && finite(weights.shift) &&
                finite(weights.values),
            "its weights hold NaN or infinity");
  }

  const Graph& graph_;
  const Node& node_;
};

}  // namespace

void Validate(const Graph& graph) {
  const auto count = static_cast<int>(graph.tensors.size());
  std::vector<bool> is_made(graph.tensors.size(), false);
  const auto require = [&](bool condition, const std::string& name) {
    if (!condition) {
      throw ModelError("layer '" + name +
                       "' reads or makes what is not there, or is there "
                       "already");
    }
  };
  const auto make = [&](int tensor, const std::string& name) {
    require(0 <= tensor && tensor < count && !is_made[tensor], name);
    const Tensor& made = graph.tensors[tensor];
    if (std::any_of(made.shape.begin(), made.shape.end(),
                    [](std::int64_t extent) { return extent < 1; })) {
      throw ModelError("'" + made.name + "' is " + Told(made.shape) +
                       " an item; it must not be empty");
    }
    std::int64_t rest = std::numeric_limits<std::int32_t>::max();
    for (const std::int64_t extent : made.shape) {
      rest /= extent;
    }
    if (rest == 0) {
      throw ModelError("'" + made.name + "' is " + Told(made.shape) +
                       " an item: more than 2^31 - 1 elements");
    }
    is_made[tensor] = true;
  };
  for (const int tensor : graph.inputs) {
    make(tensor, "input");
  }
  for (const Node& node : graph.nodes) {
    require(!node.inputs.empty(), node.name);
    for (const int tensor : node.inputs) {
      require(0 <= tensor && tensor < count && is_made[tensor], node.name);
    }
    make(node.output, node.name);
    std::visit(Checker(graph, node), node.op);
  }
  for (const int tensor : graph.outputs) {
    require(0 <= tensor && tensor < count && is_made[tensor], "output");
  }
}

void CheckSums(const Node& node, const std::vector<std::int8_t>& weights,
               std::int64_t inputs, int highest) {
  std::int64_t largest = 1;
  for (const std::int8_t weight : weights) {
    largest = std::max<std::int64_t>(largest, std::abs(int{weight}));
  }
  const std::int64_t most = std::numeric_limits<std::int32_t>::max() /
                            (largest * std::max(highest, 1));
  if (inputs > most) {
    throw ModelError("layer '" + node.name + "' adds up " +
                     std::to_string(inputs) +
                     " products; with its bits no more than " +
                     std::to_string(most) + " are sure to fit 32 bits");
  }
}

}  // namespace runtime
}  // namespace ul2q

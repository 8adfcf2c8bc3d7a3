// What a graph must be like, and that any other is refused with a message.

#include "ul2q/runtime/validation.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "ul2q/runtime/model.hpp"

namespace ul2q {
namespace runtime {
namespace {

/// Weights in 2 bits.
Weights MakeWeights(std::int64_t outputs, std::int64_t inputs) {
  Weights weights;
  for (std::int64_t i = 0; i < outputs * inputs; ++i) {
    weights.integers.push_back(static_cast<std::int8_t>(2 * (i % 4) - 3));
  }
  weights.step.assign(outputs, 0.5);
  weights.shift.assign(outputs, 0.25);
  return weights;
}

Convolution MakeConvolution(std::int64_t channels, std::int64_t outputs,
                            std::int64_t group) {
  return {MakeWeights(outputs, channels / group * 9),
          std::vector<double>(outputs, 1.0),
          outputs,
          {3, 3},
          {1, 1},
          {1, 1},
          {1, 1},
          group};
}

/// A net with each kind of operation.
Graph MakeGraph() {
  Graph graph;
  const std::vector<std::int64_t> image = {8, 5, 6}, small = {8, 2, 3};
  const auto add = [&](Op op, std::vector<int> inputs,
                       std::vector<std::int64_t> shape) {
    const auto tensor = static_cast<int>(graph.tensors.size());
    const std::string name = "t" + std::to_string(tensor);
    graph.tensors.push_back({name, std::move(shape), false});
    graph.nodes.push_back(
        {"layer" + name, std::move(op), std::move(inputs), tensor});
    return tensor;
  };
  graph.tensors = {{"x", image, false}, {"pixels", image, true}};
  graph.inputs = {0, 1};
  const int a = add(Affine{{0.5f}, {1}}, {1}, image);
  const int q = add(Quantize{0.5f, 0, 0, 0, 15}, {0}, image);
  const int b = add(MakeConvolution(8, 8, 1), {a}, image);
  const int c = add(MakeConvolution(8, 8, 2), {q}, image);
  const int d = add(MakeConvolution(8, 8, 8), {q}, image);
  const int sum =
      add(Combination{Combination::Kind::kSum, {1, 2, 3}}, {b, c, d}, image);
  const int relu = add(Function(), {sum}, image);
  const int r = add(Quantize{0.5f, 0, 0, 0, 255}, {relu}, image);
  const int concat = add(Concat{0}, {q, r}, {16, 5, 6});
  const int e = add(MakeConvolution(16, 8, 1), {concat}, image);
  const int prelu = add(PRelu{{0.25f}}, {e}, image);
  const int lrn = add(Lrn{true, 3, 1, 0.75f, 1}, {prelu}, image);
  const Pooling pooling = {false, {2, 2}, {2, 2}, {0, 0}, {2, 3}};
  const int mean = add(pooling, {lrn}, small);
  const int flat = add(Reshape(), {mean}, {48});
  const int p = add(Quantize{0.5f, 0, 0, 0, 255}, {flat}, {48});
  const int ip =
      add(InnerProduct{MakeWeights(7, 48), std::vector<double>(7, 1.0), 7}, {p},
          {7});
  graph.outputs = {add(Softmax{0}, {ip}, {7})};
  return graph;
}

/// Runs two items of zeros.
void RunZeros(const Graph& graph) {
  const Model model(graph);
  if (model.item_bytes() > 1 << 24) {
    return;
  }
  std::vector<std::vector<float>> inputs, outputs;
  std::vector<const void*> from;
  std::vector<float*> to;
  for (const Tensor& tensor : model.inputs()) {
    inputs.emplace_back(2 * tensor.count(), 0.0f);
    from.push_back(inputs.back().data());
  }
  for (const Tensor& tensor : model.outputs()) {
    outputs.emplace_back(2 * tensor.count(), 0.0f);
    to.push_back(outputs.back().data());
  }
  model.Run(2, from, to, 1);
}

/// Changes something of a graph.
class Mutator {
 public:
  explicit Mutator(std::uint32_t seed) : random_(seed) {}

  void Change(Graph& graph) {
    switch (Below(6)) {
      case 0:
        Change(graph.tensors[Below(graph.tensors.size())].shape, Number());
        break;
      case 1: {
        Node& node = graph.nodes[Below(graph.nodes.size())];
        Change(node.inputs,
               static_cast<int>(Below(graph.tensors.size() + 2)) - 1);
        break;
      }
      case 2:
        graph.nodes[Below(graph.nodes.size())].output =
            static_cast<int>(Below(graph.tensors.size() + 2)) - 1;
        break;
      case 3:
        Change(Below(2) == 0 ? graph.inputs : graph.outputs,
               static_cast<int>(Below(graph.tensors.size() + 2)) - 1);
        break;
      case 4:
        std::swap(graph.nodes[Below(graph.nodes.size())].op,
                  graph.nodes[Below(graph.nodes.size())].op);
        break;
      default:
        std::visit([&](auto& op) { ChangeOp(op); },
                   graph.nodes[Below(graph.nodes.size())].op);
    }
  }

 private:
  std::size_t Below(std::size_t n) { return random_() % n; }

  std::int64_t Number() {
    constexpr std::int64_t kNumbers[] = {
        0,   1,   2,    3,  4,  5,         7,         8,         16,
        255, 256, 4097, -1, -2, 1LL << 31, 1LL << 40, INT64_MAX, INT64_MIN};
    return kNumbers[Below(std::size(kNumbers))];
  }
  int SmallNumber() { return static_cast<int>(Number() % 100000); }

  /// Another element, one more or one fewer.
  template <typename Value>
  void Change(std::vector<Value>& values, Value value) {
    const std::size_t how = Below(4);
    if (how == 0) {
      values.push_back(value);
    } else if (!values.empty() && how == 1) {
      values.pop_back();
    } else if (!values.empty()) {
      values[Below(values.size())] = value;
    }
  }

  void Change(Pair& pair) {
    (Below(2) == 0 ? pair.height : pair.width) = Number();
  }
  void Change(Weights& weights) {
    switch (Below(4)) {
      case 0:
        Change(weights.integers, static_cast<std::int8_t>(Number()));
        break;
      case 1:
        Change(weights.step, Below(2) == 0 ? NAN : 1e30);
        break;
      case 2:
        Change(weights.shift, Below(2) == 0 ? INFINITY : 0.5);
        break;
      default:
        Change(weights.values, 1.0f);
    }
  }

  void ChangeOp(Convolution& op) {
    Pair* pairs[] = {&op.kernel, &op.stride, &op.pad, &op.dilation};
    const std::size_t how = Below(8);
    if (how < 4) {
      Change(*pairs[how]);
    } else if (how == 4) {
      Change(op.weights);
    } else if (how == 5) {
      Change(op.bias, 1.0);
    } else {
      (how == 6 ? op.group : op.outputs) = Number();
    }
  }
  void ChangeOp(InnerProduct& op) {
    Below(2) == 0 ? Change(op.weights) : Change(op.bias, 1.0);
  }
  void ChangeOp(Pooling& op) {
    Pair* pairs[] = {&op.kernel, &op.stride, &op.pad, &op.output};
    Change(*pairs[Below(4)]);
    op.is_max = Below(2) == 0;
  }
  void ChangeOp(Affine& op) {
    Change(Below(2) == 0 ? op.scale : op.shift, -1.0f);
  }
  void ChangeOp(Function& op) { op.a = 1; }
  void ChangeOp(PRelu& op) { Change(op.slopes, 1.0f); }
  void ChangeOp(Combination& op) {
    Change(op.coefficients, 2.0f);
    op.kind = static_cast<Combination::Kind>(Below(3));
  }
  void ChangeOp(Concat& op) { op.axis = SmallNumber(); }
  void ChangeOp(Reshape&) {}
  void ChangeOp(Softmax& op) { op.axis = SmallNumber(); }
  void ChangeOp(Lrn& op) {
    op.size = SmallNumber();
    op.within_channel = Below(2) == 0;
  }
  void ChangeOp(Quantize& op) {
    switch (Below(4)) {
      case 0:
        op.scale = Below(2) == 0 ? NAN : 0;
        break;
      case 1:
        op.shift = -3;
        break;
      case 2:
        op.lowest = SmallNumber();
        break;
      default:
        op.highest = SmallNumber();
    }
  }

  std::mt19937 random_;
};

TEST(ValidationTest, TakesAGraphOfAllOperations) {
  EXPECT_NO_THROW(RunZeros(MakeGraph()));
}

TEST(ValidationTest, RefusesOrRunsWhateverAGraphIsChangedTo) {
  int refused = 0, run = 0;
  for (std::uint32_t seed = 0; seed < 20000; ++seed) {
    Graph graph = MakeGraph();
    Mutator mutator(seed);
    for (std::uint32_t i = 0; i <= seed % 3; ++i) {
      mutator.Change(graph);
    }
    SCOPED_TRACE(seed);
    try {
      RunZeros(graph);
      ++run;
    } catch (const ModelError& error) {
      EXPECT_STRNE("", error.what());
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(run, 1000);
}

TEST(ValidationTest, RefusesSumsThatNeedNotFit32Bits) {
  Graph graph;
  const std::int64_t inputs = 3000000;
  graph.tensors = {
      {"x", {inputs}, false}, {"q", {inputs}, false}, {"y", {1}, false}};
  graph.inputs = {0};
  graph.outputs = {2};
  graph.nodes.push_back({"q", Quantize{0.5f, 0, 0, 0, 255}, {0}, 1});
  graph.nodes.push_back(
      {"ip", InnerProduct{MakeWeights(1, inputs), {0.0}, 1}, {1}, 2});
  try {
    const Model model(graph);
    FAIL();
  } catch (const ModelError& error) {
    EXPECT_STREQ(
        "layer 'ip' adds up 3000000 products; with its bits no more than "
        "2807168 are sure to fit 32 bits",
        error.what());
  }
}

}  // namespace
}  // namespace runtime
}  // namespace ul2q

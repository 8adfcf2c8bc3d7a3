// Small graphs of which all but the input is codes, against plain loops in
// double, with each instruction set. All numbers are multiples of small powers
// of two, and no result lies on a border between two codes.

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <ostream>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "runtime/reference.hpp"
#include "ul2q/runtime/model.hpp"

namespace ul2q {
namespace runtime {
namespace {

using Kind = Combination::Kind;

/// A graph that grows node after node; all tensors are images.
class Net {
 public:
  int Input(std::int64_t channels, bool is_bytes = false) {
    const int tensor = AddTensor({channels, 6, 9});
    graph.tensors.back().is_bytes = is_bytes;
    graph.inputs.push_back(tensor);
    return tensor;
  }

  int Add(Op op, std::vector<int> inputs,
          std::vector<std::int64_t> shape = {}) {
    if (shape.empty()) {
      shape = graph.tensors[inputs[0]].shape;
    }
    const int output = AddTensor(std::move(shape));
    graph.nodes.push_back({"n" + std::to_string(graph.nodes.size()),
                           std::move(op), std::move(inputs), output});
    return output;
  }

  /// Codes from 0 up.
  int Codes(int x, float scale, int highest = 15, float zero = 0) {
    return Add(Quantize{scale, zero, 0, 0, highest}, {x});
  }

  int Relu(int x) { return Add(Function(), {x}); }

  /// 3 × 3 in 2 bits, for codes of multiples of 1/2.
  int Convolve(int x, std::int64_t outputs, float shift = 0.25f,
               std::int64_t group = 1) {
    const std::int64_t channels = graph.tensors[x].shape[0];
    Convolution convolution;
    for (std::int64_t i = 0; i < outputs * channels / group * 9; ++i) {
      convolution.weights.integers.push_back(
          static_cast<std::int8_t>(2 * static_cast<int>(random_() % 4) - 3));
    }
    convolution.weights.step.assign(outputs, 0.25);
    convolution.weights.shift.assign(outputs, shift);
    convolution.bias.assign(outputs, -3);
    convolution.outputs = outputs;
    convolution.kernel = {3, 3};
    convolution.stride = convolution.dilation = convolution.pad = {1, 1};
    convolution.group = group;
    return Add(convolution, {x},
               {outputs, graph.tensors[x].shape[1], graph.tensors[x].shape[2]});
  }

  int Sum(std::vector<int> inputs, std::vector<float> coefficients) {
    return Add(Combination{Kind::kSum, std::move(coefficients)},
               std::move(inputs));
  }

  int Concatenate(std::vector<int> inputs) {
    std::vector<std::int64_t> shape = graph.tensors[inputs[0]].shape;
    shape[0] = 0;
    for (const int input : inputs) {
      shape[0] += graph.tensors[input].shape[0];
    }
    return Add(Concat(), std::move(inputs), shape);
  }

  int Pool(int x, bool is_max) {
    Pooling pooling;
    pooling.is_max = is_max;
    pooling.kernel = pooling.stride = {2, 2};
    pooling.pad = {0, 1};
    pooling.output = {3, 5};
    return Add(pooling, {x}, {graph.tensors[x].shape[0], 3, 5});
  }

  Graph graph;

 private:
  int AddTensor(std::vector<std::int64_t> shape) {
    const auto tensor = static_cast<int>(graph.tensors.size());
    graph.tensors.push_back(
        {"t" + std::to_string(tensor), std::move(shape), false});
    return tensor;
  }

  std::mt19937 random_{1};
};

/// Between two codes, whatever the terms are.
constexpr float kOff = -1 / 64.0f;

struct CodesCase {
  const char* name;
  const char* told;  ///< some step's
  /// Makes a net; its result.
  std::function<int(Net&)> make;
};

void PrintTo(const CodesCase& c, std::ostream* out) { *out << c.name; }

const CodesCase kCases[] = {
    {"ConvolutionAndFloats", "convolution of codes, and a sum",
     [](Net& net) {
       const int x = net.Input(20);
       const int q = net.Codes(x, 0.5f);
       const int other = net.Convolve(q, 36);
       const int sum = net.Sum({net.Convolve(q, 36), other}, {1, 0.5f});
       return net.Codes(net.Relu(sum), 4, 63, kOff);
     }},
    {"ConvolutionAndCodes", "convolution of codes, and a sum",
     [](Net& net) {
       const int q = net.Codes(net.Input(20), 0.5f, 15, -2);
       const int sum = net.Sum({q, net.Convolve(q, 20)}, {2, -1});
       return net.Codes(net.Relu(sum), 4, 63, kOff);
     }},
    {"WinogradAndCodes", "by Winograd's way, and a sum",
     [](Net& net) {
       const int q = net.Codes(net.Input(33), 0.5f);
       return net.Relu(net.Sum({net.Convolve(q, 33), q}, {1, 1}));
     }},
    {"WinogradAndFloats", "by Winograd's way, and a sum",
     [](Net& net) {
       const int q = net.Codes(net.Input(33), 0.5f);
       const int other = net.Convolve(q, 33);
       const int sum = net.Sum({other, net.Convolve(q, 33)}, {1, 1});
       return net.Codes(net.Pool(net.Relu(sum), true), 4, 63, kOff);
     }},
    {"DepthwiseAndCodes", "depthwise convolution of codes, and a sum",
     [](Net& net) {
       const int q = net.Codes(net.Input(21), 0.5f, 200, -2);
       return net.Sum({q, net.Convolve(q, 21, 0.25f, 21)}, {1, 1});
     }},
    {"SumOfCodesOfOneScale", ": sum of codes",
     [](Net& net) {
       const int x = net.Input(20);
       const int sum =
           net.Sum({net.Codes(x, 0.5f, 15, -2), net.Codes(x, 0.5f, 63, -1)},
                   {0.5f, 0.5f});
       return net.Convolve(sum, 16);
     }},
    {"SumOfCodes", ": sum",
     [](Net& net) {
       const int x = net.Input(20);
       const int sum = net.Sum(
           {net.Codes(x, 0.5f, 15, -2), net.Codes(x, 0.25f), net.Codes(x, 1)},
           {1, 2, -0.25f});
       return net.Codes(net.Relu(sum), 2, 15, kOff);
     }},
    {"SumOfCodesBeyondAByte", ": sum",
     [](Net& net) {
       const int x = net.Input(17);
       return net.Sum({net.Codes(x, 0.5f, 200), net.Codes(x, 0.5f, 255, -64)},
                      {1, 1});
     }},
    {"MaximumOfCodes", ": maximum of codes",
     [](Net& net) {
       const int x = net.Input(20);
       const int q = net.Codes(x, 0.5f, 15, -2);
       const int r = net.Codes(net.Convolve(q, 20, 0.25f, 20), 0.5f, 15, -2);
       return net.Convolve(net.Add(Combination{Kind::kMaximum, {}}, {q, r}),
                           16);
     }},
    {"ConcatOfLikeCodes", ": concatenation of codes",
     [](Net& net) {
       const int x = net.Input(5), z = net.Input(20);
       return net.Convolve(
           net.Concatenate({net.Codes(x, 0.5f), net.Codes(z, 0.5f, 30)}), 16);
     }},
    {"ConcatOfOtherCodes", ": codes to other codes",
     [](Net& net) {
       const int x = net.Input(5), z = net.Input(20);
       const int q = net.Concatenate(
           {net.Codes(x, 0.5f, 15, -2), net.Codes(z, 0.25f, 30)});
       return net.Convolve(net.Codes(net.Relu(q), 2, 15), 16);
     }},
    {"ConcatOfConvolutions", ": concatenation of codes",
     [](Net& net) {
       const int q = net.Codes(net.Input(20), 0.5f);
       const int all = net.Concatenate(
           {net.Convolve(q, 5), net.Relu(net.Convolve(q, 17)), q});
       return net.Convolve(net.Codes(net.Relu(all), 4, 15), 16);
     }},
    {"ConcatOfFloats", ": concatenation of pixels",
     [](Net& net) {
       const int q = net.Codes(net.Input(20), 0.5f);
       return net.Concatenate({net.Convolve(q, 5), net.Convolve(q, 17)});
     }},
    {"MeanOfCodes", ": mean of codes",
     [](Net& net) {
       return net.Pool(net.Codes(net.Input(20), 0.5f, 200, -2), false);
     }},
    {"MeanOfCodesAsCodes", ": mean of codes",
     [](Net& net) {
       const int mean =
           net.Pool(net.Codes(net.Input(20), 0.5f, 200, -2), false);
       return net.Codes(net.Relu(mean), 4, 15, kOff);
     }},
    {"CodesToOtherCodes", ": codes to other codes",
     [](Net& net) {
       const int q = net.Codes(net.Input(20), 0.5f, 15, -2);
       return net.Codes(q, 2, 30, -7 + kOff);
     }},
    {"Bytes", ": bytes to pixels",
     [](Net& net) { return net.Convolve(net.Input(3, true), 16); }},
    {"BytesOfOneChannel", ": bytes to pixels",
     [](Net& net) {
       const int x = net.Add(Affine{{0.5f}, {-32}}, {net.Input(1, true)});
       return net.Codes(net.Convolve(x, 16), 4, 63, kOff);
     }},
    {"BytesWithMeans", "n1: convolution of codes",
     [](Net& net) {
       const int x =
           net.Add(Affine{{0.5f}, {-32, -16.5f, 8}}, {net.Input(3, true)});
       return net.Codes(net.Convolve(x, 16), 4, 63, kOff);
     }},
    {"BytesWithScales", "n1: convolution of floats",
     [](Net& net) {
       const int x =
           net.Add(Affine{{0.5f, 0.25f, 1}, {-32}}, {net.Input(3, true)});
       return net.Convolve(x, 16);
     }},
    {"BytesAsFloats", ": bytes to floats",
     [](Net& net) {
       const int x =
           net.Add(Affine{{0.5f}, {-32, -16.5f, 8}}, {net.Input(3, true)});
       return net.Relu(x);
     }},
};

class CodesTest : public ::testing::TestWithParam<CodesCase> {
 protected:
  static constexpr std::int64_t kItems = 5;

  ~CodesTest() override { UseInstructionSet(""); }
};

TEST_P(CodesTest, GivesTheValuesOnEachInstructionSet) {
  Net net;
  net.graph.outputs = {GetParam().make(net)};
  const Graph& graph = net.graph;
  // Inputs, as floats or bytes.
  std::mt19937 random(2);
  std::vector<std::vector<float>> floats(graph.inputs.size());
  std::vector<std::vector<std::uint8_t>> bytes(graph.inputs.size());
  std::vector<float> expected;
  for (std::int64_t item = 0; item < kItems; ++item) {
    std::vector<reference::Item> items(graph.tensors.size());
    for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
      const Tensor& tensor = graph.tensors[graph.inputs[i]];
      reference::Item& x = items[graph.inputs[i]];
      x = {tensor.shape[0], tensor.shape[1], tensor.shape[2], {}};
      for (std::int64_t j = 0; j < tensor.count(); ++j) {
        const auto byte = static_cast<std::uint8_t>(random() % 256);
        // Of other signs, and on no border.
        x.values.push_back(tensor.is_bytes ? byte : byte / 16.0 - 4 + 1 / 64.0);
        floats[i].push_back(static_cast<float>(x.values.back()));
        bytes[i].push_back(byte);
      }
    }
    for (const Node& node : graph.nodes) {
      std::vector<reference::Item> inputs;
      for (const int input : node.inputs) {
        inputs.push_back(items[input]);
      }
      items[node.output] = reference::RunNode(node, inputs);
    }
    for (const double value : items[graph.outputs[0]].values) {
      expected.push_back(static_cast<float>(value));
    }
  }
  for (const std::string& set : InstructionSets()) {
    UseInstructionSet(set);
    const Model model(graph);
    std::string told;
    for (const std::string& step : model.steps()) {
      told += step + "\n";
    }
    EXPECT_NE(std::string::npos, told.find(GetParam().told)) << told;
    for (const int threads : {1, 3}) {
      std::vector<float> y(expected.size(), NAN);
      for (std::int64_t first : {std::int64_t{0}, std::int64_t{1}}) {
        const std::int64_t count = first == 0 ? 1 : kItems - 1;
        std::vector<const void*> inputs;
        for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
          const Tensor& tensor = graph.tensors[graph.inputs[i]];
          const std::int64_t at = first * tensor.count();
          inputs.push_back(tensor.is_bytes
                               ? static_cast<const void*>(bytes[i].data() + at)
                               : floats[i].data() + at);
        }
        model.Run(count, inputs, {y.data() + first * y.size() / kItems},
                  threads);
      }
      ASSERT_EQ(expected, y) << set << ", " << threads << " threads\n" << told;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Codes, CodesTest, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace runtime
}  // namespace ul2q

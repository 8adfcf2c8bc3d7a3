// Convolutions and inner products of codes against plain loops in double, with
// each instruction set. All numbers are multiples of small powers of two, and
// no result lies on a border between two codes, so that there is one right
// answer.

#include <gtest/gtest.h>

#include <cstdint>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "runtime/reference.hpp"
#include "ul2q/runtime/model.hpp"

namespace ul2q {
namespace runtime {
namespace {

struct ProductCase {
  const char* name;
  std::int64_t channels, height, width, outputs;
  int weight_bits;
  int highest;           ///< code of the input
  double zero = 0;       ///< what code 0 of the input stands for
  double shift = 0;      ///< of the weights
  Pair kernel = {3, 3};  ///< {0, 0}: an inner product
  Pair stride = {1, 1}, pad = {1, 1}, dilation = {1, 1};
  std::int64_t group = 1;
  bool has_relu = false;
  int signed_result = 0;  ///< codes below 0
};

void PrintTo(const ProductCase& c, std::ostream* out) { *out << c.name; }

const ProductCase kCases[] = {
    {"Plain", 16, 7, 9, 32, 2, 255},
    {"WithShift", 16, 7, 9, 32, 2, 255, 0, 0.25},
    {"OddSizes", 5, 6, 5, 19, 3, 255, 0, 0.25},
    {"EightBits", 20, 5, 5, 16, 8, 255},
    {"SevenBits", 20, 5, 5, 16, 7, 255, 0, 0.5},
    {"OneBit", 20, 5, 5, 48, 1, 1},
    {"FiveByFive", 16, 12, 12, 64, 2, 15, 0, 0.25, {5, 5}, {1, 1}, {2, 2}},
    {"Strided", 16, 9, 11, 32, 2, 63, 0, 0.25, {3, 3}, {2, 2}},
    {"Dilated", 16, 9, 11, 32, 2, 63, 0, 0.25, {3, 3}, {1, 1}, {2, 2}, {2, 2}},
    {"Pointwise", 48, 5, 7, 33, 4, 255, 0, 0, {1, 1}, {1, 1}, {0, 0}},
    {"Flat", 17, 5, 7, 24, 2, 255, 0, 0.25, {1, 3}, {1, 2}, {0, 1}},
    {"Groups", 16, 5, 7, 32, 2, 255, 0, 0, {3, 3}, {1, 1}, {1, 1}, {1, 1}, 4},
    {"GroupsWithShift",
     16,
     5,
     7,
     32,
     2,
     255,
     0,
     0.25,
     {3, 3},
     {1, 1},
     {1, 1},
     {1, 1},
     4},
    {"GroupsAsWideAsTiles",
     96,
     5,
     7,
     64,
     2,
     255,
     0,
     0.25,
     {3, 3},
     {1, 1},
     {1, 1},
     {1, 1},
     2},
    {"OddGroups",
     15,
     5,
     7,
     21,
     3,
     255,
     -3.75,
     0.25,
     {3, 3},
     {2, 2},
     {1, 1},
     {1, 1},
     3},
    {"ManyOutputsOfAChannel",
     17,
     5,
     7,
     34,
     2,
     255,
     0,
     0,
     {3, 3},
     {1, 1},
     {1, 1},
     {1, 1},
     17},
    {"Depthwise",
     48,
     6,
     7,
     48,
     2,
     255,
     0,
     0,
     {3, 3},
     {1, 1},
     {1, 1},
     {1, 1},
     48},
    {"DepthwiseWithShift",
     20,
     6,
     9,
     20,
     3,
     255,
     0,
     0.25,
     {3, 3},
     {2, 2},
     {1, 1},
     {1, 1},
     20},
    {"DepthwiseEightBits",
     33,
     6,
     7,
     33,
     8,
     255,
     -3.75,
     0.25,
     {5, 3},
     {1, 1},
     {2, 1},
     {1, 2},
     33},
    {"SignedInput", 16, 6, 7, 32, 2, 15, -3.75},
    {"SignedInputWithShift", 9, 6, 7, 20, 2, 15, -3.75, 0.5},
    {"SignedResult",
     16,
     6,
     7,
     20,
     2,
     15,
     0,
     0.25,
     {3, 3},
     {1, 1},
     {1, 1},
     {1, 1},
     1,
     true,
     8},
    {"Wide", 16, 3, 40, 16, 2, 255, 0, 0.25},
    {"Winograd", 32, 8, 8, 64, 2, 15},
    {"WinogradWithShift", 64, 7, 9, 80, 2, 15, 0, 0.25},
    {"WinogradFiveBits", 48, 6, 6, 33, 3, 31, 0, 0.25},
    {"WinogradAlone", 32, 1, 1, 32, 3, 31},
    {"WinogradNoPad", 32, 12, 13, 32, 1, 3, 0, 0.5, {3, 3}, {1, 1}, {0, 0}},
    {"WinogradMany", 48, 14, 26, 64, 2, 15, 0, 0.25},
    {"InnerProduct", 7, 5, 3, 45, 2, 255, 0, 0.25, {0, 0}},
    {"InnerProductOneBit", 100, 1, 1, 32, 1, 255, 0, 0.25, {0, 0}},
    {"InnerProductFourBits", 130, 1, 1, 10, 4, 255, 0, 0, {0, 0}},
    {"InnerProductThreeBits", 130, 1, 1, 70, 3, 15, -3.75, 0.25, {0, 0}},
    {"InnerProductEightBits", 64, 2, 2, 10, 8, 255, 0, 0.25, {0, 0}},
};

class ProductTest : public ::testing::TestWithParam<ProductCase> {
 protected:
  static constexpr std::int64_t kItems = 6;

  ~ProductTest() override { UseInstructionSet(""); }

  void SetUp() override {
    const ProductCase& c = GetParam();
    const bool is_product = c.kernel.height == 0;
    std::mt19937 random(1);
    Weights weights;
    const std::int64_t inputs =
        is_product ? c.channels * c.height * c.width
                   : c.channels / c.group * c.kernel.height * c.kernel.width;
    const int half = 1 << (c.weight_bits - 1);
    // Codes 1 - half to half; odd numbers up to 7 bits.
    std::uniform_int_distribution<int> codes(1 - half, half);
    for (std::int64_t i = 0; i < c.outputs * inputs; ++i) {
      const int code = codes(random);
      weights.integers.push_back(static_cast<std::int8_t>(
          c.weight_bits < 8 ? 2 * code - 1 : code - 1));
    }
    weights.step.assign(c.outputs, 0.5);
    weights.shift.assign(c.outputs, c.shift);
    std::vector<double> bias;
    for (std::int64_t n = 0; n < c.outputs; ++n) {
      weights.step[n] = n % 3 == 0 ? 0.25 : 0.5;
      bias.push_back(static_cast<double>(n % 5) - 2);
    }
    if (is_product) {
      product_ = {weights, bias, c.outputs};
    } else {
      convolution_ = {weights,  bias,  c.outputs,  c.kernel,
                      c.stride, c.pad, c.dilation, c.group};
    }
    input_ = {0.5f, static_cast<float>(c.zero), 0, 0, c.highest};
    result_ = {16, -1 / 64.0f, c.signed_result > 0 ? 0.5f : 0.0f,
               -c.signed_result, 200};
    std::uniform_int_distribution<int> inputs_codes(0, c.highest);
    for (std::int64_t i = 0; i < kItems; ++i) {
      reference::Item item = {c.channels, c.height, c.width, {}};
      for (std::int64_t j = 0; j < c.channels * c.height * c.width; ++j) {
        item.values.push_back(0.5 * inputs_codes(random) + c.zero);
        x_.push_back(static_cast<float>(item.values.back()));
      }
      reference::Item y = is_product ? reference::Run(product_, item)
                                     : reference::Run(convolution_, item);
      shape_ = is_product
                   ? std::vector<std::int64_t>{c.outputs}
                   : std::vector<std::int64_t>{c.outputs, y.height, y.width};
      for (const double value : y.values) {
        floats_.push_back(static_cast<float>(value));
      }
      if (c.has_relu) {
        y = reference::Relu(y);
      }
      for (const double value : reference::Run(result_, y).values) {
        levels_.push_back(static_cast<float>(value));
      }
    }
  }

  /// The graph: the input's codes, the product, and perhaps codes of it.
  Graph MakeGraph(bool to_codes) const {
    const ProductCase& c = GetParam();
    const std::vector<std::int64_t> shape = {c.channels, c.height, c.width};
    Graph graph;
    graph.tensors = {{"x", shape}, {"q", shape}, {"y", shape_}};
    graph.inputs = {0};
    graph.nodes.push_back({"input_q", input_, {0}, 1});
    if (c.kernel.height == 0) {
      graph.nodes.push_back({"product", product_, {1}, 2});
    } else {
      graph.nodes.push_back({"product", convolution_, {1}, 2});
    }
    if (to_codes && c.has_relu) {
      graph.tensors.push_back({"relu", shape_});
      graph.nodes.push_back({"relu", Function(), {2}, 3});
    }
    if (to_codes) {
      const auto last = static_cast<int>(graph.tensors.size()) - 1;
      graph.tensors.push_back({"y_q", shape_});
      graph.nodes.push_back({"y_q", result_, {last}, last + 1});
    }
    graph.outputs = {static_cast<int>(graph.tensors.size()) - 1};
    return graph;
  }

  void ExpectEverywhere(bool to_codes, const std::vector<float>& expected) {
    for (const std::string& set : InstructionSets()) {
      UseInstructionSet(set);
      const Model model(MakeGraph(to_codes));
      // By all items at once, and by one at a time.
      for (const std::int64_t items : {kItems, std::int64_t{1}}) {
        for (const int threads : {1, 3}) {
          std::vector<float> y(expected.size(), NAN);
          const std::int64_t in = x_.size() / kItems;
          const std::int64_t out = y.size() / kItems;
          for (std::int64_t i = 0; i < kItems; i += items) {
            model.Run(items, {x_.data() + i * in}, {y.data() + i * out},
                      threads);
          }
          ASSERT_EQ(expected, y)
              << set << ", " << items << " items, " << threads << " threads";
        }
      }
      UseInstructionSet("");
    }
  }

  Convolution convolution_;
  InnerProduct product_;
  Quantize input_, result_;
  std::vector<std::int64_t> shape_;  ///< of the output
  std::vector<float> x_, floats_, levels_;
};

TEST_P(ProductTest, GivesTheSumsOnEachInstructionSet) {
  ExpectEverywhere(false, floats_);
}

TEST_P(ProductTest, GivesTheCodesOnEachInstructionSet) {
  ExpectEverywhere(true, levels_);
}

TEST_P(ProductTest, ComputesWithCodes) {
  const Model model(MakeGraph(true));
  const std::string told = model.steps()[2];
  EXPECT_NE(std::string::npos, told.find("of codes")) << told;
  const bool is_winograd =
      std::string(GetParam().name).rfind("Winograd", 0) == 0;
  EXPECT_EQ(is_winograd, told.find("Winograd") != std::string::npos) << told;
}

INSTANTIATE_TEST_SUITE_P(Products, ProductTest, ::testing::ValuesIn(kCases),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace runtime
}  // namespace ul2q

// The inner product of a few images, and of many, beside BVLC's.
#include <string>
#include <vector>

#include "caffe/layers/inner_product_layer.hpp"
#include "float_engine/parity.hpp"

namespace ul2q {
namespace {

using caffe::InnerProductLayer;

ParityCase Case(const std::vector<int>& shape, const std::string& options,
                bool is_transposed = false) {
  ParityCase c;
  c.param = "name: 'layer' type: 'InnerProduct' inner_product_param { " +
            options + (is_transposed ? " transpose: true" : "") +
            " weight_filler { type: 'gaussian' std: 1 }"
            " bias_filler { type: 'gaussian' std: 1 } }";
  c.name = options + (is_transposed ? ", transposed" : "") + ", bottom";
  for (const int dim : shape) {
    c.name += " " + std::to_string(dim);
  }
  c.shapes = {shape};
  c.tolerance = 128;
  return c;
}

std::vector<ParityCase> Cases() {
  std::vector<ParityCase> cases;
  for (const bool is_transposed : {false, true}) {
    for (const int images : {1, 2, 3, 4, 7, 8, 16, 17, 100}) {
      cases.push_back(Case({images, 37}, "num_output: 21", is_transposed));
    }
    cases.push_back(Case({9, 1741}, "num_output: 7", is_transposed));
    cases.push_back(Case({13, 9}, "num_output: 1100", is_transposed));
    cases.push_back(Case({1, 1741}, "num_output: 805", is_transposed));
    cases.push_back(Case({8, 1741}, "num_output: 805", is_transposed));
    cases.push_back(Case({12, 1741}, "num_output: 805", is_transposed));
    for (const int inputs : {1, 3, 16, 64, 2049}) {
      for (const int outputs : {1, 2, 5, 64, 1030}) {
        cases.push_back(Case({3, inputs},
                             "num_output: " + std::to_string(outputs),
                             is_transposed));
      }
    }
    cases.push_back(
        Case({2, 9, 5}, "num_output: 6 bias_term: false", is_transposed));
    cases.push_back(Case({2, 3, 4, 5}, "num_output: 6 axis: 2", is_transposed));
    cases.push_back(Case({2, 5, 7}, "num_output: 6 axis: -1", is_transposed));
  }
  return cases;
}

template <typename Dtype>
class FastInnerProductTest : public ::testing::Test {};
TYPED_TEST_SUITE(FastInnerProductTest, Dtypes);

TYPED_TEST(FastInnerProductTest, IsBvlcs) {
  for (const ParityCase& c : Cases()) {
    ExpectParity<InnerProductLayer, TypeParam>(c);
  }
}

TYPED_TEST(FastInnerProductTest, ComputesOnlyTheGradientsAskedFor) {
  const std::vector<bool> either = {false, true};
  for (const bool bottom : either) {
    for (const bool weights : either) {
      for (const bool bias : either) {
        ParityCase c = Case({3, 21}, "num_output: 9");
        c.propagate_down = {bottom};
        c.param_propagate_down = {weights, bias};
        ExpectParity<InnerProductLayer, TypeParam>(c);
      }
    }
  }
}

TYPED_TEST(FastInnerProductTest, HasTheSameBitsOnTwoThreads) {
  for (const bool is_transposed : {false, true}) {
    ExpectSameOnTwoThreads<InnerProductLayer, TypeParam>(
        Case({1, 3001}, "num_output: 1100", is_transposed));
  }
}

TYPED_TEST(FastInnerProductTest, TakesAnEmptyBatch) {
  ExpectTakesEmptyBatch<InnerProductLayer, TypeParam>(
      Case({3, 5}, "num_output: 5"));
}

TYPED_TEST(FastInnerProductTest, ReplacesBvlcs) {
  // InnerProduct has no `engine` of its own; the table reads any layer's.
  ExpectReplaces<InnerProductLayer, TypeParam>("InnerProduct", "relu_param");
}

}  // namespace
}  // namespace ul2q

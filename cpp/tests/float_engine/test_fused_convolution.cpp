// A convolution and its ReLU as one, beside BVLC's layers one by one.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "float_engine/parity.hpp"
#include "ul2q/float_engine/fusion.hpp"

namespace ul2q {
namespace {

using caffe::Net;
using caffe::NetParameter;

struct Pair {
  const char* name;
  std::string type;
  std::string options;  ///< of convolution_param
  std::vector<int> shape = {2, 16, 9, 7};
  std::string relu = "";  ///< options
};

void PrintTo(const Pair& pair, std::ostream* out) { *out << pair.name; }

/// `engine` goes to both layers: "engine: CAFFE" or nothing.
std::string Text(const Pair& pair, const std::string& engine,
                 const std::string& relu_top = "y") {
  std::string text =
      "force_backward: true layer { name: 'x' type: 'Input' top: 'x' "
      "input_param { shape {";
  for (const int dim : pair.shape) {
    text += " dim: " + std::to_string(dim);
  }
  return text + " } } } layer { name: 'conv' bottom: 'x' top: 'y' type: '" +
         pair.type + "' convolution_param { kernel_size: 3 pad: 1 " + engine +
         " weight_filler { type: 'gaussian' std: 0.3 } bias_filler { type: "
         "'uniform' min: -1 max: 1 } " +
         pair.options + " } " +
         (pair.type.rfind("Quantized", 0) == 0
              ? "quantization_param { weight { bits: 2 } }"
              : "") +
         " } layer { name: 'relu' type: 'ReLU' bottom: 'y' top: '" + relu_top +
         "' relu_param { " + engine + " " + pair.relu +
         " } } layer { name: 'back' type: 'Power' bottom: '" + relu_top +
         "' top: 'z' }";
}

template <typename Dtype>
std::unique_ptr<Net<Dtype>> MakeNet(const std::string& text,
                                    caffe::Phase phase = caffe::TEST) {
  auto param = FromText<NetParameter>(text);
  param.mutable_state()->set_phase(phase);
  caffe::Caffe::set_random_seed(5);
  auto net = std::make_unique<Net<Dtype>>(param);
  FillNormal(3, net->input_blobs()[0]);
  return net;
}

class FusedConvolutionTest : public ::testing::TestWithParam<Pair> {};

TEST_P(FusedConvolutionTest, IsBvlcsLayers) {
  const auto bvlc = MakeNet<float>(Text(GetParam(), "engine: CAFFE"));
  const auto fast = MakeNet<float>(Text(GetParam(), ""));
  ASSERT_EQ(0u, FindLayerGroups(*bvlc).size());
  ASSERT_EQ(1u, FindLayerGroups(*fast).size());
  for (int pass = 0; pass < 3; ++pass) {
    for (const auto* net : {&bvlc, &fast}) {
      FillNormal(10 + pass, (*net)->input_blobs()[0]);
      (*net)->Forward();
      SetDiff(Values<float>((*net)->output_blobs()[0]->count(), 30 + pass),
              (*net)->output_blobs()[0]);
      (*net)->ClearParamDiffs();
      (*net)->Backward();
    }
    for (std::size_t i = 0; i < bvlc->blobs().size(); ++i) {
      ASSERT_NO_FATAL_FAILURE(ExpectSameBlobs<float>(
          128, {bvlc->blobs()[i].get()}, {fast->blobs()[i].get()},
          bvlc->blob_names()[i]));
    }
    for (std::size_t i = 0; i < bvlc->params().size(); ++i) {
      ASSERT_NO_FATAL_FAILURE(
          ExpectSameBlobs<float>(512, {bvlc->params()[i].get()},
                                 {fast->params()[i].get()}, "parameter"));
    }
  }
}

// A script that runs the convolution alone sees what it has computed.
TEST_P(FusedConvolutionTest, RunsInParts) {
  const auto whole = MakeNet<float>(Text(GetParam(), ""));
  const auto parts = MakeNet<float>(Text(GetParam(), ""));
  whole->Forward();
  parts->Forward();
  parts->ForwardFromTo(0, 1);
  const auto y = Data(*parts->blob_by_name("y"));
  EXPECT_LT(*std::min_element(y.begin(), y.end()), -0.5f);
  parts->ForwardFromTo(2, 3);
  ExpectClose(Data(*whole->blob_by_name("y")), Data(*parts->blob_by_name("y")),
              "y");
}

INSTANTIATE_TEST_SUITE_P(
    Layers, FusedConvolutionTest,
    ::testing::Values(
        Pair{"float", "Convolution", "num_output: 32"},
        Pair{"quantised", "QuantizedConvolution", "num_output: 32"},
        Pair{"deconvolution", "Deconvolution", "num_output: 16"},
        Pair{"quantised deconvolution", "QuantizedDeconvolution",
             "num_output: 16"},
        Pair{"no bias", "Convolution", "num_output: 5 bias_term: false"},
        Pair{"many images", "Convolution", "num_output: 32", {60, 16, 33, 17}},
        Pair{"slope",
             "Convolution",
             "num_output: 32",
             {2, 16, 9, 7},
             "negative_slope: 0.25"},
        Pair{"negative slope",
             "Convolution",
             "num_output: 32",
             {1, 16, 9, 7},
             "negative_slope: -0.5"},
        Pair{"depthwise", "Convolution", "num_output: 32 group: 16"},
        Pair{"depthwise deconvolution",
             "Deconvolution",
             "num_output: 16 group: 16 stride: 2",
             {2, 16, 9, 7},
             "negative_slope: 0.1"},
        Pair{"quantised depthwise deconvolution", "QuantizedDeconvolution",
             "num_output: 16 group: 16 stride: 2"},
        Pair{"few channels", "Convolution", "num_output: 10", {5, 3, 9, 7}},
        Pair{"groups of odd sizes",
             "Convolution",
             "num_output: 30 group: 5",
             {1, 20, 40, 30}},
        Pair{"deconvolution in groups",
             "Deconvolution",
             "num_output: 12 group: 2 stride: 2 bias_term: false",
             {3, 16, 9, 7}},
        // What BVLC's layers compute runs one by one.
        Pair{"1-D", "Convolution", "num_output: 8", {2, 3, 11}}));

TEST(FusedConvolutionTest, LeavesDoublesToTheLayers) {
  const Pair pair{"", "Convolution", "num_output: 8"};
  const auto bvlc = MakeNet<double>(Text(pair, "engine: CAFFE"));
  const auto fast = MakeNet<double>(Text(pair, ""));
  bvlc->Forward();
  fast->Forward();
  ExpectClose(Data(*bvlc->blob_by_name("y")), Data(*fast->blob_by_name("y")),
              "y");
}

TEST(FusedConvolutionTest, IsForTestingAndInPlace) {
  const Pair pair{"", "Convolution", "num_output: 8"};
  EXPECT_EQ(
      0u,
      FindLayerGroups(*MakeNet<float>(Text(pair, ""), caffe::TRAIN)).size());
  EXPECT_EQ(0u, FindLayerGroups(*MakeNet<float>(Text(pair, "", "w"))).size());
}

}  // namespace
}  // namespace ul2q

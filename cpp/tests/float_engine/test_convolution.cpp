// Fast convolutions, by oneDNN where that can, beside BVLC's.
#include <omp.h>

#include <algorithm>
#include <string>
#include <vector>

#include "caffe/layer_factory.hpp"
#include "caffe/net.hpp"
#include "float_engine/parity.hpp"
#include "ul2q/float_engine/convolution.hpp"

namespace ul2q {
namespace {

using caffe::ConvolutionLayer;
using caffe::ConvolutionMethod;
using caffe::DeconvolutionLayer;
using caffe::FastConvolutionLayer;
using caffe::FastDeconvolutionLayer;

/// A row of the tables: options of convolution_param, and the bottom.
struct Row {
  std::string name, options;
  std::vector<int> shape;
  int bottoms = 1;
};

const std::vector<Row> kRows = {
    {"3x3", "num_output: 32 kernel_size: 3 pad: 1", {4, 16, 12, 12}},
    {"many images, in blocks",
     "num_output: 32 kernel_size: 3 pad: 1",
     {37, 32, 32, 32}},
    {"one image", "num_output: 32 kernel_size: 3 pad: 1", {1, 16, 12, 12}},
    {"one input channel", "num_output: 20 kernel_size: 5", {7, 1, 28, 28}},
    {"three input channels",
     "num_output: 32 kernel_size: 5 pad: 2",
     {5, 3, 32, 32}},
    {"one output channel", "num_output: 1 kernel_size: 3", {3, 16, 9, 9}},
    {"one pixel", "num_output: 5 kernel_size: 1", {2, 3, 1, 1}},
    {"odd sizes", "num_output: 17 kernel_size: 3 pad: 1", {3, 13, 11, 7}},
    {"1x1", "num_output: 24 kernel_size: 1", {3, 16, 10, 10}},
    {"1x1 with a stride",
     "num_output: 32 kernel_size: 1 stride: 2",
     {3, 16, 9, 9}},
    {"stride",
     "num_output: 16 kernel_size: 3 stride: 2 pad: 1",
     {3, 16, 12, 11}},
    {"stride past the kernel",
     "num_output: 16 kernel_size: 2 stride: 3",
     {3, 16, 13, 12}},
    {"strides of two lengths",
     "num_output: 16 kernel_size: 3 stride_h: 1 stride_w: 2 pad: 1",
     {3, 16, 10, 12}},
    {"pad", "num_output: 16 kernel_size: 3 pad: 2", {3, 16, 8, 8}},
    {"pad as large as the kernel",
     "num_output: 16 kernel_size: 3 pad: 3",
     {3, 16, 8, 8}},
    {"pads of two lengths",
     "num_output: 16 kernel_size: 3 pad_h: 2 pad_w: 0",
     {3, 16, 8, 8}},
    {"dilation",
     "num_output: 16 kernel_size: 3 dilation: 2 pad: 2",
     {3, 16, 12, 12}},
    {"dilations of two lengths",
     "num_output: 16 kernel_size: 3 dilation: 1 dilation: 3",
     {3, 16, 8, 12}},
    {"dilation and stride",
     "num_output: 16 kernel_size: 3 dilation: 2 stride: 2",
     {3, 16, 13, 13}},
    {"kernel not square",
     "num_output: 16 kernel_h: 1 kernel_w: 5 pad_w: 2",
     {3, 16, 9, 10}},
    {"kernel as large as the bottom",
     "num_output: 16 kernel_size: 6",
     {3, 16, 6, 6}},
    {"two groups", "num_output: 32 kernel_size: 3 group: 2", {3, 32, 9, 9}},
    {"groups of odd sizes",
     "num_output: 9 kernel_size: 3 group: 3",
     {3, 15, 9, 9}},
    {"depthwise",
     "num_output: 32 kernel_size: 3 group: 32 pad: 1",
     {3, 32, 9, 9}},
    {"depthwise, odd",
     "num_output: 10 kernel_size: 3 group: 5 stride: 2",
     {3, 5, 9, 9}},
    {"no bias",
     "num_output: 16 kernel_size: 3 bias_term: false",
     {3, 16, 9, 9}},
    {"heavy weights", "num_output: 128 kernel_size: 3 pad: 1", {3, 128, 4, 4}},
    {"three bottoms", "num_output: 16 kernel_size: 3", {3, 16, 9, 9}, 3},
    {"depthwise, two maps a channel",
     "num_output: 20 kernel_size: 3 group: 10 pad: 1",
     {3, 10, 9, 35}},
    {"depthwise, phases",
     "num_output: 7 kernel_size: 5 group: 7 stride: 3 pad: 2",
     {3, 7, 20, 41}},
    {"depthwise, two phases, odd",
     "num_output: 6 kernel_size: 4 group: 6 stride: 2 bias_term: false",
     {2, 6, 13, 13}},
    {"depthwise, stride past the kernel",
     "num_output: 6 kernel_size: 2 group: 6 stride: 5 pad: 1",
     {2, 6, 13, 17}},
    {"a channel scaled",
     "num_output: 12 kernel_size: 1 group: 12",
     {3, 12, 7, 9}},
    {"one map of a large plane",
     "num_output: 1 kernel_size: 3 pad: 1",
     {3, 40, 17, 19}},
    {"taps beyond the bottom",
     "num_output: 9 kernel_size: 3 dilation: 6 pad: 7 stride: 2",
     {3, 5, 4, 5}},
    {"phases of small planes in groups",
     "num_output: 15 kernel_size: 5 stride: 4 pad: 2 group: 3",
     {7, 9, 11, 10}},
    {"phases of one large image",
     "num_output: 11 kernel_size: 3 stride: 2 dilation: 3",
     {1, 5, 50, 60}},
    {"depthwise, long rows",
     "num_output: 5 kernel_size: 3 group: 5 pad: 1",
     {2, 5, 6, 75}},
    {"few pixels for the weights",
     "num_output: 160 kernel_size: 3 pad: 1",
     {3, 64, 4, 5}},
    {"few pixels for the weights of 1x1",
     "num_output: 256 kernel_size: 1",
     {1, 300, 7, 7}},
};

/// What BVLC's own layer computes here, too.
const std::vector<Row> kFallbackRows = {
    {"N-D im2col",
     "num_output: 8 kernel_size: 3 force_nd_im2col: true",
     {2, 4, 7, 7}},
    {"1-D", "num_output: 8 kernel_size: 3", {2, 4, 9}},
    {"3-D", "num_output: 8 kernel_size: 3 pad: 1", {2, 4, 5, 6, 4}},
    {"0-D", "num_output: 8 kernel_size: 1 axis: 1", {2, 4}},
};

std::string Param(const std::string& type, const std::string& options) {
  return "name: 'layer' type: '" + type + "' convolution_param { " + options +
         " weight_filler { type: 'gaussian' std: 1 }"
         " bias_filler { type: 'gaussian' std: 1 } }";
}

ParityCase Case(const std::string& type, const Row& row) {
  ParityCase c;
  c.name = type + ", " + row.name;
  c.param = Param(type, row.options);
  c.shapes.assign(row.bottoms, row.shape);
  c.tops = row.bottoms;
  // A gradient of the weights sums as many products as there are pixels, in
  // another order.
  c.tolerance = 128;
  return c;
}

std::vector<Row> AllRows() {
  std::vector<Row> rows = kRows;
  rows.insert(rows.end(), kFallbackRows.begin(), kFallbackRows.end());
  return rows;
}

template <typename Dtype>
class FastConvolutionTest : public ::testing::Test {};
TYPED_TEST_SUITE(FastConvolutionTest, Dtypes);

TYPED_TEST(FastConvolutionTest, ConvolvesAsBvlcs) {
  for (const Row& row : AllRows()) {
    ExpectParity<ConvolutionLayer, TypeParam>(Case("Convolution", row));
  }
}

TYPED_TEST(FastConvolutionTest, DeconvolvesAsBvlcs) {
  for (const Row& row : AllRows()) {
    ExpectParity<DeconvolutionLayer, TypeParam>(Case("Deconvolution", row));
  }
}

TYPED_TEST(FastConvolutionTest, ComputesOnlyTheGradientsAskedFor) {
  const std::vector<bool> either = {false, true};
  for (const bool bottom : either) {
    for (const bool weights : either) {
      for (const bool bias : either) {
        Row row = {"", "num_output: 16 kernel_size: 3", {3, 16, 9, 9}, 2};
        row.name = std::string("gradients of") + (bottom ? " bottom" : "") +
                   (weights ? " weights" : "") + (bias ? " bias" : "");
        ParityCase c = Case("Convolution", row);
        c.propagate_down = {bottom, true};
        c.param_propagate_down = {weights, bias};
        ExpectParity<ConvolutionLayer, TypeParam>(c);
        c = Case("Deconvolution", row);
        c.propagate_down = {true, bottom};
        c.param_propagate_down = {weights, bias};
        ExpectParity<DeconvolutionLayer, TypeParam>(c);
      }
    }
  }
}

template <typename Dtype>
boost::shared_ptr<caffe::Layer<Dtype>> Make(const std::string& text) {
  return caffe::LayerRegistry<Dtype>::CreateLayer(
      FromText<caffe::LayerParameter>(text));
}

TYPED_TEST(FastConvolutionTest, IsTheDefaultEngine) {
  using Convolution = FastConvolutionLayer<TypeParam>;
  using Deconvolution = FastDeconvolutionLayer<TypeParam>;
  for (const std::string prefix : {"", "Quantized"}) {
    for (const bool is_default : {true, false}) {
      const std::string options = std::string("num_output: 2 kernel_size: 3 ") +
                                  (is_default ? "" : "engine: CAFFE ");
      const std::string quantization =
          prefix.empty() ? "" : " quantization_param { weight { bits: 2 } }";
      EXPECT_EQ(is_default,
                dynamic_cast<Convolution*>(
                    Make<TypeParam>(Param(prefix + "Convolution", options) +
                                    quantization)
                        .get()) != nullptr);
      EXPECT_EQ(is_default,
                dynamic_cast<Deconvolution*>(
                    Make<TypeParam>(Param(prefix + "Deconvolution", options) +
                                    quantization)
                        .get()) != nullptr);
    }
  }
}

using FloatBench = Bench<float>;

template <template <typename> class Layer>
FloatBench BenchOf(const ParityCase& c) {
  return FloatBench(c, [](const caffe::LayerParameter& param) {
    return std::make_shared<Layer<float>>(param);
  });
}

constexpr ConvolutionPass kPasses[] = {ConvolutionPass::kForward,
                                       ConvolutionPass::kBackwardData,
                                       ConvolutionPass::kBackwardWeights};

template <template <typename> class Fast>
void ExpectLeftToBvlcs(const std::vector<Row>& rows, const std::string& type,
                       bool expected) {
  for (const Row& row : rows) {
    FloatBench bench = BenchOf<Fast>(Case(type, row));
    for (const ConvolutionPass pass : kPasses) {
      EXPECT_EQ(expected,
                dynamic_cast<Fast<float>&>(*bench.layer).MethodOf(pass) ==
                    ConvolutionMethod::kBvlc)
          << type << ", " << row.name;
    }
  }
}

TEST(FastConvolution, LeavesToBvlcsWhatItLacks) {
  ExpectLeftToBvlcs<FastConvolutionLayer>(kRows, "Convolution", false);
  ExpectLeftToBvlcs<FastConvolutionLayer>(kFallbackRows, "Convolution", true);
  ExpectLeftToBvlcs<FastDeconvolutionLayer>(kRows, "Deconvolution", false);
  ExpectLeftToBvlcs<FastDeconvolutionLayer>(kFallbackRows, "Deconvolution",
                                            true);
}

ConvolutionMethod MethodOf(caffe::Phase phase, const Row& row,
                           ConvolutionPass pass) {
  ParityCase c = Case("Convolution", row);
  c.phase = phase;
  FloatBench bench = BenchOf<FastConvolutionLayer>(c);
  return dynamic_cast<FastConvolutionLayer<float>&>(*bench.layer)
      .MethodOf(pass);
}

// Weights that each meet a few pixels only are not worth oneDNN's format,
// unless it is kept for the next pass.
TEST(FastConvolution, RearrangesWeightsForManyPixels) {
  const Row few = {"", "num_output: 256 kernel_size: 1", {1, 300, 7, 7}};
  const Row many = {"", "num_output: 256 kernel_size: 1", {60, 300, 7, 7}};
  // oneDNN has no kernels for some processors.
  const ConvolutionMethod best =
      MethodOf(caffe::TRAIN, many, ConvolutionPass::kForward);
  EXPECT_EQ(best, MethodOf(caffe::TEST, few, ConvolutionPass::kForward));
  for (const ConvolutionPass pass : kPasses) {
    EXPECT_EQ(best, MethodOf(caffe::TRAIN, many, pass));
    EXPECT_EQ(ConvolutionMethod::kGemm, MethodOf(caffe::TRAIN, few, pass));
  }
}

TEST(FastConvolution, TakesLonePixelsFromPlainBlobs) {
  const Row strided = {
      "", "num_output: 32 kernel_size: 1 stride: 2", {3, 64, 28, 28}};
  for (const ConvolutionPass pass : kPasses) {
    EXPECT_EQ(ConvolutionMethod::kGemm, MethodOf(caffe::TEST, strided, pass));
  }
}

TEST(FastConvolution, ConvolvesLongRowsDepthwiseFromPlainBlobs) {
  const Row wide = {
      "", "num_output: 32 kernel_size: 3 pad: 1 group: 32", {3, 32, 40, 56}};
  for (const caffe::Phase phase : {caffe::TRAIN, caffe::TEST}) {
    EXPECT_EQ(ConvolutionMethod::kDirect,
              MethodOf(phase, wide, ConvolutionPass::kForward));
  }
}

TEST(FastConvolution, ScalesChannelsDirectly) {
  for (const ConvolutionPass pass : kPasses) {
    EXPECT_EQ(
        ConvolutionMethod::kDirect,
        MethodOf(caffe::TEST,
                 {"", "num_output: 32 kernel_size: 1 group: 32", {3, 32, 9, 9}},
                 pass));
  }
}

// oneDNN's matrix products and plain loops do a ReLU apart, and slowly.
template <template <typename> class Fast>
void ExpectReluInKernel(const std::string& type) {
  int with_kernel = 0;
  for (const Row& row : kRows) {
    SCOPED_TRACE(type + ", " + row.name);
    if (row.bottoms > 1) {
      continue;
    }
    ParityCase c = Case(type, row);
    c.phase = caffe::TEST;
    FloatBench bench = BenchOf<Fast>(c);
    auto& layer = dynamic_cast<Fast<float>&>(*bench.layer);
    ASSERT_TRUE(layer.ForwardWithRelu(bench.bottom, bench.top, 0.5f));
    const std::string kernel = layer.KernelWithRelu();
    EXPECT_EQ(
        layer.MethodOf(ConvolutionPass::kForward) == ConvolutionMethod::kOneDnn,
        !kernel.empty());
    EXPECT_EQ(std::string::npos, kernel.find("gemm")) << kernel;
    EXPECT_EQ(std::string::npos, kernel.find("ref")) << kernel;
    with_kernel += kernel.empty() ? 0 : 1;
  }
#ifdef __x86_64__
  EXPECT_GT(with_kernel, 0);
#endif
}

TEST(FastConvolution, GivesReluToKernelsOnly) {
  ExpectReluInKernel<FastConvolutionLayer>("Convolution");
  ExpectReluInKernel<FastDeconvolutionLayer>("Deconvolution");
}

template <template <typename> class Bvlc, template <typename> class Fast>
void ExpectParityWhenReshaped(const std::string& type) {
  const ParityCase c = Case(
      type, {"reshaped", "num_output: 16 kernel_size: 3", {4, 16, 9, 9}, 1});
  FloatBench bvlc = BenchOf<Bvlc>(c);
  FloatBench fast = BenchOf<Fast>(c);
  const std::vector<std::vector<int>> shapes = {
      {4, 16, 9, 9}, {2, 16, 12, 7}, {0, 16, 9, 9}, {4, 16, 9, 9}};
  unsigned seed = 1;
  for (const auto& shape : shapes) {
    for (FloatBench* bench : {&bvlc, &fast}) {
      bench->bottom[0]->Reshape(shape);
      bench->FillBottoms(seed);
      bench->Forward();
      bench->Backward(seed);
    }
    ExpectSame(c, bvlc, fast, "reshaped");
    ++seed;
  }
}

TEST(FastConvolution, FollowsTheBottomsShape) {
  ExpectParityWhenReshaped<ConvolutionLayer, FastConvolutionLayer>(
      "Convolution");
  ExpectParityWhenReshaped<DeconvolutionLayer, FastDeconvolutionLayer>(
      "Deconvolution");
}

TEST(FastConvolution, UsesTheWeightsOfTheMoment) {
  const ParityCase c =
      Case("Convolution",
           {"weights", "num_output: 16 kernel_size: 3", {4, 16, 9, 9}});
  FloatBench bvlc = BenchOf<ConvolutionLayer>(c);
  FloatBench fast = BenchOf<FastConvolutionLayer>(c);
  for (unsigned seed = 1; seed < 4; ++seed) {
    for (FloatBench* bench : {&bvlc, &fast}) {
      bench->FillBottoms(seed);
      FillNormal(seed, bench->layer->blobs()[0].get());
      bench->Forward();
      FillNormal(seed + 10, bench->layer->blobs()[0].get());
      bench->Backward(seed);
    }
    ExpectSame(c, bvlc, fast, "new weights");
  }
}

/// Restores the number of threads.
class ThreadCount {
 public:
  ThreadCount() : before_(omp_get_max_threads()) {}
  ~ThreadCount() { omp_set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  const int before_;
};

TEST(FastConvolution, ComputesTheSameBitsAgain) {
  const ThreadCount restore;
  for (const int threads : {1, 2, 3}) {
    omp_set_num_threads(threads);
    for (const Row& row : kRows) {
      SCOPED_TRACE(row.name);
      const ParityCase c = Case("Convolution", row);
      FloatBench first = BenchOf<FastConvolutionLayer>(c);
      FloatBench again = BenchOf<FastConvolutionLayer>(c);
      for (FloatBench* bench : {&first, &again}) {
        bench->FillBottoms(1);
        bench->Forward();
        bench->Backward(1);
      }
      EXPECT_EQ(Data(*first.top[0]), Data(*again.top[0]));
      EXPECT_EQ(Diff(*first.bottom[0]), Diff(*again.bottom[0]));
      for (std::size_t i = 0; i < first.layer->blobs().size(); ++i) {
        EXPECT_EQ(Diff(*first.layer->blobs()[i]),
                  Diff(*again.layer->blobs()[i]));
      }
    }
  }
}

TEST(FastConvolution, FollowsTheNumberOfThreads) {
  const ThreadCount restore;
  const ParityCase c =
      Case("Convolution",
           {"threads", "num_output: 32 kernel_size: 3", {20, 32, 16, 16}});
  FloatBench bvlc = BenchOf<ConvolutionLayer>(c);
  FloatBench fast = BenchOf<FastConvolutionLayer>(c);
  for (const int threads : {2, 1, 3}) {
    omp_set_num_threads(threads);
    for (FloatBench* bench : {&bvlc, &fast}) {
      bench->FillBottoms(threads);
      bench->Forward();
      bench->Backward(threads);
    }
    EXPECT_EQ(threads, omp_get_max_threads());
    ExpectSame(c, bvlc, fast, "with other threads");
  }
}

// Two layers with one blob of weights: its gradients add up.
TEST(FastConvolution, SharesParameters) {
  const auto net = [](const std::string& engine) {
    std::string text =
        "name: 'shared' force_backward: true "
        "layer { name: 'input' type: 'Input' top: 'data' "
        "  input_param { shape { dim: 4 dim: 16 dim: 9 dim: 9 } } } ";
    for (const std::string name : {"a", "b"}) {
      text += "layer { bottom: '" + std::string(name == "a" ? "data" : "a") +
              "' top: '" + name + "' name: '" + name +
              "' type: 'Convolution' param { name: 'w' } param { name: 'b' } "
              "convolution_param { num_output: 16 kernel_size: 3 " +
              engine + " weight_filler { type: 'xavier' } } } ";
    }
    auto param = FromText<caffe::NetParameter>(text);
    param.mutable_state()->set_phase(caffe::TRAIN);
    caffe::Caffe::set_random_seed(17);
    auto made = std::make_shared<caffe::Net<float>>(param);
    FillNormal(1, made->input_blobs()[0]);
    made->Forward();
    made->ClearParamDiffs();
    FillNormal(2, made->blob_by_name("b").get());
    SetDiff(Data(*made->blob_by_name("b")), made->blob_by_name("b").get());
    made->Backward();
    return made;
  };
  const auto bvlc = net("engine: CAFFE");
  const auto fast = net("");
  ExpectWithin(128, Diff(*bvlc->input_blobs()[0]),
               Diff(*fast->input_blobs()[0]), "the data's diff");
  for (std::size_t i = 0; i < 2; ++i) {
    ExpectWithin(128, Diff(*bvlc->learnable_params()[i]),
                 Diff(*fast->learnable_params()[i]), "a parameter's diff");
  }
}

}  // namespace
}  // namespace ul2q

// What the GPU computes against what the CPU does. Skipped without a GPU.

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "support.hpp"
#include "support/cuda_device.hpp"
#include "ul2q/core/method.hpp"
#include "ul2q/gpu/device_quantizer.hpp"
#include "ul2q/layers/packed_net.hpp"
#include "ul2q/layers/quantized_blob.hpp"

namespace ul2q {
namespace {

using caffe::Blob;
using caffe::Caffe;

template <typename Dtype>
class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!HasCudaDevice()) {
      GTEST_SKIP() << "no CUDA device";
    }
  }
  void TearDown() override { Caffe::set_mode(Caffe::CPU); }
};
TYPED_TEST_SUITE(GpuTest, Dtypes);

/// Methods with every width that they take, as prototxt.
std::vector<std::string> Quantizers() {
  std::vector<std::string> quantizers = {
      "method: BINARY bits: 1",
      "method: TERNARY bits: 2",
      "method: TERNARY_QUANTIZED bits: 4",
      "bits: 3 shift: ZERO",
      "bits: 4 fit: PAPER",
      "bits: 12 fit: PAPER",
      "bits: 2 fit: EMPIRICAL",
      "method: CLIP bits: 4 fit: EMPIRICAL",
      "method: TERNARY bits: 2 fit: EMPIRICAL",
      "bits: 2 gradient: CLIPPED",
      "method: FIXED_POINT bits: 4 "
      "rounding: STOCHASTIC"};
  for (int bits = 1; bits <= 16; ++bits) {
    for (const char* method : {"UL2Q", "CLIP", "FIXED_POINT"}) {
      quantizers.push_back("method: " + std::string(method) +
                           " bits: " + std::to_string(bits));
    }
  }
  return quantizers;
}

/// A layer in one mode, all of its arrays from the same seeds.
template <typename Dtype>
class Run {
 public:
  Run(const std::string& layer, Caffe::Brew mode) {
    Caffe::set_mode(mode);
    Caffe::set_random_seed(1);  // of stochastic rounding
    const auto param = FromText<caffe::LayerParameter>(layer);
    layer_ = caffe::LayerRegistry<Dtype>::CreateLayer(param);
    std::vector<Blob<Dtype>*> bottoms = {&bottom_}, tops = {&top_};
    std::vector<bool> propagate_down = {true};
    if (param.has_embed_param()) {
      SetIndices();
      propagate_down = {false};
    } else if (param.has_recurrent_param()) {
      SetSequences();
      bottoms.push_back(&goes_on_);
      propagate_down.push_back(false);
    } else {
      bottom_.Reshape({2, 4, 6, 5});
      FillNormal(1, &bottom_);
    }
    layer_->SetUp(bottoms, tops);
    for (std::size_t i = 0; i < layer_->blobs().size(); ++i) {
      FillNormal(2 + i, layer_->blobs()[i].get(), 0.1, 0.5);
      SetDiff(Normal<Dtype>(layer_->blobs()[i]->count(), 4 + i),
              layer_->blobs()[i].get());
    }
    for (int pass = 0; pass < 2; ++pass) {
      layer_->Forward(bottoms, tops);
      SetDiff(Normal<Dtype>(top_.count(), 6), &top_);
      layer_->Backward(tops, propagate_down, bottoms);
    }
  }

  /// Sums may differ by roundings, and a weight on the border between two codes
  /// then has the other: so codes of few bits and many roundings.
  void ExpectCloseTo(const Run& other) const {
    ExpectClose(Data(other.top_), Data(top_), "top");
    ExpectClose(Diff(other.bottom_), Diff(bottom_), "bottom gradient");
    for (std::size_t i = 0; i < layer_->blobs().size(); ++i) {
      ExpectClose(Diff(*other.layer_->blobs()[i]), Diff(*layer_->blobs()[i]),
                  "gradient");
      EXPECT_EQ(Data(*other.layer_->blobs()[i]), Data(*layer_->blobs()[i]));
    }
  }

 private:
  void SetIndices() {
    bottom_.Reshape({7});
    for (int i = 0; i < bottom_.count(); ++i) {
      bottom_.mutable_cpu_data()[i] = i * i % 5;
    }
  }
  /// Of 3 steps, one of the two begins anew in between.
  void SetSequences() {
    bottom_.Reshape({3, 2, 4});
    FillNormal(1, &bottom_);
    goes_on_.Reshape({3, 2});
    SetData<Dtype>({0, 0, 1, 0, 1, 1}, &goes_on_);
  }

  Blob<Dtype> bottom_, goes_on_, top_;
  boost::shared_ptr<caffe::Layer<Dtype>> layer_;
};

TYPED_TEST(GpuTest, LayersComputeAsOnTheCpu) {
  const char* layers[] = {
      "type: 'QuantizedConvolution' convolution_param { num_output: 6 "
      "kernel_size: 3 group: 2 pad: 1 }",
      "type: 'QuantizedDeconvolution' convolution_param { num_output: 6 "
      "kernel_size: 2 group: 2 }",
      "type: 'QuantizedInnerProduct' inner_product_param { num_output: 7 }",
      "type: 'QuantizedInnerProduct' inner_product_param { num_output: 7 "
      "transpose: true }",
      "type: 'QuantizedConvolution' convolution_param { num_output: 3 axis: 0 "
      "kernel_size: 1 kernel_size: 2 kernel_size: 3 dilation: 1 }",
      "type: 'QuantizedEmbed' embed_param { num_output: 6 input_dim: 5 }",
      "type: 'QuantizedLSTM' recurrent_param { num_output: 3 }",
      "type: 'QuantizedRNN' recurrent_param { num_output: 3 }"};
  for (const std::string layer : layers) {
    for (const std::string& options : Quantizers()) {
      for (const char* granularity : {"TENSOR", "CHANNEL"}) {
        const std::string text = "name: 'layer' phase: TRAIN " + layer +
                                 " quantization_param { weight { " + options +
                                 " granularity: " + granularity +
                                 " } bias { bits: 8 } }";
        SCOPED_TRACE(text);
        const Run<TypeParam> cpu(text, Caffe::CPU);
        const Run<TypeParam> gpu(text, Caffe::GPU);
        gpu.ExpectCloseTo(cpu);
        if (this->HasFatalFailure()) {
          return;
        }
      }
    }
  }
}

/// Three training passes and one test pass of an activation layer in one mode.
template <typename Dtype>
struct ActivationRun {
  std::vector<std::vector<Dtype>> tops, gradients;
  std::vector<Dtype> averages;
  ScaleShift<Dtype> fit;

  ActivationRun(const std::string& options, bool in_place, Caffe::Brew mode) {
    Caffe::set_mode(mode);
    Caffe::set_random_seed(1);
    auto param = FromText<caffe::LayerParameter>(
        "name: 'q' type: 'QuantizedActivation' phase: TRAIN "
        "quantization_param { activation { " +
        options + " moving_average_fraction: 0.5 } }");
    Blob<Dtype> bottom({4, 100}), own_top;
    Blob<Dtype>& top = in_place ? bottom : own_top;
    const std::vector<Blob<Dtype>*> bottoms = {&bottom}, all_tops = {&top};
    const auto layer = caffe::LayerRegistry<Dtype>::CreateLayer(param);
    layer->SetUp(bottoms, all_tops);
    for (unsigned pass = 0; pass < 3; ++pass) {
      FillNormal(1 + pass, &bottom, 0.5, 1 + pass);
      layer->Forward(bottoms, all_tops);
      tops.push_back(Data(top));
      SetDiff(Normal<Dtype>(top.count(), 10 + pass), &top);
      layer->Backward(all_tops, {true}, bottoms);
      gradients.push_back(Diff(bottom));
    }
    param.set_phase(caffe::TEST);
    for (const auto& blob : layer->blobs()) {
      blob->ToProto(param.add_blobs());
    }
    averages = Data(*layer->blobs()[0]);
    averages.push_back(Data(*layer->blobs()[1])[0]);
    const auto test_layer = caffe::LayerRegistry<Dtype>::CreateLayer(param);
    test_layer->SetUp(bottoms, all_tops);
    FillNormal(5, &bottom);
    test_layer->Forward(bottoms, all_tops);
    tops.push_back(Data(top));
    fit = dynamic_cast<caffe::HasQuantizedActivation<Dtype>&>(*test_layer)
              .quantized_activation()
              ->fit;
  }
};

TYPED_TEST(GpuTest, ActivationsAreQuantisedAsOnTheCpu) {
  std::vector<std::string> quantizers = Quantizers();
  for (const char* method : {"UL2Q", "CLIP", "FIXED_POINT"}) {
    quantizers.push_back("method: " + std::string(method) +
                         " bits: 4 signed: false");
  }
  quantizers.push_back("bits: 2 gradient: IDENTITY");
  for (const std::string& options : quantizers) {
    for (const bool in_place : {false, true}) {
      SCOPED_TRACE(options + (in_place ? ", in place" : ""));
      const ActivationRun<TypeParam> cpu(options, in_place, Caffe::CPU);
      const ActivationRun<TypeParam> gpu(options, in_place, Caffe::GPU);
      for (std::size_t pass = 0; pass < cpu.tops.size(); ++pass) {
        ExpectClose(cpu.tops[pass], gpu.tops[pass], "top");
      }
      for (std::size_t pass = 0; pass < cpu.gradients.size(); ++pass) {
        ExpectClose(cpu.gradients[pass], gpu.gradients[pass], "gradient");
      }
      ExpectClose(cpu.averages, gpu.averages, "averages");
      EXPECT_NEAR(cpu.fit.scale, gpu.fit.scale, 1e-5 * cpu.fit.scale);
    }
  }
}

TYPED_TEST(GpuTest, ActivationsThatAreNotFiniteEnterNoAverage) {
  Caffe::set_mode(Caffe::GPU);
  const auto layer = caffe::LayerRegistry<TypeParam>::CreateLayer(
      FromText<caffe::LayerParameter>(
          "name: 'q' type: 'QuantizedActivation' phase: TRAIN "
          "quantization_param { activation { bits: 4 } }"));
  Blob<TypeParam> bottom({400}), top;
  const std::vector<Blob<TypeParam>*> bottoms = {&bottom}, tops = {&top};
  layer->SetUp(bottoms, tops);
  FillNormal(1, &bottom);
  layer->Forward(bottoms, tops);
  const auto before = Data(*layer->blobs()[0]);
  bottom.mutable_cpu_data()[7] = std::numeric_limits<TypeParam>::infinity();
  layer->Forward(bottoms, tops);
  EXPECT_EQ(Data(*layer->blobs()[0]), before);
  FillNormal(2, &bottom);
  ExpectWords(MessageOf<CaffeError>([&] { layer->Forward(bottoms, tops); }),
              {"'q'", "bottom", "earlier pass", "diverged"});
  layer->Forward(bottoms, tops);  // which goes on
}

TYPED_TEST(GpuTest, ArraysOfAllSizesAreQuantisedAsOnTheCpu) {
  for (const int n : {1, 2, 255, 8192, 8193, 1'000'003, 100'000'000}) {
    SCOPED_TRACE(n);
    const auto layout = ChannelLayout::Whole(n);
    const auto quantizer = MakeQuantizer<TypeParam>("ul2q", {2});
    Blob<TypeParam> w({n}), values({n}), again({n});
    FillNormal(1, &w);
    DeviceQuantizer<TypeParam> device(*quantizer);
    for (Blob<TypeParam>* out : {&values, &again}) {
      device.Fit(layout, w.gpu_data());
      device.Quantize(layout, w.gpu_data(), {}, out->mutable_gpu_data());
    }
    EXPECT_FALSE(device.has_failed());
    // The same bits each time.
    EXPECT_TRUE(
        std::equal(values.cpu_data(), values.cpu_data() + n, again.cpu_data()));
    QuantizeChannels<TypeParam>(*quantizer, layout, w.cpu_data(), {},
                                again.mutable_cpu_data());
    int others = 0;
    for (int i = 0; i < n; ++i) {
      const double difference =
          std::abs(values.cpu_data()[i] - again.cpu_data()[i]);
      others += difference > 1e-5;
    }
    // Those on the border between two codes.
    EXPECT_LE(others, n / 1'000'000);
  }
}

TYPED_TEST(GpuTest, PackedWeightsAreTakenAsOnTheCpu) {
  const auto param = FromText<caffe::NetParameter>(
      "force_backward: true layer { name: 'x' type: 'Input' top: 'x' "
      "input_param { shape { dim: 2 dim: 4 dim: 6 dim: 5 } } } "
      "layer { name: 'q' type: 'QuantizedConvolution' bottom: 'x' top: 'y' "
      "convolution_param { num_output: 6 kernel_size: 3 weight_filler { "
      "type: 'gaussian' std: 1 } } quantization_param { weight { bits: 2 "
      "granularity: CHANNEL gradient: CLIPPED } } }");
  const auto packed = caffe::PackedNet(caffe::Net<float>(param), false);
  std::vector<std::vector<TypeParam>> tops, gradients;
  for (const Caffe::Brew mode : {Caffe::CPU, Caffe::GPU}) {
    Caffe::set_mode(mode);
    caffe::Net<TypeParam> net(param);
    net.CopyTrainedLayersFrom(packed);
    FillNormal(1, net.input_blobs()[0]);
    for (int pass = 0; pass < 2; ++pass) {
      net.Forward();
      Blob<TypeParam>* top = net.output_blobs()[0];
      tops.push_back(Data(*top));
      SetDiff(Normal<TypeParam>(top->count(), 6), top);
      net.ClearParamDiffs();
      net.Backward();
      gradients.push_back(Diff(*net.learnable_params()[0]));
    }
    const auto& layer = *net.layers()[1];
    EXPECT_NE(nullptr,
              dynamic_cast<const caffe::HasQuantizedBlobs<TypeParam>&>(layer)
                  .quantized_blobs()[0]
                  .packed);
  }
  for (int pass = 0; pass < 2; ++pass) {
    ExpectClose(tops[pass], tops[2 + pass], "top");
    ExpectClose(gradients[pass], gradients[2 + pass], "gradient");
  }
}

TYPED_TEST(GpuTest, ValuesThatAreNotFiniteAreReportedByALaterPass) {
  Caffe::set_mode(Caffe::GPU);
  const auto layer = caffe::LayerRegistry<TypeParam>::CreateLayer(
      FromText<caffe::LayerParameter>(
          "name: 'ip' type: 'QuantizedInnerProduct' inner_product_param { "
          "num_output: 2 } quantization_param { weight { bits: 2 } }"));
  Blob<TypeParam> bottom({1, 3}), top;
  const std::vector<Blob<TypeParam>*> bottoms = {&bottom}, tops = {&top};
  layer->SetUp(bottoms, tops);
  layer->blobs()[0]->mutable_cpu_data()[4] =
      std::numeric_limits<TypeParam>::quiet_NaN();
  layer->Forward(bottoms, tops);
  cudaDeviceSynchronize();
  ExpectWords(MessageOf<CaffeError>([&] { layer->Forward(bottoms, tops); }),
              {"ip", "weight", "NaN", "element 4 of 6", "diverged"});
}

}  // namespace
}  // namespace ul2q

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/sgd_solvers.hpp"
#include "caffe/test/test_gradient_check_util.hpp"
#include "core/reference.hpp"
#include "nets.hpp"
#include "support.hpp"

namespace ul2q {
namespace {

using caffe::Blob;
using caffe::Layer;
using caffe::LayerParameter;
using caffe::LayerRegistry;
using caffe::Net;
using caffe::NetParameter;

/// A float layer and the shape of what goes into it.
struct Config {
  const char* name;
  const char* type;
  const char* param;
  std::vector<int> shape;
  int bottoms = 1;
};

/// How its parameters are quantised; 0 bits: not at all.
struct Quantization {
  int weight_bits;
  int bias_bits = 0;
  Fit fit = Fit::kExact;

  std::string text() const {
    const std::string options =
        fit == Fit::kPaper ? " fit: PAPER } " : " fit: EXACT } ";
    std::string text =
        "quantization_param { weight { bits: " + std::to_string(weight_bits) +
        options;
    if (bias_bits > 0) {
      text += "bias { bits: " + std::to_string(bias_bits) + options;
    }
    return text + "}";
  }
};

const std::vector<Config>& Configs() {
  static const std::vector<Config> configs = {
      {"plain",
       "Convolution",
       "convolution_param { num_output: 4 kernel_size: 3 }",
       {2, 3, 6, 5}},
      {"stride, pad",
       "Convolution",
       "convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad: 1 }",
       {2, 3, 7, 6}},
      {"dilation",
       "Convolution",
       "convolution_param { num_output: 2 kernel_size: 3 dilation: 2 }",
       {2, 3, 7, 8}},
      {"two groups",
       "Convolution",
       "convolution_param { num_output: 6 kernel_size: 2 group: 2 }",
       {2, 4, 4, 4}},
      {"a group a channel",
       "Convolution",
       "convolution_param { num_output: 4 kernel_size: 3 group: 4 pad: 1 }",
       {2, 4, 4, 4}},
      {"1 x 1",
       "Convolution",
       "convolution_param { num_output: 5 kernel_size: 1 }",
       {2, 3, 4, 4}},
      {"kernel_h, kernel_w",
       "Convolution",
       "convolution_param { num_output: 3 kernel_h: 1 kernel_w: 3 stride_h: 2 "
       "stride_w: 1 pad_h: 0 pad_w: 1 }",
       {2, 3, 5, 5}},
      {"no bias",
       "Convolution",
       "convolution_param { num_output: 4 kernel_size: 3 bias_term: false }",
       {2, 3, 5, 5}},
      {"engine",
       "Convolution",
       "convolution_param { num_output: 4 kernel_size: 3 engine: CAFFE }",
       {2, 3, 5, 5}},
      {"1 spatial axis",
       "Convolution",
       "convolution_param { num_output: 4 kernel_size: 3 pad: 1 }",
       {2, 3, 9}},
      {"3 spatial axes",
       "Convolution",
       "convolution_param { num_output: 2 kernel_size: 2 stride: 2 }",
       {2, 3, 4, 5, 4}},
      {"force_nd_im2col",
       "Convolution",
       "convolution_param { num_output: 4 kernel_size: 3 pad: 1 "
       "force_nd_im2col: true }",
       {2, 3, 5, 6}},
      {"axis 2",
       "Convolution",
       "convolution_param { num_output: 4 kernel_size: 3 axis: 2 }",
       {2, 2, 3, 5, 5}},
      {"three bottoms",
       "Convolution",
       "convolution_param { num_output: 4 kernel_size: 3 }",
       {2, 3, 5, 5},
       3},
      {"axis 1",
       "InnerProduct",
       "inner_product_param { num_output: 5 }",
       {3, 2, 3, 2}},
      {"axis 2",
       "InnerProduct",
       "inner_product_param { num_output: 5 axis: 2 }",
       {2, 3, 4, 2}},
      {"axis -1",
       "InnerProduct",
       "inner_product_param { num_output: 5 axis: -1 }",
       {2, 3, 4}},
      {"transpose",
       "InnerProduct",
       "inner_product_param { num_output: 5 transpose: true }",
       {3, 8}},
      {"no bias",
       "InnerProduct",
       "inner_product_param { num_output: 5 bias_term: false }",
       {3, 8}},
      {"a single weight",
       "InnerProduct",
       "inner_product_param { num_output: 1 }",
       {3, 1}},
  };
  return configs;
}

const Config& Plain(const std::string& type) {
  return *std::find_if(
      Configs().begin(), Configs().end(),
      [&](const Config& config) { return config.type == type; });
}

/// A layer with blobs of its own; two with the same shapes get the same data.
template <typename Dtype>
class Rig {
 public:
  Rig(const LayerParameter& param, const std::vector<int>& shape, int bottoms)
      : layer_(LayerRegistry<Dtype>::CreateLayer(param)) {
    for (int i = 0; i < bottoms; ++i) {
      blobs_.push_back(std::make_unique<Blob<Dtype>>(shape));
      bottoms_.push_back(blobs_.back().get());
      FillNormal(100 + i, bottoms_.back());
      blobs_.push_back(std::make_unique<Blob<Dtype>>());
      tops_.push_back(blobs_.back().get());
    }
    layer_->SetUp(bottoms_, tops_);
    for (const auto& blob : layer_->blobs()) {
      SetDiff(std::vector<Dtype>(blob->count(), 0), blob.get());
    }
  }

  void Forward() { layer_->Forward(bottoms_, tops_); }

  void Backward() {
    for (std::size_t i = 0; i < tops_.size(); ++i) {
      SetDiff(Normal<Dtype>(tops_[i]->count(), 200 + i), tops_[i]);
    }
    layer_->Backward(tops_, std::vector<bool>(bottoms_.size(), true), bottoms_);
  }

  void Reshape(const std::vector<int>& shape) {
    for (Blob<Dtype>* bottom : bottoms_) {
      bottom->Reshape(shape);
      FillNormal(300, bottom);
    }
  }

  Layer<Dtype>& layer() { return *layer_; }
  Blob<Dtype>& blob(int i) { return *layer_->blobs()[i]; }
  const std::vector<Blob<Dtype>*>& bottoms() const { return bottoms_; }
  const std::vector<Blob<Dtype>*>& tops() const { return tops_; }

 private:
  boost::shared_ptr<Layer<Dtype>> layer_;
  std::vector<std::unique_ptr<Blob<Dtype>>> blobs_;
  std::vector<Blob<Dtype>*> bottoms_, tops_;
};

LayerParameter FloatParameter(const Config& config) {
  return FromText<LayerParameter>(
      "name: 'q' type: '" + std::string(config.type) + "' " + config.param);
}

LayerParameter QuantizedParameter(const Config& config,
                                  const Quantization& quantization) {
  return FromText<LayerParameter>("name: 'q' type: 'Quantized" +
                                  std::string(config.type) + "' " +
                                  config.param + quantization.text());
}

/// A quantised layer, and BVLC's with the plainly quantised parameters.
template <typename Dtype>
class Twins {
 public:
  Twins(const Config& config, const Quantization& quantization)
      : quantized(QuantizedParameter(config, quantization), config.shape,
                  config.bottoms),
        stock(FloatParameter(config), config.shape, config.bottoms),
        quantization_(quantization) {
    SetMasters(1);
  }

  /// New masters for the one, their quantised values for the other.
  void SetMasters(unsigned seed) {
    masters_.clear();
    for (std::size_t i = 0; i < quantized.layer().blobs().size(); ++i) {
      FillNormal(seed + i, &quantized.blob(i), 0.05, 0.3);
      masters_.push_back(Data(quantized.blob(i)));
      const int bits =
          i == 0 ? quantization_.weight_bits : quantization_.bias_bits;
      SetData(bits > 0 ? PlainQuantize(masters_[i], bits, quantization_.fit)
                       : masters_[i],
              &stock.blob(i));
    }
  }

  void Forward() {
    quantized.Forward();
    stock.Forward();
  }

  void Backward() {
    quantized.Backward();
    stock.Backward();
  }

  void ExpectSameTops() {
    for (std::size_t i = 0; i < stock.tops().size(); ++i) {
      ASSERT_EQ(stock.tops()[i]->shape(), quantized.tops()[i]->shape());
      if (stock.tops()[i]->count() > 0) {
        ExpectClose(Data(*stock.tops()[i]), Data(*quantized.tops()[i]), "top");
      }
    }
  }

  void ExpectSameGradients() {
    for (std::size_t i = 0; i < stock.bottoms().size(); ++i) {
      ExpectClose(Diff(*stock.bottoms()[i]), Diff(*quantized.bottoms()[i]),
                  "bottom gradient");
    }
    for (std::size_t i = 0; i < masters_.size(); ++i) {
      ExpectClose(Diff(stock.blob(i)), Diff(quantized.blob(i)),
                  i == 0 ? "weight gradient" : "bias gradient");
    }
  }

  void ExpectMastersUntouched() {
    for (std::size_t i = 0; i < masters_.size(); ++i) {
      ASSERT_EQ(masters_[i], Data(quantized.blob(i))) << "master " << i;
    }
  }

  Rig<Dtype> quantized, stock;

 private:
  Quantization quantization_;
  std::vector<std::vector<Dtype>> masters_;
};

template <typename Dtype>
class QuantizedLayerTest : public ::testing::Test {};
TYPED_TEST_SUITE(QuantizedLayerTest, Dtypes);

TYPED_TEST(QuantizedLayerTest, IsItsFloatLayerWithQuantisedParameters) {
  for (const Config& config : Configs()) {
    const bool has_bias =
        std::string(config.param).find("bias_term: false") == std::string::npos;
    for (const int bits : {1, 2, 8, 16}) {
      for (const Fit fit : {Fit::kExact, Fit::kPaper}) {
        for (const int bias_bits : {0, 8}) {
          if (bias_bits > 0 && !has_bias) {
            continue;
          }
          const Quantization quantization{bits, bias_bits, fit};
          SCOPED_TRACE(std::string(config.type) + ", " + config.name + ", " +
                       quantization.text());
          Twins<TypeParam> twins(config, quantization);
          twins.Forward();
          twins.ExpectSameTops();
          twins.Backward();
          twins.ExpectSameGradients();
          twins.ExpectMastersUntouched();
          if (this->HasFatalFailure()) {
            return;
          }
        }
      }
    }
  }
}

// With respect to the bottom only: the parameters' gradient is the
// straight-through estimator, which no difference quotient confirms. The
// checker skips elements within its kink range, and all parameters lie there.
TYPED_TEST(QuantizedLayerTest, HasTheBottomGradientOfDifferences) {
  const Config configs[] = {
      {"plain",
       "Convolution",
       "convolution_param { num_output: 2 kernel_size: 2 }",
       {2, 2, 3, 3}},
      {"stride, pad, group",
       "Convolution",
       "convolution_param { num_output: 4 kernel_size: 2 stride: 2 pad: 1 "
       "group: 2 }",
       {1, 2, 4, 4}},
      {"dilation",
       "Convolution",
       "convolution_param { num_output: 2 kernel_size: 2 dilation: 2 }",
       {1, 2, 4, 4}},
      {"plain",
       "InnerProduct",
       "inner_product_param { num_output: 3 }",
       {2, 3, 2}},
      {"transpose",
       "InnerProduct",
       "inner_product_param { num_output: 3 transpose: true axis: 2 }",
       {2, 2, 4}},
  };
  constexpr double kKinkRange = 0.5, kStep = 1e-2, kThreshold = 1e-3;
  for (const Config& config : configs) {
    for (const int bits : {1, 2, 8}) {
      const Quantization quantization{bits, 8};
      SCOPED_TRACE(std::string(config.type) + ", " + config.name + ", " +
                   quantization.text());
      Rig<TypeParam> rig(QuantizedParameter(config, quantization), config.shape,
                         1);
      for (const auto& blob : rig.layer().blobs()) {
        FillNormal(5, blob.get(), 0, 0.2);
        for (int i = 0; i < blob->count(); ++i) {
          TypeParam& w = blob->mutable_cpu_data()[i];
          w = std::min(std::max(w, TypeParam(-0.4)), TypeParam(0.4));
        }
      }
      Blob<TypeParam>& bottom = *rig.bottoms()[0];
      for (int i = 0; i < bottom.count(); ++i) {
        TypeParam& x = bottom.mutable_cpu_data()[i];
        x += std::copysign(TypeParam(0.6), x);
      }
      caffe::GradientChecker<TypeParam> checker(kStep, kThreshold, 1701, 0,
                                                kKinkRange);
      checker.CheckGradientExhaustive(&rig.layer(), rig.bottoms(), rig.tops(),
                                      0);
    }
  }
}

// What holds for a layer of either type, with quantised weights and biases.
template <typename Dtype>
class BothLayersTest : public ::testing::Test {
 protected:
  template <typename Body>
  static void ForBoth(const Body& body) {
    for (const char* type : {"Convolution", "InnerProduct"}) {
      SCOPED_TRACE(type);
      Twins<Dtype> twins(Plain(type), {2, 8});
      body(&twins);
    }
  }
};
TYPED_TEST_SUITE(BothLayersTest, Dtypes);

TYPED_TEST(BothLayersTest, NamesItsType) {
  this->ForBoth([](Twins<TypeParam>* twins) {
    EXPECT_EQ(std::string(twins->quantized.layer().type()),
              std::string("Quantized") + twins->stock.layer().type());
  });
}

TYPED_TEST(BothLayersTest, AccumulatesGradients) {
  this->ForBoth([](Twins<TypeParam>* twins) {
    twins->Forward();
    twins->Backward();
    const auto once = Diff(twins->quantized.blob(0));
    twins->Backward();
    twins->ExpectSameGradients();
    EXPECT_NE(once, Diff(twins->quantized.blob(0)));
  });
}

TYPED_TEST(BothLayersTest, SkipsGradientsThatAreNotAskedFor) {
  this->ForBoth([](Twins<TypeParam>* twins) {
    for (auto* rig : {&twins->quantized, &twins->stock}) {
      rig->layer().set_param_propagate_down(0, false);
      rig->layer().set_param_propagate_down(1, false);
    }
    twins->Forward();
    twins->Backward();
    twins->ExpectSameGradients();
    for (const int i : {0, 1}) {
      const auto diff = Diff(twins->quantized.blob(i));
      EXPECT_EQ(diff, std::vector<TypeParam>(diff.size(), 0));
    }
  });
}

TYPED_TEST(BothLayersTest, FollowsItsMasters) {
  this->ForBoth([](Twins<TypeParam>* twins) {
    twins->Forward();
    const auto before = Data(*twins->quantized.tops()[0]);
    twins->SetMasters(17);
    twins->Forward();
    twins->ExpectSameTops();
    EXPECT_NE(before, Data(*twins->quantized.tops()[0]));
  });
}

TYPED_TEST(BothLayersTest, BackwardNeedsNoForward) {
  this->ForBoth([](Twins<TypeParam>* twins) {
    twins->Backward();
    twins->ExpectSameGradients();
    twins->ExpectMastersUntouched();
  });
}

TYPED_TEST(BothLayersTest, BackwardUsesTheWeightsOfTheLastForward) {
  this->ForBoth([](Twins<TypeParam>* twins) {
    twins->Forward();
    FillNormal(23, &twins->quantized.blob(0));
    twins->Backward();
    twins->ExpectSameGradients();
  });
}

TYPED_TEST(BothLayersTest, SetsUpAgain) {
  this->ForBoth([](Twins<TypeParam>* twins) {
    twins->Forward();
    Rig<TypeParam>& rig = twins->quantized;
    rig.layer().SetUp(rig.bottoms(), rig.tops());
    twins->ExpectMastersUntouched();
    twins->Forward();
    twins->ExpectSameTops();
  });
}

TYPED_TEST(BothLayersTest, TakesABatchOfZero) {
  this->ForBoth([](Twins<TypeParam>* twins) {
    twins->Forward();
    twins->Backward();
    auto shape = twins->stock.bottoms()[0]->shape();
    const int batch = shape[0];
    for (const int size : {0, batch}) {
      shape[0] = size;
      twins->quantized.Reshape(shape);
      twins->stock.Reshape(shape);
      twins->Forward();
      twins->ExpectSameTops();
      twins->Backward();
      twins->ExpectSameGradients();
    }
    twins->ExpectMastersUntouched();
  });
}

TYPED_TEST(BothLayersTest, LeavesEqualWeightsAsTheyAre) {
  this->ForBoth([](Twins<TypeParam>* twins) {
    for (auto* rig : {&twins->quantized, &twins->stock}) {
      for (const auto& blob : rig->layer().blobs()) {
        SetData(std::vector<TypeParam>(blob->count(), TypeParam(0.3)),
                blob.get());
      }
    }
    twins->Forward();
    twins->ExpectSameTops();
    twins->Backward();
    twins->ExpectSameGradients();
  });
}

TYPED_TEST(BothLayersTest, GetsItsMastersBackWhenTheBaseLayerThrows) {
  this->ForBoth([](Twins<TypeParam>* twins) {
    Rig<TypeParam>& rig = twins->quantized;
    const Blob<TypeParam>* masters[] = {&rig.blob(0), &rig.blob(1)};
    twins->Forward();
    Blob<TypeParam> unallocated;
    EXPECT_THROW(
        rig.layer().Backward({&unallocated}, {true}, {rig.bottoms()[0]}),
        CaffeError);
    EXPECT_EQ(masters[0], &rig.blob(0));
    EXPECT_EQ(masters[1], &rig.blob(1));
    twins->ExpectMastersUntouched();
    twins->Forward();
    twins->ExpectSameTops();
  });
}

// A bottom of size 0 that never held memory: refused inside BVLC's Forward_cpu.
TYPED_TEST(BothLayersTest, GetsItsMastersBackWhenTheForwardPassThrows) {
  Config config = Plain("Convolution");
  config.shape[0] = 0;
  Twins<TypeParam> twins(config, {2, 8});
  const Blob<TypeParam>* master = &twins.quantized.blob(0);
  EXPECT_THROW(twins.stock.Forward(), CaffeError);
  EXPECT_THROW(twins.quantized.Forward(), CaffeError);
  EXPECT_EQ(master, &twins.quantized.blob(0));
  twins.ExpectMastersUntouched();
}

TYPED_TEST(BothLayersTest, RefusesParametersThatAreNotFinite) {
  const TypeParam bad_values[] = {std::numeric_limits<TypeParam>::quiet_NaN(),
                                  std::numeric_limits<TypeParam>::infinity()};
  this->ForBoth([&](Twins<TypeParam>* twins) {
    for (const TypeParam bad : bad_values) {
      for (const int index : {0, 1}) {
        twins->quantized.blob(index).mutable_cpu_data()[3] = bad;
        const std::vector<std::string> words = {
            std::string("Layer 'q' (Quantized") + twins->stock.layer().type() +
                "): the " + (index == 0 ? "weight" : "bias") + " blob holds ",
            std::isnan(bad) ? "NaN" : "infinite", "at element 3 of",
            "training has diverged", "base_lr"};
        ExpectWords(MessageOf<CaffeError>([&] { twins->quantized.Forward(); }),
                    words);
        // Not with what the pass that failed left behind.
        ExpectWords(MessageOf<CaffeError>([&] { twins->quantized.Backward(); }),
                    words);
        twins->SetMasters(1);
        twins->Forward();
        twins->ExpectSameTops();
      }
    }
  });
}

TYPED_TEST(QuantizedLayerTest, RefusesBadOptions) {
  const auto conv = [](const std::string& options,
                       const std::string& quantization) {
    return "name: 'c1' type: 'QuantizedConvolution' convolution_param { "
           "num_output: 2 kernel_size: 3 " +
           options + " } " + quantization;
  };
  const auto ip = [](const std::string& options,
                     const std::string& quantization) {
    return "name: 'ip1' type: 'QuantizedInnerProduct' inner_product_param { "
           "num_output: 2 " +
           options + " } " + quantization;
  };
  const std::string conv_says = "Layer 'c1' (QuantizedConvolution): ";
  const std::string ip_says = "Layer 'ip1' (QuantizedInnerProduct): ";
  const std::string weight = "quantization_param.weight.";
  const struct {
    std::string text;
    std::vector<std::string> words;
  } cases[] = {
      {conv("", ""), {conv_says + weight + "bits is missing", "1 to 16"}},
      {ip("", ""),
       {ip_says + weight + "bits is missing", "weight { bits: N }"}},
      {ip("", "quantization_param { }"),
       {ip_says + weight + "bits is missing"}},
      {conv("", "quantization_param { bias { bits: 8 } }"),
       {conv_says + weight + "bits is missing"}},
      {conv("", "quantization_param { weight { method: UL2Q } }"),
       {conv_says + weight + "bits is missing"}},
      {conv("", "quantization_param { weight { bits: 0 } }"),
       {conv_says + weight + "bits is 0; must be 1 to 16"}},
      {ip("", "quantization_param { weight { bits: 17 } }"),
       {ip_says + weight + "bits is 17; must be 1 to 16"}},
      {ip("", "quantization_param { weight { bits: -1 } }"),
       {ip_says + weight + "bits is -1; must be 1 to 16"}},
      {ip("", "quantization_param { weight { bits: 2 } bias { } }"),
       {ip_says + "quantization_param.bias.bits is missing",
        "bias { bits: N }"}},
      {ip("", "quantization_param { weight { bits: 2 } bias { bits: 32 } }"),
       {ip_says + "quantization_param.bias.bits is 32; must be 1 to 16"}},
      {ip("bias_term: false",
          "quantization_param { weight { bits: 2 } bias { bits: 8 } }"),
       {ip_says + "quantization_param.bias is set", "bias_term: false"}},
      {conv("bias_term: false",
            "quantization_param { weight { bits: 2 } bias { bits: 8 } }"),
       {conv_says + "quantization_param.bias is set", "bias_term: false"}},
      {conv("engine: CUDNN", "quantization_param { weight { bits: 2 } }"),
       {conv_says + "convolution_param.engine is CUDNN", "use CAFFE"}},
      {"name: 'c2' type: 'Convolution' convolution_param { num_output: 2 "
       "kernel_size: 3 } quantization_param { weight { bits: 2 } }",
       {"Layer 'c2'", "\"Convolution\" does not read quantization_param",
        "use type: \"QuantizedConvolution\""}},
      {"name: 'r1' type: 'ReLU' quantization_param { weight { bits: 2 } }",
       {"Layer 'r1'", "\"ReLU\" does not read quantization_param",
        "remove it"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    ExpectWords(MessageOf<CaffeError>([&] {
                  Rig<TypeParam>(FromText<LayerParameter>(c.text), {2, 2, 4, 4},
                                 1);
                }),
                c.words);
  }
}

// Nets and solvers.

template <typename Dtype>
Dtype ForwardLoss(Net<Dtype>* net) {
  Dtype loss = 0;
  net->Forward(&loss);
  return loss;
}

/// x -> a -> b, both 2 bits; `more` goes into both layers.
NetParameter TwoLayers(const std::string& more) {
  const std::string rest =
      " inner_product_param { num_output: 6 weight_filler { type: 'gaussian' "
      "std: 0.4 } bias_filler { type: 'uniform' min: -1 max: 1 } } "
      "quantization_param { weight { bits: 2 } } " +
      more + " } ";
  return FromText<NetParameter>(
      "layer { name: 'x' type: 'Input' top: 'x' top: 't' "
      "input_param { shape { dim: 4 dim: 6 } } } "
      "layer { name: 'a' type: 'QuantizedInnerProduct' bottom: 'x' top: 'a'" +
      rest +
      "layer { name: 'b' type: 'QuantizedInnerProduct' bottom: 'a' top: 'b'" +
      rest +
      "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'b' bottom: 't' "
      "top: 'loss' }");
}

TYPED_TEST(QuantizedLayerTest, SharesParametersByName) {
  const NetParameter param =
      TwoLayers("param { name: 'w' } param { name: 'b' }");
  Net<TypeParam> quantized(param), stock(FloatNet(param));
  SetInputs(&quantized);
  SetInputs(&stock);
  ASSERT_EQ(quantized.learnable_params().size(), 2u);
  for (int step = 0; step < 3; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    EXPECT_EQ(quantized.layers()[1]->blobs()[0]->cpu_data(),
              quantized.layers()[2]->blobs()[0]->cpu_data());
    QuantizeWeights(quantized, 2, &stock);
    quantized.ClearParamDiffs();
    stock.ClearParamDiffs();
    const TypeParam loss = ForwardLoss(&stock);
    EXPECT_NEAR(loss, ForwardLoss(&quantized), 1e-5 * loss);
    quantized.Backward();
    stock.Backward();
    for (const int i : {0, 1}) {
      Blob<TypeParam>& master = *quantized.learnable_params()[i];
      ExpectClose(Diff(*stock.learnable_params()[i]), Diff(master), "gradient");
      master.scale_diff(TypeParam(0.05));
    }
    quantized.Update();
  }
}

TYPED_TEST(QuantizedLayerTest, QuantisesInATestNetFromItsFirstPass) {
  const NetParameter param = TwoLayers("");
  NetParameter test_param = param;
  test_param.mutable_state()->set_phase(caffe::TEST);
  Net<TypeParam> train(param), test(test_param), stock(FloatNet(param));
  test.ShareTrainedLayersWith(&train);
  SetInputs(&train);
  SetInputs(&test);
  SetInputs(&stock);
  for (int step = 0; step < 2; ++step) {
    QuantizeWeights(train, 2, &stock);
    const TypeParam loss = ForwardLoss(&stock);
    EXPECT_NEAR(loss, ForwardLoss(&test), 1e-5 * loss) << "step " << step;
    train.ClearParamDiffs();
    train.ForwardBackward();
    train.Update();
  }
}

// w ← w - v, v ← momentum v + rate (g + decay w): w is the master, g the
// gradient with respect to the quantised weights.
TYPED_TEST(QuantizedLayerTest, TrainsItsMastersByTheStockSolver) {
  constexpr int kBatch = 5, kIn = 4, kOut = 3;
  constexpr double kRate = 0.0625, kMomentum = 0.875, kDecay = 0.125;
  caffe::SGDSolver<TypeParam> solver(FromText<caffe::SolverParameter>(
      "base_lr: 0.0625 lr_policy: 'fixed' momentum: 0.875 weight_decay: 0.125 "
      "net_param { "
      "layer { name: 'x' type: 'Input' top: 'x' "
      "input_param { shape { dim: 5 dim: 4 } } } "
      "layer { name: 't' type: 'Input' top: 't' "
      "input_param { shape { dim: 5 dim: 3 } } } "
      "layer { name: 'ip' type: 'QuantizedInnerProduct' bottom: 'x' top: 'y' "
      "param { } param { lr_mult: 2 decay_mult: 0 } "
      "inner_product_param { num_output: 3 } "
      "quantization_param { weight { bits: 2 } } } "
      "layer { name: 'loss' type: 'EuclideanLoss' bottom: 'y' bottom: 't' } "
      "}"));
  Net<TypeParam>& net = *solver.net();
  SetInputs(&net);
  const auto x = Data(*net.input_blobs()[0]);
  const auto t = Data(*net.input_blobs()[1]);
  Blob<TypeParam>& weight = *net.learnable_params()[0];
  Blob<TypeParam>& bias = *net.learnable_params()[1];
  FillNormal(50, &weight);
  FillNormal(51, &bias);
  auto w = Data(weight);
  auto b = Data(bias);
  std::vector<TypeParam> w_velocity(w.size()), b_velocity(b.size());
  for (int step = 0; step < 4; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    const auto w_q = PlainQuantize(w, 2, Fit::kExact);
    std::vector<TypeParam> w_gradient(w.size()), b_gradient(b.size());
    for (int n = 0; n < kBatch; ++n) {
      for (int o = 0; o < kOut; ++o) {
        TypeParam error = b[o] - t[n * kOut + o];
        for (int i = 0; i < kIn; ++i) {
          error += w_q[o * kIn + i] * x[n * kIn + i];
        }
        for (int i = 0; i < kIn; ++i) {
          w_gradient[o * kIn + i] += error * x[n * kIn + i] / kBatch;
        }
        b_gradient[o] += error / kBatch;
      }
    }
    for (std::size_t i = 0; i < w.size(); ++i) {
      w_velocity[i] =
          kMomentum * w_velocity[i] + kRate * (w_gradient[i] + kDecay * w[i]);
      w[i] -= w_velocity[i];
    }
    for (std::size_t o = 0; o < b.size(); ++o) {
      b_velocity[o] = kMomentum * b_velocity[o] + 2 * kRate * b_gradient[o];
      b[o] -= b_velocity[o];
    }
    solver.Step(1);
    ExpectClose(w, Data(weight), "weight");
    ExpectClose(b, Data(bias), "bias");
  }
}

// lr_mult: 0 in a prototxt: the layer is frozen, and what lies below learns.
TYPED_TEST(QuantizedLayerTest, StaysFrozenAtLearningRateZero) {
  NetParameter param = TwoLayers("");
  param.mutable_layer(2)->add_param()->set_lr_mult(0);
  param.mutable_layer(2)->add_param()->set_lr_mult(0);
  caffe::SolverParameter solver_param;
  solver_param.set_base_lr(0.01f);
  solver_param.set_lr_policy("fixed");
  *solver_param.mutable_net_param() = param;
  caffe::SGDSolver<TypeParam> solver(solver_param);
  SetInputs(solver.net().get());
  const auto& layers = solver.net()->layers();
  const auto below = Data(*layers[1]->blobs()[0]);
  const auto frozen = Data(*layers[2]->blobs()[0]);
  solver.Step(2);
  EXPECT_NE(below, Data(*layers[1]->blobs()[0]));
  EXPECT_EQ(frozen, Data(*layers[2]->blobs()[0]));
}

}  // namespace
}  // namespace ul2q

// Weights as codes: packed, loaded, written to, saved, and damaged.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "nets.hpp"
#include "support.hpp"
#include "ul2q/layers/packed_net.hpp"
#include "ul2q/layers/packed_values.hpp"
#include "ul2q/layers/quantized_blob.hpp"

namespace ul2q {
namespace {

using caffe::BlobProto;
using caffe::NetParameter;
using caffe::PackedValues;
using caffe::QuantizerParameter;
using FloatNet = caffe::Net<float>;

const char kImages[] =
    "layer { name: 'x' type: 'Input' top: 'x' input_param { shape {"
    " dim: 2 dim: 4 dim: 5 dim: 6 } } } ";
const char kRows[] =
    "layer { name: 'x' type: 'Input' top: 'x' input_param { shape {"
    " dim: 3 dim: 35 } } } ";
const char kSequences[] =
    "layer { name: 'x' type: 'Input' top: 'x' input_param { shape {"
    " dim: 5 dim: 2 dim: 4 } } } "
    "layer { name: 'm' type: 'Input' top: 'm' input_param { shape {"
    " dim: 5 dim: 2 } } } ";

struct NetCase {
  const char* name;
  std::string layers;  ///< QUANTIZER is replaced
};

const NetCase kNets[] = {
    {"convolution",
     std::string(kImages) +
         "layer { name: 'q' type: 'QuantizedConvolution' bottom: 'x' top: 'y' "
         "convolution_param { num_output: 6 kernel_size: 3 group: 2 "
         "weight_filler { type: 'gaussian' std: 1 } "
         "bias_filler { type: 'gaussian' std: 1 } } "
         "quantization_param { weight { QUANTIZER } bias { bits: 4 } } }"},
    {"convolution by BVLC",
     std::string(kImages) +
         "layer { name: 'q' type: 'QuantizedConvolution' bottom: 'x' top: 'y' "
         "convolution_param { num_output: 3 kernel_size: 3 engine: CAFFE "
         "weight_filler { type: 'gaussian' std: 1 } } "
         "quantization_param { weight { QUANTIZER } } }"},
    {"deconvolution",
     std::string(kImages) +
         "layer { name: 'q' type: 'QuantizedDeconvolution' bottom: 'x' "
         "top: 'y' convolution_param { num_output: 6 kernel_size: 2 group: 2 "
         "weight_filler { type: 'gaussian' std: 1 } } "
         "quantization_param { weight { QUANTIZER } } }"},
    {"inner product",
     std::string(kRows) +
         "layer { name: 'q' type: 'QuantizedInnerProduct' bottom: 'x' top: 'y' "
         "inner_product_param { num_output: 7 "
         "weight_filler { type: 'gaussian' std: 1 } } "
         "quantization_param { weight { QUANTIZER } } }"},
    {"transposed inner product",
     std::string(kRows) +
         "layer { name: 'q' type: 'QuantizedInnerProduct' bottom: 'x' top: 'y' "
         "inner_product_param { num_output: 7 transpose: true "
         "weight_filler { type: 'gaussian' std: 1 } } "
         "quantization_param { weight { QUANTIZER } } }"},
    {"embed",
     "layer { name: 'x' type: 'Input' top: 'x' input_param { shape {"
     " dim: 4 } } } "
     "layer { name: 'q' type: 'QuantizedEmbed' bottom: 'x' top: 'y' "
     "embed_param { num_output: 7 input_dim: 9 "
     "weight_filler { type: 'gaussian' std: 1 } } "
     "quantization_param { weight { QUANTIZER } } }"},
    {"lstm",
     std::string(kSequences) +
         "layer { name: 'q' type: 'QuantizedLSTM' bottom: 'x' bottom: 'm' "
         "top: 'y' recurrent_param { num_output: 3 "
         "weight_filler { type: 'gaussian' std: 1 } } "
         "quantization_param { weight { QUANTIZER } bias { bits: 5 } } }"},
    {"rnn",
     std::string(kSequences) +
         "layer { name: 'q' type: 'QuantizedRNN' bottom: 'x' bottom: 'm' "
         "top: 'y' recurrent_param { num_output: 3 "
         "weight_filler { type: 'gaussian' std: 1 } } "
         "quantization_param { weight { QUANTIZER } } }"},
    {"shared by name",
     std::string(kRows) +
         "layer { name: 'a' type: 'QuantizedInnerProduct' bottom: 'x' top: 'a' "
         "param { name: 'w' } inner_product_param { num_output: 35 "
         "bias_term: false weight_filler { type: 'gaussian' std: 1 } } "
         "quantization_param { weight { QUANTIZER } } } "
         "layer { name: 'b' type: 'QuantizedInnerProduct' bottom: 'a' top: 'y' "
         "param { name: 'w' } inner_product_param { num_output: 35 "
         "bias_term: false weight_filler { type: 'gaussian' std: 1 } } "
         "quantization_param { weight { QUANTIZER } } }"}};

const char* const kQuantizers[] = {"bits: 1",
                                   "bits: 2 shift: ZERO",
                                   "bits: 2 granularity: CHANNEL",
                                   "bits: 3 fit: EMPIRICAL",
                                   "bits: 5 shift: ZERO granularity: CHANNEL",
                                   "bits: 8",
                                   "bits: 11 granularity: CHANNEL",
                                   "method: BINARY granularity: CHANNEL",
                                   "method: TERNARY",
                                   "method: TERNARY_QUANTIZED bits: 6",
                                   "method: CLIP bits: 4",
                                   "method: FIXED_POINT bits: 7 "
                                   "granularity: CHANNEL"};

std::unique_ptr<FloatNet> NetOf(std::string text, const char* quantizer) {
  const std::string word = "QUANTIZER";
  for (std::size_t at = 0; (at = text.find(word)) != std::string::npos;) {
    text.replace(at, word.size(), quantizer);
  }
  auto param = FromText<NetParameter>(text);
  param.mutable_state()->set_phase(caffe::TEST);
  auto net = std::make_unique<FloatNet>(param);
  caffe::Blob<float>& x = *net->input_blobs()[0];
  FillNormal(1, &x);
  if (x.num_axes() == 1) {
    SetData<float>({0, 8, 3, 8}, &x);
  }
  if (net->num_inputs() > 1) {
    SetData<float>({0, 0, 1, 1, 1, 1, 0, 1, 1, 1}, net->input_blobs()[1]);
  }
  return net;
}

/// Of two passes, which differ in a layer that keeps codes of its weights.
std::vector<float> Outputs(FloatNet* net) {
  std::vector<float> outputs;
  for (int pass = 0; pass < 2; ++pass) {
    for (const auto* blob : net->Forward()) {
      const auto values = Data(*blob);
      outputs.insert(outputs.end(), values.begin(), values.end());
    }
  }
  return outputs;
}

std::vector<caffe::QuantizedBlob<float>> QuantizedBlobs(const FloatNet& net) {
  std::vector<caffe::QuantizedBlob<float>> blobs;
  for (const auto& layer : net.layers()) {
    if (const auto* quantized =
            dynamic_cast<const caffe::HasQuantizedBlobs<float>*>(layer.get())) {
      const auto own = quantized->quantized_blobs();
      blobs.insert(blobs.end(), own.begin(), own.end());
    }
  }
  return blobs;
}

bool IsPacked(const FloatNet& net) {
  for (const auto& blob : QuantizedBlobs(net)) {
    if (blob.packed == nullptr) {
      return false;
    }
  }
  return true;
}

/// The values that quantization.proto says that a packed blob has.
std::vector<float> ValuesByTheBook(const BlobProto& proto) {
  const caffe::PackedBlob& packed = proto.packed();
  const QuantizerParameter& quantizer = packed.quantizer();
  const auto method = quantizer.method();
  const bool is_ternary = method == QuantizerParameter::TERNARY ||
                          method == QuantizerParameter::TERNARY_QUANTIZED;
  const int bits = is_ternary ? 2 : quantizer.bits();
  const int half = 1 << (quantizer.bits() - 1);
  int lowest = -1;
  if (method == QuantizerParameter::UL2Q) {
    lowest = 1 - half;
  } else if (method == QuantizerParameter::CLIP ||
             method == QuantizerParameter::FIXED_POINT) {
    lowest = -half;
  }
  const int step = method == QuantizerParameter::BINARY ? 2 : 1;
  const float offset = method == QuantizerParameter::UL2Q ? 0.5f : 0.0f;
  std::int64_t count = 1;
  for (const std::int64_t extent : proto.shape().dim()) {
    count *= extent;
  }
  const std::int64_t channels = packed.layout_size() ? packed.layout(2) : 1;
  const std::int64_t inner = packed.layout_size() ? packed.layout(3) : count;
  const std::int64_t outer = packed.layout_size() ? packed.layout(1) : 1;
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) {
    int number = 0;
    for (int bit = 0; bit < bits; ++bit) {
      const std::int64_t at = i * bits + bit;
      const auto byte = static_cast<std::uint8_t>(packed.codes()[at / 8]);
      number |= (byte >> at % 8 & 1) << bit;
    }
    const std::int64_t group = i / (inner * channels * outer);
    const int channel =
        static_cast<int>(group * channels + i / inner % channels);
    const float shift = packed.shift_size() ? packed.shift(channel) : 0.0f;
    const auto code = static_cast<float>(lowest + step * number);
    values.push_back(packed.scale(channel) * (code - offset) + shift);
  }
  return values;
}

class PackedNetTest
    : public ::testing::TestWithParam<std::tuple<NetCase, const char*>> {
 protected:
  std::unique_ptr<FloatNet> Make() const {
    return NetOf(std::get<0>(GetParam()).layers, std::get<1>(GetParam()));
  }
};

TEST_P(PackedNetTest, ComputesWithTheCodes) {
  const auto net = Make();
  const auto want = Outputs(net.get());
  for (const bool compress : {false, true}) {
    const NetParameter packed = PackedNet(*net, compress);
    const auto other = Make();
    ASSERT_NE(want, Outputs(other.get())) << "it has the same weights";
    other->CopyTrainedLayersFrom(packed);
    EXPECT_TRUE(IsPacked(*other));
    EXPECT_EQ(want, Outputs(other.get()));
    // A look, as at a NumPy view, is no change.
    for (auto* parameter : other->learnable_params()) {
      parameter->mutable_cpu_data();
    }
    EXPECT_EQ(want, Outputs(other.get()));
    // Packed once more it is the same, and so is it when it is saved.
    EXPECT_EQ(packed.SerializeAsString(),
              PackedNet(*other, compress).SerializeAsString());
    NetParameter saved;
    other->ToProto(&saved);
    const auto third = Make();
    third->CopyTrainedLayersFrom(saved);
    EXPECT_EQ(want, Outputs(third.get()));
    for (const auto& layer : packed.layer()) {
      for (const BlobProto& blob : layer.blobs()) {
        EXPECT_NE(blob.has_packed(), blob.data_size() > 0);
      }
    }
  }
}

TEST_P(PackedNetTest, HasTheValuesOfTheFormat) {
  const auto net = Make();
  NetParameter packed = PackedNet(*net, false);
  NetParameter unpacked = packed;
  caffe::UnpackNet(&unpacked);
  const auto blobs = QuantizedBlobs(*net);
  std::size_t index = 0;
  for (int i = 0; i < packed.layer_size(); ++i) {
    for (int j = 0; j < packed.layer(i).blobs_size(); ++j) {
      const BlobProto& blob = packed.layer(i).blobs(j);
      if (!blob.has_packed()) {
        continue;
      }
      const auto want = ValuesByTheBook(blob);
      const auto& data = unpacked.layer(i).blobs(j).data();
      EXPECT_EQ(want, std::vector<float>(data.begin(), data.end()));
      // They are what the layer computes with.
      const auto& quantized = blobs[index++];
      std::vector<float> values(want.size());
      const auto master = Data(*quantized.master);
      QuantizeChannels(*quantized.quantizer, quantized.layout, master.data(),
                       {}, values.data());
      EXPECT_EQ(values, want);
    }
  }
  EXPECT_GT(index, 0u);
}

TEST_P(PackedNetTest, FitsAnewOnceAValueIsAnother) {
  const auto net = Make();
  const auto packed = Make();
  packed->CopyTrainedLayersFrom(PackedNet(*net, false));
  Outputs(packed.get());
  const auto want = Make();
  for (std::size_t i = 0; i < packed->learnable_params().size(); ++i) {
    caffe::Blob<float>* parameter = packed->learnable_params()[i];
    parameter->mutable_cpu_data()[0] += 0.25f;
    SetData(Data(*parameter), want->learnable_params()[i]);
  }
  EXPECT_EQ(Outputs(want.get()), Outputs(packed.get()));
  for (const auto& blob : QuantizedBlobs(*packed)) {
    EXPECT_EQ(nullptr, blob.packed);
  }
  NetParameter saved;
  packed->ToProto(&saved);
  for (const auto& layer : saved.layer()) {
    for (const BlobProto& blob : layer.blobs()) {
      EXPECT_FALSE(blob.has_packed());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Nets, PackedNetTest,
                         ::testing::Combine(::testing::ValuesIn(kNets),
                                            ::testing::ValuesIn(kQuantizers)));

const char kTwoBits[] = "bits: 2 granularity: CHANNEL";

TEST(PackedBlobsTest, AFitToTheValuesWouldBeAnother) {
  // Or the tests above could not fail.
  const auto net = NetOf(kNets[0].layers, kTwoBits);
  NetParameter values = PackedNet(*net, false);
  caffe::UnpackNet(&values);
  for (auto& layer : *values.mutable_layer()) {
    for (BlobProto& blob : *layer.mutable_blobs()) {
      blob.clear_packed();
    }
  }
  const auto other = NetOf(kNets[0].layers, kTwoBits);
  other->CopyTrainedLayersFrom(values);
  EXPECT_FALSE(IsPacked(*other));
  EXPECT_NE(Outputs(net.get()), Outputs(other.get()));
}

TEST(PackedBlobsTest, ALayerOfOtherBitsFitsAnew) {
  const auto net = NetOf(kNets[1].layers, "bits: 2");
  const NetParameter packed = PackedNet(*net, false);
  for (const char* quantizer :
       {"bits: 3", "bits: 2 shift: ZERO", "bits: 2 granularity: CHANNEL",
        "method: CLIP bits: 2"}) {
    const auto other = NetOf(kNets[1].layers, quantizer);
    other->CopyTrainedLayersFrom(packed);
    EXPECT_FALSE(IsPacked(*other));
    const auto want = NetOf(kNets[1].layers, quantizer);
    for (std::size_t i = 0; i < want->learnable_params().size(); ++i) {
      SetData(Data(*other->learnable_params()[i]), want->learnable_params()[i]);
    }
    EXPECT_EQ(Outputs(want.get()), Outputs(other.get()));
  }
  const auto same = NetOf(kNets[1].layers, "bits: 2 fit: PAPER shift: MEAN");
  same->CopyTrainedLayersFrom(packed);
  EXPECT_TRUE(IsPacked(*same));
}

TEST(PackedBlobsTest, DoublesAreTheFloatsWidened) {
  const auto net = NetOf(kNets[0].layers, kTwoBits);
  NetParameter param = PackedNet(*net, false);
  caffe::Net<double> wide(FromText<NetParameter>([] {
    std::string text = kNets[0].layers;
    text.replace(text.find("QUANTIZER"), 9, kTwoBits);
    return text;
  }()));
  wide.CopyTrainedLayersFrom(param);
  const auto* quantized = dynamic_cast<const caffe::HasQuantizedBlobs<double>*>(
      wide.layers()[1].get());
  EXPECT_NE(nullptr, quantized->quantized_blobs()[0].packed);
  const auto want = ValuesByTheBook(param.layer(1).blobs(0));
  const auto got = Data(*wide.layers()[1]->blobs()[0]);
  EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin(), want.end()));
}

TEST(PackedBlobsTest, WeightsThatOneLayerNeedsAsFloatsStayFloat) {
  const std::string text =
      std::string(kRows) +
      "layer { name: 'a' type: 'QuantizedInnerProduct' bottom: 'x' top: 'a' "
      "param { name: 'w' } inner_product_param { num_output: 35 "
      "weight_filler { type: 'gaussian' std: 1 } } "
      "quantization_param { weight { bits: 2 } bias { bits: 3 } } } "
      "layer { name: 'b' type: 'InnerProduct' bottom: 'a' top: 'y' "
      "param { name: 'w' } inner_product_param { num_output: 35 "
      "weight_filler { type: 'gaussian' std: 1 } } }";
  const auto net = NetOf(text, "");
  const NetParameter packed = PackedNet(*net, false);
  EXPECT_FALSE(packed.layer(1).blobs(0).has_packed());
  EXPECT_TRUE(packed.layer(1).blobs(1).has_packed());
  const auto other = NetOf(text, "");
  other->CopyTrainedLayersFrom(packed);
  EXPECT_EQ(Outputs(net.get()), Outputs(other.get()));
}

TEST(PackedBlobsTest, CompressesWhatIsWorthIt) {
  const auto net = NetOf(
      std::string(kRows) +
          "layer { name: 'q' type: 'QuantizedInnerProduct' bottom: 'x' top: "
          "'y' inner_product_param { num_output: 400 "
          "weight_filler { type: 'gaussian' std: 1 } } "
          "quantization_param { weight { QUANTIZER } } }",
      "bits: 5");
  const auto plain = PackedNet(*net, false).layer(1).blobs(0).packed();
  const auto small = PackedNet(*net, true).layer(1).blobs(0).packed();
  EXPECT_EQ(caffe::PackedBlob::PLAIN, plain.coding());
  EXPECT_NE(caffe::PackedBlob::PLAIN, small.coding());
  EXPECT_EQ(plain.crc32(), small.crc32());
  // The entropy of normally distributed codes at 5 bits is 4.5 bits.
  EXPECT_LT(small.codes().size(), 0.92 * plain.codes().size());
}

/// A packed blob of 6 × 2 × 3 × 3 in 6 channels, and of 2 bits.
BlobProto GoodBlob(const char* quantizer = kTwoBits, bool compress = false) {
  return PackedNet(*NetOf(kNets[0].layers, quantizer), compress)
      .layer(1)
      .blobs(0);
}

struct Damage {
  const char* words;  ///< in the message
  std::function<void(BlobProto*)> make;
};

void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.words; }

class DamagedBlobTest : public ::testing::TestWithParam<Damage> {};

TEST_P(DamagedBlobTest, IsRefused) {
  BlobProto proto = GoodBlob();
  GetParam().make(&proto);
  caffe::Blob<float> blob;
  try {
    blob.FromProto(proto);
    FAIL() << "it was taken";
  } catch (const CaffeError& error) {
    EXPECT_NE(std::string::npos, error.message().find(GetParam().words))
        << error.message();
  }
  // In a net, the message says where.
  NetParameter net = PackedNet(*NetOf(kNets[0].layers, kTwoBits), false);
  *net.mutable_layer(1)->mutable_blobs(0) = proto;
  const auto target = NetOf(kNets[0].layers, kTwoBits);
  try {
    target->CopyTrainedLayersFrom(net);
    FAIL() << "it was taken";
  } catch (const CaffeError& error) {
    EXPECT_NE(std::string::npos, error.message().find("'q'"))
        << error.message();
  }
}

caffe::PackedBlob* P(BlobProto* blob) { return blob->mutable_packed(); }

const Damage kDamages[] = {
    {"must have method, bits, granularity and shift",
     [](BlobProto* b) { P(b)->mutable_quantizer()->clear_bits(); }},
    {"must have method, bits, granularity and shift",
     [](BlobProto* b) { P(b)->clear_quantizer(); }},
    {"packed.quantizer.bits is 17; must be",
     [](BlobProto* b) { P(b)->mutable_quantizer()->set_bits(17); }},
    {"packed.quantizer.bits is 0; must be",
     [](BlobProto* b) { P(b)->mutable_quantizer()->set_bits(0); }},
    {"packed.quantizer.bits is -2147483648; must be",
     [](BlobProto* b) {
       P(b)->mutable_quantizer()->set_bits(std::numeric_limits<int>::min());
     }},
    {"packed.quantizer.signed is false",
     [](BlobProto* b) { P(b)->mutable_quantizer()->set_signed_(false); }},
    {"must have the bytes of 108 codes of 3 bits",
     [](BlobProto* b) { P(b)->mutable_quantizer()->set_bits(3); }},
    {"must have the bytes of 108 codes of 2 bits",
     [](BlobProto* b) { P(b)->mutable_codes()->push_back(0); }},
    {"must have the bytes of 108 codes of 2 bits",
     [](BlobProto* b) { P(b)->clear_codes(); }},
    {"packed.scale must have a number for each channel",
     [](BlobProto* b) { P(b)->mutable_scale()->RemoveLast(); }},
    {"packed.shift has 7 numbers; must have 6",
     [](BlobProto* b) { P(b)->add_shift(0); }},
    {"packed.scale of channel 2 is nan",
     [](BlobProto* b) { P(b)->set_scale(2, NAN); }},
    {"packed.scale of channel 5 is -1",
     [](BlobProto* b) { P(b)->set_scale(5, -1); }},
    {"packed.scale and packed.shift of channel 0 give values that are not",
     [](BlobProto* b) { P(b)->set_shift(0, INFINITY); }},
    {"packed.scale and packed.shift of channel 1 give values that are not",
     [](BlobProto* b) { P(b)->set_scale(1, 3e38f); }},
    {"packed.layout must be four numbers",
     [](BlobProto* b) { P(b)->mutable_layout()->RemoveLast(); }},
    {"packed.layout must be four numbers",
     [](BlobProto* b) { P(b)->set_layout(3, 19); }},
    {"packed.layout must be four numbers",
     [](BlobProto* b) {
       P(b)->set_layout(2, -1);
       P(b)->set_layout(1, -1);
     }},
    {"packed.layout must be four numbers",
     [](BlobProto* b) {
       for (int i = 0; i < 4; ++i) {
         P(b)->set_layout(i, std::int64_t(1) << 62);
       }
     }},
    {"packed.layout has 6 channels, with granularity TENSOR",
     [](BlobProto* b) {
       P(b)->mutable_quantizer()->set_granularity(QuantizerParameter::TENSOR);
     }},
    {"its checksum is another",
     [](BlobProto* b) { (*P(b)->mutable_codes())[3] ^= 4; }},
    {"its checksum is another",
     [](BlobProto* b) { P(b)->set_scale(0, P(b)->scale(0) * 1.5f); }},
    {"its checksum is another", [](BlobProto* b) { P(b)->clear_crc32(); }},
    {"its checksum is another",
     [](BlobProto* b) {
       P(b)->mutable_quantizer()->set_method(QuantizerParameter::CLIP);
       P(b)->mutable_quantizer()->set_shift(QuantizerParameter::ZERO);
     }},
    {"is no zlib stream of 27 bytes",
     [](BlobProto* b) { P(b)->set_coding(caffe::PackedBlob::ZLIB); }},
    {"is no zlib stream of 108 bytes",
     [](BlobProto* b) { P(b)->set_coding(caffe::PackedBlob::ZLIB_BYTES); }}};

INSTANTIATE_TEST_SUITE_P(Damages, DamagedBlobTest,
                         ::testing::ValuesIn(kDamages));

TEST(DamagedBlobTest, AShapeThatOverflowsTakesNoMemory) {
  BlobProto proto = GoodBlob();
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{
           {std::int64_t(1) << 32 | 6, 2, 3, 3},
           {2147483647},
           {46340, 46340},
           {std::int64_t(1) << 62, 4},
           {-6, 2, 3, -3},
           {0},
           {}}) {
    proto.mutable_shape()->clear_dim();
    for (const std::int64_t extent : shape) {
      proto.mutable_shape()->add_dim(extent);
    }
    P(&proto)->clear_layout();
    caffe::Blob<float> blob;
    EXPECT_THROW(blob.FromProto(proto), CaffeError);
  }
}

TEST(DamagedBlobTest, AStreamThatGrowsTooMuchIsNotInflated) {
  // 2 GB of zeros in 2 MB would be a legal stream; here its end is missing, so
  // that whoever inflates it says so.
  BlobProto proto = GoodBlob("bits: 8");
  proto.mutable_shape()->clear_dim();
  proto.mutable_shape()->add_dim(2147483647);
  P(&proto)->set_coding(caffe::PackedBlob::ZLIB);
  P(&proto)->set_codes(std::string(2000000, '\1'));
  caffe::Blob<float> blob;
  try {
    blob.FromProto(proto);
    FAIL() << "it was taken";
  } catch (const CaffeError& error) {
    EXPECT_NE(std::string::npos, error.message().find("zlib stream too short"));
  }
}

// What is taken in spite of a damage has the same values: the damage was to
// something that says nothing.
TEST(DamagedBlobTest, AnyDamageIsNoticed) {
  std::mt19937 random(7);
  int refused = 0, unparsable = 0;
  constexpr int kMutations = 3000;
  const char* const quantizers[] = {kTwoBits, "bits: 5", "method: TERNARY"};
  for (const char* quantizer : quantizers) {
    for (const bool compress : {false, true}) {
      const BlobProto good = GoodBlob(quantizer, compress);
      const std::string bytes = good.SerializeAsString();
      caffe::Blob<float> blob;
      blob.FromProto(good);
      const auto want = Data(blob);
      for (int i = 0; i < kMutations; ++i) {
        std::string damaged = bytes;
        const int changes = 1 + static_cast<int>(random() % 3);
        for (int change = 0; change < changes; ++change) {
          const std::size_t at = random() % damaged.size();
          switch (random() % 4) {
            case 0:
              damaged[at] ^= static_cast<char>(1 << random() % 8);
              break;
            case 1:
              damaged[at] = static_cast<char>(random());
              break;
            case 2:
              damaged.erase(at, 1 + random() % 4);
              break;
            default:
              damaged.insert(at, 1, static_cast<char>(random()));
          }
          if (damaged.empty()) {
            damaged = "\1";
          }
        }
        BlobProto proto;
        if (!proto.ParseFromString(damaged)) {
          ++unparsable;
          continue;
        }
        caffe::Blob<float> got;
        try {
          got.FromProto(proto);
        } catch (const CaffeError&) {
          ++refused;
          continue;
        }
        if (proto.has_packed()) {
          ASSERT_EQ(want, Data(got)) << proto.DebugString();
        }
      }
    }
  }
  EXPECT_GT(refused, kMutations);
  EXPECT_GT(unparsable, 0);
}

}  // namespace
}  // namespace ul2q

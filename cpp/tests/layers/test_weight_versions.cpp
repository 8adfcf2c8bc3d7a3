// What layers keep of their weights from pass to pass (quantised values, codes,
// oneDNN's format) is made anew when the weights may have been written to.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/syncedmem.hpp"
#include "support.hpp"

namespace ul2q {
namespace {

using caffe::Blob;
using caffe::LayerParameter;
using caffe::SyncedMemory;
using FloatBlob = Blob<float>;

TEST(MemoryVersionTest, IsAnotherAfterEachLeaveToWrite) {
  SyncedMemory memory(8), other(8);
  memory.mutable_cpu_data();
  other.mutable_cpu_data();
  const auto version = memory.version();
  EXPECT_NE(version, 0u);
  EXPECT_NE(version, other.version());
  memory.cpu_data();
  EXPECT_EQ(version, memory.version());
  memory.mutable_cpu_data();
  EXPECT_NE(version, memory.version());
}

TEST(MemoryVersionTest, IsUnknownWhileSomebodyMayWrite) {
  SyncedMemory memory(8);
  memory.mutable_cpu_data();
  const auto version = memory.version();
  memory.AddWriter();
  memory.AddWriter();
  memory.RemoveWriter();
  EXPECT_EQ(0u, memory.version());
  memory.RemoveWriter();
  EXPECT_NE(0u, memory.version());
  EXPECT_NE(version, memory.version());
  double owned_by_others = 0;
  memory.set_cpu_data(&owned_by_others);
  EXPECT_EQ(0u, memory.version());
}

/// A layer in the testing phase, its bottom and its top.
struct Tested {
  explicit Tested(const std::string& text, const std::vector<int>& shape) {
    bottom.Reshape(shape);
    FillNormal(1, &bottom);
    auto param = FromText<LayerParameter>(text);
    param.set_phase(caffe::TEST);
    layer = caffe::LayerRegistry<float>::CreateLayer(param);
    layer->SetUp({&bottom}, {&top});
  }
  std::vector<float> Forward() {
    layer->Forward({&bottom}, {&top});
    return Data(top);
  }
  FloatBlob& weights() { return *layer->blobs()[0]; }

  FloatBlob bottom, top;
  boost::shared_ptr<caffe::Layer<float>> layer;
};

struct LayerCase {
  const char* name;
  const char* text;
  std::vector<int> shape;
};

void PrintTo(const LayerCase& c, std::ostream* out) { *out << c.name; }

class WeightVersionsTest : public ::testing::TestWithParam<LayerCase> {
 protected:
  Tested Make() const { return Tested(GetParam().text, GetParam().shape); }

  /// What a layer that has never seen other weights makes of these.
  std::vector<float> Fresh(const Tested& tested) const {
    Tested fresh = Make();
    for (std::size_t i = 0; i < fresh.layer->blobs().size(); ++i) {
      SetData(Data(*tested.layer->blobs()[i]), fresh.layer->blobs()[i].get());
    }
    return fresh.Forward();
  }
};

TEST_P(WeightVersionsTest, EachWayToWriteIsSeen) {
  FloatBlob shared, set;
  const std::vector<std::function<void(Tested*)>> writes = {
      [](Tested* t) { FillNormal(2, &t->weights()); },
      [](Tested* t) { t->weights().scale_data(-0.5f); },
      [](Tested* t) {
        FillNormal(3, &t->weights());
        FloatBlob source;
        source.ReshapeLike(t->weights());
        FillNormal(4, &source);
        t->weights().CopyFrom(source);
      },
      [](Tested* t) {
        caffe::BlobProto proto;
        t->weights().ToProto(&proto);
        proto.set_data(0, 5);
        t->weights().FromProto(proto);
      },
      [](Tested* t) {
        FillNormal(5, &t->weights());
        SetDiff(Data(t->weights()), &t->weights());
        t->weights().mutable_cpu_diff()[0] = 3;
        t->weights().Update();
      },
      [&](Tested* t) {
        shared.ReshapeLike(t->weights());
        FillNormal(6, &shared);
        t->weights().ShareData(shared);
      },
      [&](Tested*) { FillNormal(7, &shared); },
      [&](Tested* t) {
        set.ReshapeLike(t->weights());
        FillNormal(8, &set);
        t->weights().set_cpu_data(set.mutable_cpu_data());
      },
      [&](Tested*) { FillNormal(9, &set); },
  };
  Tested tested = Make();
  for (std::size_t i = 0; i < writes.size(); ++i) {
    SCOPED_TRACE("write " + std::to_string(i));
    const auto before = Data(tested.weights());
    writes[i](&tested);
    ASSERT_NE(before, Data(tested.weights()));
    const auto expected = Fresh(tested);
    for (int pass = 0; pass < 3; ++pass) {
      ExpectClose(expected, tested.Forward(), "top");
    }
  }
}

// What a write behind Caffe's back would change is kept; it counts once there
// is leave to write.
TEST_P(WeightVersionsTest, NothingIsMadeAnewWithoutLeaveToWrite) {
  Tested tested = Make();
  for (int pass = 0; pass < 3; ++pass) {
    tested.Forward();
  }
  const auto before = tested.Forward();
  float* weights = const_cast<float*>(tested.weights().cpu_data());
  for (int i = 0; i < tested.weights().count(); ++i) {
    weights[i] = -3 * weights[i] + static_cast<float>(i % 3);
  }
  EXPECT_EQ(before, tested.Forward());
  tested.weights().mutable_cpu_data();
  ExpectClose(Fresh(tested), tested.Forward(), "top");
}

// As PyTorch and NumPy hold memory: it may be written to between two passes.
TEST_P(WeightVersionsTest, NothingIsKeptWhileSomebodyMayWrite) {
  Tested tested = Make();
  float* weights = tested.weights().mutable_cpu_data();
  tested.weights().data()->AddWriter();
  for (int pass = 0; pass < 4; ++pass) {
    weights[pass] = static_cast<float>(pass) - 2;
    ExpectClose(Fresh(tested), tested.Forward(), "top");
  }
  tested.weights().data()->RemoveWriter();
}

const char kQuantization[] =
    "quantization_param { weight { bits: 2 granularity: CHANNEL } "
    "bias { bits: 4 } }";
const std::string kConvolution =
    "convolution_param { num_output: 32 kernel_size: 3 weight_filler { type: "
    "'gaussian' std: 1 } bias_filler { type: 'uniform' } } ";
const std::string kInnerProduct =
    "inner_product_param { num_output: 9 weight_filler { type: 'gaussian' std: "
    "1 } bias_filler { type: 'uniform' } } ";

const std::string kTexts[] = {
    "name: 'l' type: 'Convolution' " + kConvolution,
    "name: 'l' type: 'QuantizedConvolution' " + kConvolution + kQuantization,
    "name: 'l' type: 'QuantizedInnerProduct' " + kInnerProduct + kQuantization,
};

// Of fewer channels no weights are kept in another format.
INSTANTIATE_TEST_SUITE_P(
    Layers, WeightVersionsTest,
    ::testing::Values(
        LayerCase{"convolution", kTexts[0].c_str(), {1, 48, 9, 9}},
        LayerCase{"quantised convolution", kTexts[1].c_str(), {1, 48, 9, 9}},
        LayerCase{"by codes", kTexts[2].c_str(), {1, 70}},
        LayerCase{"four images by codes", kTexts[2].c_str(), {4, 70}},
        LayerCase{"five images by values", kTexts[2].c_str(), {5, 70}}));

}  // namespace
}  // namespace ul2q

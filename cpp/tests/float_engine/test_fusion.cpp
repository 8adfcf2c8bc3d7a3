#include "ul2q/float_engine/fusion.hpp"

#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "caffe/layers/batch_norm_layer.hpp"
#include "caffe/layers/scale_layer.hpp"
#include "caffe/net.hpp"
#include "float_engine/parity.hpp"

namespace ul2q {
namespace {

using caffe::Blob;
using caffe::Net;
using caffe::NetParameter;

constexpr double kTolerance = 512;  // BVLC's sums in single precision

/// A net of input, front, norm, scale, relu (unless left out) and back.
struct Chain {
  std::vector<int> shape = {4, 3, 5, 5};
  bool norm_in_place = true, scale_in_place = true, relu_in_place = true;
  bool has_relu = true;
  std::string norm = "", scale = "bias_term: true", relu = "";  ///< options
  caffe::Phase phase = caffe::TRAIN;
  std::string options = "force_backward: true";  ///< the net's
};

enum class Engine { kFast, kBvlc };

/// The chain's prototxt. `engine` is read from relu_param in any layer.
std::string Text(const Chain& chain, Engine engine) {
  const std::string fast = engine == Engine::kBvlc ? "engine: CAFFE " : "";
  std::string text = chain.options + " layer { name: 'x' type: 'Input' top: " +
                     "'x' input_param { shape {";
  for (const int dim : chain.shape) {
    text += " dim: " + std::to_string(dim);
  }
  text += " } } }";
  std::string blob = "x";
  const auto add = [&](const std::string& name, const std::string& type,
                       bool in_place, const std::string& param) {
    const std::string top = in_place ? blob : name;
    text += " layer { name: '" + name + "' type: '" + type + "' bottom: '" +
            blob + "' top: '" + top + "' " + param + " }";
    blob = top;
  };
  const std::string by = "relu_param { " + fast + "} ";
  add("front", "Power", false, "power_param { scale: 2 shift: 0.5 }");
  add("norm", "BatchNorm", chain.norm_in_place,
      by + "batch_norm_param { " + chain.norm + " }");
  add("scale", "Scale", chain.scale_in_place,
      by + "scale_param { " + chain.scale + " }");
  if (chain.has_relu) {
    add("relu", "ReLU", chain.relu_in_place,
        "relu_param { " + fast + chain.relu + " }");
  }
  add("back", "Power", false, "power_param { scale: 3 }");
  return text;
}

std::string Describe(const Chain& chain) { return Text(chain, Engine::kFast); }

template <typename Dtype>
std::unique_ptr<Net<Dtype>> MakeNet(const std::string& text,
                                    caffe::Phase phase = caffe::TRAIN) {
  auto param = FromText<NetParameter>(text);
  param.mutable_state()->set_phase(phase);
  auto net = std::make_unique<Net<Dtype>>(param);
  unsigned seed = 1000;
  for (const auto& blob : net->params()) {
    auto values = Values<Dtype>(blob->count(), seed++);
    for (Dtype& value : values) {
      value = std::abs(value) + Dtype(0.5);
    }
    SetData(values, blob.get());
    SetDiff(Values<Dtype>(blob->count(), seed++), blob.get());
  }
  return net;
}

template <typename Dtype>
std::unique_ptr<Net<Dtype>> MakeNet(const Chain& chain, Engine engine) {
  return MakeNet<Dtype>(Text(chain, engine), chain.phase);
}

/// Ranges of layers, as Net's ForwardFromTo and BackwardFromTo take them.
using Ranges = std::vector<std::pair<int, int>>;

template <typename Dtype>
void Forward(unsigned seed, Net<Dtype>* net, const Ranges& ranges) {
  Blob<Dtype>* x = net->input_blobs()[0];
  SetData(Values<Dtype>(x->count(), seed), x);
  for (const auto& [start, end] : ranges) {
    net->ForwardFromTo(start, end);
  }
}

template <typename Dtype>
void Backward(unsigned seed, Net<Dtype>* net, const Ranges& ranges) {
  Blob<Dtype>* y = net->output_blobs()[0];
  SetDiff(Values<Dtype>(y->count(), 300 + seed), y);
  for (const auto& [start, end] : ranges) {
    net->BackwardFromTo(start, end);
  }
}

template <typename Dtype>
Ranges Upwards(const Net<Dtype>& net) {
  return {{0, static_cast<int>(net.layers().size()) - 1}};
}

template <typename Dtype>
Ranges Downwards(const Net<Dtype>& net) {
  return {{static_cast<int>(net.layers().size()) - 1, 0}};
}

/// The same data and diffs in blobs and parameters.
template <typename Dtype>
void ExpectSameNets(double tolerance, const Net<Dtype>& expected,
                    const Net<Dtype>& actual, const std::string& when) {
  for (std::size_t i = 0; i < expected.blobs().size(); ++i) {
    ASSERT_NO_FATAL_FAILURE(ExpectSameBlobs<Dtype>(
        tolerance, {expected.blobs()[i].get()}, {actual.blobs()[i].get()},
        when + ": " + expected.blob_names()[i]));
  }
  for (std::size_t i = 0; i < expected.params().size(); ++i) {
    ASSERT_NO_FATAL_FAILURE(ExpectSameBlobs<Dtype>(
        tolerance, {expected.params()[i].get()}, {actual.params()[i].get()},
        when + ": parameter " + expected.param_display_names()[i]));
  }
}

std::vector<Chain> InAndOutOfPlace(const Chain& chain) {
  std::vector<Chain> chains;
  for (int mask = 0; mask < 8; ++mask) {
    chains.push_back(chain);
    chains.back().norm_in_place = mask & 1;
    chains.back().scale_in_place = mask & 2;
    chains.back().relu_in_place = mask & 4;
  }
  return chains;
}

template <typename Dtype>
void ExpectParity(const Chain& chain) {
  SCOPED_TRACE(Describe(chain));
  const auto bvlc = MakeNet<Dtype>(chain, Engine::kBvlc);
  const auto fast = MakeNet<Dtype>(chain, Engine::kFast);
  ASSERT_EQ(FindLayerGroups(*bvlc).size(), 0u);
  ASSERT_EQ(FindLayerGroups(*fast).size(), 1u);
  // BVLC's overwrites the diff of Scale's parameter at batch 1.
  const unsigned passes = chain.shape[0] == 1 ? 1 : 2;
  for (unsigned pass = 1; pass <= passes; ++pass) {
    for (Net<Dtype>* net : {bvlc.get(), fast.get()}) {
      if (passes == 1) {
        net->ClearParamDiffs();
      }
      Forward(pass, net, Upwards(*net));
      Backward(pass, net, Downwards(*net));
    }
    ASSERT_NO_FATAL_FAILURE(ExpectSameNets(kTolerance, *bvlc, *fast,
                                           "pass " + std::to_string(pass)));
  }
}

template <typename Dtype>
class FusionTest : public ::testing::Test {};
TYPED_TEST_SUITE(FusionTest, Dtypes);

TYPED_TEST(FusionTest, IsBvlcsLayers) {
  std::vector<Chain> options(7);
  options[1].has_relu = false;
  options[2].relu = "negative_slope: 0.1";
  options[3].relu = "negative_slope: -0.5";
  options[4].scale = "";
  options[5].norm = "moving_average_fraction: 0.75 eps: 0.01";
  options[6].norm = "use_global_stats: true";
  for (const Chain& option : options) {
    for (const caffe::Phase phase : {caffe::TRAIN, caffe::TEST}) {
      for (Chain chain : InAndOutOfPlace(option)) {
        chain.phase = phase;
        ASSERT_NO_FATAL_FAILURE(ExpectParity<TypeParam>(chain));
      }
    }
  }
}

TYPED_TEST(FusionTest, TakesAllShapes) {
  for (const std::vector<int>& shape :
       std::vector<std::vector<int>>{{1, 4, 3, 3},
                                     {2, 1},
                                     {7, 20},
                                     {5, 3, 7},
                                     {4, 37, 1, 1},
                                     {3, 2, 17, 19},
                                     {2, 3, 2, 3, 4},
                                     {50, 33, 9, 9},
                                     {6, 1100}}) {
    for (Chain chain : InAndOutOfPlace({})) {
      chain.shape = shape;
      ASSERT_NO_FATAL_FAILURE(ExpectParity<TypeParam>(chain));
    }
  }
}

TYPED_TEST(FusionTest, RunsInParts) {
  // One by one or together, forward and backward, one after the other.
  const std::vector<Ranges> ups = {
      {{0, 5}}, {{0, 1}, {2, 4}, {5, 5}}, {{0, 2}, {3, 5}}, {{0, 3}, {4, 5}}};
  const std::vector<Ranges> downs = {{{5, 0}},
                                     {{5, 5}, {4, 2}, {1, 0}},
                                     {{5, 3}, {2, 0}},
                                     {{5, 4}, {3, 0}},
                                     {{5, 4}, {3, 3}, {2, 0}}};
  for (const caffe::Phase phase : {caffe::TRAIN, caffe::TEST}) {
    for (Chain chain : InAndOutOfPlace({})) {
      chain.phase = phase;
      SCOPED_TRACE(Describe(chain));
      const auto bvlc = MakeNet<TypeParam>(chain, Engine::kBvlc);
      const auto fast = MakeNet<TypeParam>(chain, Engine::kFast);
      unsigned pass = 0;
      for (const Ranges& up : ups) {
        for (const Ranges& down : downs) {
          ++pass;
          for (Net<TypeParam>* net : {bvlc.get(), fast.get()}) {
            const bool is_fast = net == fast.get();
            net->ClearParamDiffs();
            Forward(pass, net, is_fast ? up : Upwards(*net));
            Backward(pass, net, is_fast ? down : Downwards(*net));
          }
          ASSERT_NO_FATAL_FAILURE(ExpectSameNets(
              kTolerance, *bvlc, *fast, "pass " + std::to_string(pass)));
        }
      }
    }
  }
}

TYPED_TEST(FusionTest, GoesBackwardTwice) {
  for (const Chain& chain : InAndOutOfPlace({})) {
    SCOPED_TRACE(Describe(chain));
    const auto fast = MakeNet<TypeParam>(chain, Engine::kFast);
    fast->ClearParamDiffs();
    Forward(1, fast.get(), Upwards(*fast));
    Backward(1, fast.get(), Downwards(*fast));
    std::vector<std::vector<TypeParam>> once;
    for (const auto* blob : fast->learnable_params()) {
      once.push_back(Diff(*blob));
    }
    const std::vector<TypeParam> dx = Diff(*fast->input_blobs()[0]);
    Backward(1, fast.get(), {{5, 4}, {3, 0}});
    for (std::size_t i = 0; i < once.size(); ++i) {
      for (TypeParam& value : once[i]) {
        value *= 2;
      }
      ExpectWithin(kTolerance, once[i], Diff(*fast->learnable_params()[i]),
                   "parameter");
    }
    ExpectWithin(kTolerance, dx, Diff(*fast->input_blobs()[0]), "dx");
  }
}

TYPED_TEST(FusionTest, TakesAnotherBatchSize) {
  for (const Chain& chain : InAndOutOfPlace({})) {
    SCOPED_TRACE(Describe(chain));
    const auto bvlc = MakeNet<TypeParam>(chain, Engine::kBvlc);
    const auto fast = MakeNet<TypeParam>(chain, Engine::kFast);
    for (const int batch : {4, 2, 9}) {
      for (Net<TypeParam>* net : {bvlc.get(), fast.get()}) {
        std::vector<int> shape = chain.shape;
        shape[0] = batch;
        net->input_blobs()[0]->Reshape(shape);
        Forward(batch, net, Upwards(*net));
        Backward(batch, net, Downwards(*net));
      }
      ASSERT_NO_FATAL_FAILURE(ExpectSameNets(kTolerance, *bvlc, *fast,
                                             "batch " + std::to_string(batch)));
    }
  }
}

TYPED_TEST(FusionTest, GivesParametersTheGradientsTheyAreToldTo) {
  for (const bool scale : {false, true}) {
    for (const bool bias : {false, true}) {
      for (const Chain& chain : InAndOutOfPlace({})) {
        SCOPED_TRACE(Describe(chain));
        const auto bvlc = MakeNet<TypeParam>(chain, Engine::kBvlc);
        const auto fast = MakeNet<TypeParam>(chain, Engine::kFast);
        for (Net<TypeParam>* net : {bvlc.get(), fast.get()}) {
          const auto layer = net->layer_by_name("scale");
          layer->set_param_propagate_down(0, scale);
          layer->set_param_propagate_down(1, bias);
          Forward(1, net, Upwards(*net));
          Backward(1, net, Downwards(*net));
        }
        ASSERT_NO_FATAL_FAILURE(
            ExpectSameNets(kTolerance, *bvlc, *fast, "diffs"));
      }
    }
  }
}

TYPED_TEST(FusionTest, EndsWhereNoGradientIsWanted) {
  // No blob before Scale needs a diff.
  for (Chain chain : InAndOutOfPlace({})) {
    chain.options = "";
    const auto with_loss = [&](Engine engine) {
      std::string text = Text(chain, engine);
      return MakeNet<TypeParam>(
          text + " layer { name: 't' type: 'DummyData' top: 't' dummy_data_" +
          "param { shape { dim: 4 dim: 3 dim: 5 dim: 5 } } } layer { name: " +
          "'loss' type: 'EuclideanLoss' bottom: 'back' bottom: 't' top: 'l' }");
    };
    SCOPED_TRACE(Describe(chain));
    const auto bvlc = with_loss(Engine::kBvlc);
    const auto fast = with_loss(Engine::kFast);
    ASSERT_EQ(FindLayerGroups(*fast).size(), 1u);
    for (unsigned pass = 1; pass <= 2; ++pass) {
      for (Net<TypeParam>* net : {bvlc.get(), fast.get()}) {
        Blob<TypeParam>* x = net->input_blobs()[0];
        SetData(Values<TypeParam>(x->count(), pass), x);
        net->ForwardBackward();
      }
      for (std::size_t i = 0; i < fast->learnable_params().size(); ++i) {
        ASSERT_NO_FATAL_FAILURE(ExpectSameBlobs<TypeParam>(
            kTolerance, {bvlc->learnable_params()[i]},
            {fast->learnable_params()[i]}, "parameter " + std::to_string(i)));
      }
    }
  }
}

TYPED_TEST(FusionTest, IsTheSameOnTwoThreads) {
  Chain chain;
  chain.shape = {50, 64, 16, 16};  // worth threads
  const int threads = omp_get_max_threads();
  const auto one = MakeNet<TypeParam>(chain, Engine::kFast);
  const auto two = MakeNet<TypeParam>(chain, Engine::kFast);
  for (Net<TypeParam>* net : {one.get(), two.get()}) {
    omp_set_num_threads(net == one.get() ? 1 : 2);
    Forward(1, net, Upwards(*net));
    Backward(1, net, Downwards(*net));
  }
  omp_set_num_threads(threads);
  ExpectSameNets(0, *one, *two, "two threads");
}

/// Protected blobs of BVLC's layers.
template <typename Dtype>
struct KeptByNorm : caffe::BatchNormLayer<Dtype> {
  static bool HasCopy(caffe::Layer<Dtype>* layer) {
    auto& norm = dynamic_cast<caffe::BatchNormLayer<Dtype>&>(*layer);
    return (norm.*(&KeptByNorm::x_norm_)).data()->head() !=
           caffe::SyncedMemory::UNINITIALIZED;
  }
};
template <typename Dtype>
struct KeptByScale : caffe::ScaleLayer<Dtype> {
  static bool HasCopy(caffe::Layer<Dtype>* layer) {
    auto& scale = dynamic_cast<caffe::ScaleLayer<Dtype>&>(*layer);
    return (scale.*(&KeptByScale::temp_)).data()->head() !=
           caffe::SyncedMemory::UNINITIALIZED;
  }
};

TYPED_TEST(FusionTest, KeepsOneCopyAtMost) {
  for (const bool goes_backward : {false, true}) {
    Chain chain;
    chain.options = goes_backward ? "force_backward: true" : "";
    const auto net = MakeNet<TypeParam>(chain, Engine::kFast);
    Forward(1, net.get(), Upwards(*net));
    Backward(1, net.get(), Downwards(*net));
    EXPECT_EQ(KeptByNorm<TypeParam>::HasCopy(net->layers()[2].get()),
              goes_backward);
    EXPECT_FALSE(KeptByScale<TypeParam>::HasCopy(net->layers()[3].get()));
  }
}

TYPED_TEST(FusionTest, NamesTheLayerThatFails) {
  const auto net = MakeNet<TypeParam>(Chain(), Engine::kFast);
  net->input_blobs()[0]->Reshape({4, 2, 5, 5});
  ExpectWords(MessageOf<CaffeError>([&] { net->Forward(); }),
              {"Layer 'norm' (BatchNorm)"});
}

/// Where groups are found in a net of these layers.
template <typename Dtype>
Ranges GroupsOf(const std::string& text) {
  const auto net = MakeNet<Dtype>(text);
  Ranges ranges;
  for (const auto& group : FindLayerGroups(*net)) {
    ranges.emplace_back(group->first(), group->last());
  }
  return ranges;
}

TYPED_TEST(FusionTest, FindsNeighbours) {
  const std::string input =
      "layer { name: 'x' type: 'Input' top: 'x' input_param { "
      "shape { dim: 2 dim: 3 dim: 4 dim: 4 } } }";
  const auto layer = [](const std::string& type, const std::string& bottom,
                        const std::string& top, const std::string& more = "") {
    static int number = 0;
    return " layer { name: '" + std::to_string(number++) + "' type: '" + type +
           "' bottom: '" + bottom + "' top: '" + top + "' " + more + " }";
  };
  const std::string norm = layer("BatchNorm", "x", "x");
  const std::string scale = layer("Scale", "x", "x");
  const std::string relu = layer("ReLU", "x", "x");
  struct Case {
    std::string layers;
    Ranges groups;
  };
  const std::vector<Case> cases = {
      {norm + scale + relu, {{1, 3}}},
      {norm + scale, {{1, 2}}},
      {norm + scale + layer("TanH", "x", "x"), {{1, 2}}},
      {norm + scale + relu + layer("BatchNorm", "x", "y") +
           layer("Scale", "y", "y") + layer("ReLU", "y", "z"),
       {{1, 3}, {4, 6}}},
      {norm, {}},
      {norm + relu, {}},
      {scale + relu, {}},
      // Layers of BVLC's, and of other shapes
      {layer("BatchNorm", "x", "x", "relu_param { engine: CAFFE }") + scale,
       {}},
      {norm + layer("Scale", "x", "x", "relu_param { engine: CAFFE }"), {}},
      {norm + scale + layer("ReLU", "x", "x", "relu_param { engine: CAFFE }"),
       {{1, 2}}},
      {norm + layer("Scale", "x", "x", "scale_param { axis: 2 }"), {}},
      {norm + layer("Scale", "x", "x", "scale_param { num_axes: 2 }"), {}},
      {norm + layer("Scale", "x", "x", "scale_param { num_axes: 0 }"), {}},
      {layer("BatchNorm", "x", "y") + layer("Scale", "y", "z", "bottom: 'y2'"),
       {}},
      // Somebody else's input, too, or not the one before it
      {layer("BatchNorm", "x", "y") + layer("Scale", "y", "z") +
           layer("Power", "y", "w"),
       {}},
      {norm + layer("Scale", "x", "y") + layer("ReLU", "y", "z") +
           layer("Power", "y", "w"),
       {{1, 2}}},
      {layer("BatchNorm", "x", "y") + layer("Scale", "x", "z"), {}},
      // A loss; one that others read, too, is that of a Split behind it
      {norm + layer("Scale", "x", "y", "loss_weight: 1"), {}},
      {norm + scale + layer("ReLU", "x", "y", "loss_weight: 1"), {{1, 2}}},
      {norm + layer("Scale", "x", "y", "loss_weight: 1") +
           layer("ReLU", "y", "z"),
       {{1, 2}}}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.layers);
    const std::string second =
        c.layers.find("y2") == std::string::npos
            ? ""
            : " layer { name: 'y2' type: 'Input' top: 'y2' input_param { "
              "shape { dim: 3 } } }";
    EXPECT_EQ(GroupsOf<TypeParam>(input + second + c.layers), c.groups);
  }
}

/// What groups were asked to do: "+2" for a group from layer 2 on forward, "-2"
/// for the same backward.
std::vector<std::string> asked;
bool runs = true;

template <typename Dtype>
class Recorder : public LayerGroup<Dtype> {
 public:
  using LayerGroup<Dtype>::LayerGroup;

  bool Forward() override { return Note("+"); }
  bool Backward() override { return Note("-"); }

 private:
  bool Note(const std::string& what) const {
    asked.push_back(what + std::to_string(this->first()));
    return runs;
  }
};

template <typename Dtype>
typename LayerGroups<Dtype>::Groups FindRecorder(const Net<Dtype>&) {
  return {std::make_shared<Recorder<Dtype>>(2, 4)};
}

template <typename Dtype>
class FusionsOfNetTest : public ::testing::Test {
 protected:
  FusionsOfNetTest()
      : former_(LayerGroups<Dtype>::SetFinder(&FindRecorder<Dtype>)) {
    Chain chain;
    chain.norm_in_place = chain.scale_in_place = chain.relu_in_place = false;
    net = MakeNet<Dtype>(chain, Engine::kFast);
    Blob<Dtype>* x = net->input_blobs()[0];
    SetData(Values<Dtype>(x->count(), 1), x);
    asked.clear();
    runs = true;
  }
  ~FusionsOfNetTest() override { LayerGroups<Dtype>::SetFinder(former_); }

  bool HasRun() const {
    const Dtype* y = net->blob_by_name("relu")->cpu_data();
    return std::any_of(y, y + 300, [](Dtype value) { return value != 0; });
  }

  std::unique_ptr<Net<Dtype>> net;

 private:
  typename LayerGroups<Dtype>::Finder former_;
};
TYPED_TEST_SUITE(FusionsOfNetTest, Dtypes);

using Asked = std::vector<std::string>;

TYPED_TEST(FusionsOfNetTest, RunInThePlaceOfTheirLayers) {
  this->net->Forward();
  EXPECT_EQ(asked, Asked({"+2"}));
  EXPECT_FALSE(this->HasRun());
  this->net->Backward();
  EXPECT_EQ(asked, Asked({"+2", "-2"}));
}

TYPED_TEST(FusionsOfNetTest, LetTheirLayersRun) {
  runs = false;
  this->net->Forward();
  EXPECT_EQ(asked, Asked({"+2"}));
  EXPECT_TRUE(this->HasRun());
}

TYPED_TEST(FusionsOfNetTest, RunWhole) {
  this->net->ForwardFromTo(0, 3);
  this->net->ForwardFromTo(3, 5);
  this->net->BackwardFromTo(5, 3);
  this->net->BackwardFromTo(3, 0);
  EXPECT_EQ(asked, Asked());
  this->net->ForwardFromTo(2, 4);
  this->net->BackwardFromTo(4, 2);
  EXPECT_EQ(asked, Asked({"+2", "-2"}));
}

template <typename Dtype>
class Count : public Net<Dtype>::Callback {
 public:
  int calls = 0;

 protected:
  void run(int) override { ++calls; }
};

TYPED_TEST(FusionsOfNetTest, StayApartForCallbacks) {
  for (const bool before : {false, true}) {
    Count<TypeParam> forward, backward;
    auto net = MakeNet<TypeParam>(Chain(), Engine::kFast);
    if (before) {
      net->add_before_forward(&forward);
    } else {
      net->add_after_forward(&forward);
    }
    net->Forward();
    EXPECT_EQ(asked, Asked());
    EXPECT_EQ(forward.calls, 6);
    net->Backward();
    EXPECT_EQ(asked, Asked({"-2"}));
    asked.clear();
    if (before) {
      net->add_before_backward(&backward);
    } else {
      net->add_after_backward(&backward);
    }
    net->Backward();
    EXPECT_EQ(asked, Asked());
    EXPECT_EQ(backward.calls, 6);
  }
}

TYPED_TEST(FusionsOfNetTest, StayApartForDebugInfo) {
  this->net->set_debug_info(true);
  this->net->Forward();
  this->net->Backward();
  EXPECT_EQ(asked, Asked());
}

}  // namespace
}  // namespace ul2q

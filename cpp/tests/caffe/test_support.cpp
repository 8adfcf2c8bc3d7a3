#include <glog/logging.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/db.hpp"
#include "caffe/util/io.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "nets.hpp"
#include "support.hpp"
#include "support/caffe_error.hpp"
#include "support/files.hpp"
#include "support/index_check.hpp"
#include "support/layer_scope.hpp"
#include "support/near_names.hpp"
#include "support/prototxt.hpp"
#include "support/run_or_exit.hpp"

namespace ul2q {
namespace {

using caffe::Net;
using caffe::NetParameter;

// Failed checks throw.

TEST(CheckTest, ThrowsItsMessageAndPlace) {
  const int one = 1;
  const int datum_height = 8, crop_size = 30;  // as BVLC calls them
  const int* const null = nullptr;
  const std::string word = "word";
  const struct {
    std::function<void()> action;
    std::string message;
  } cases[] = {
      {[&] { CHECK(one == 2) << "is " << one; }, "is 1"},
      {[&] { CHECK_EQ(one, 2) << "words"; }, "words"},
      {[&] { CHECK(one == 2); }, "Check failed: one == 2"},
      {[&] { CHECK_GE(one, 2); }, "Check failed: one >= 2 (1 vs. 2)"},
      {[&] { CHECK_GE(datum_height, crop_size); },
       "transform_param.crop_size is larger than the image's height"},
      {[&] { CHECK_STREQ(word.c_str(), "other") << "words"; },
       "CHECK_STREQ failed: word.c_str() == \"other\" (word vs. other)words"},
      {[&] { CHECK_NOTNULL(null); }, "'null' must be non NULL"},
      {[&] { LOG(FATAL) << "words"; }, "words"},
      {[&] { LOG_IF(FATAL, one == 1) << "words"; }, "words"},
  };
  for (const auto& c : cases) {
    try {
      c.action();
      ADD_FAILURE() << "nothing was thrown: " << c.message;
    } catch (const CaffeError& error) {
      EXPECT_EQ(error.message(), c.message);
      ExpectWords(error.what(), {c.message + " [test_support.cpp:"});
    }
  }
}

TEST(CheckDeathTest, EndsAProcessWhoseThreadsWaitForTheFailedOne) {
  RunOrExit([] {});
  EXPECT_EXIT(RunOrExit([] {
                std::thread([] { pause(); }).detach();
                CHECK(false) << "a word";
              }),
              testing::ExitedWithCode(EXIT_FAILURE), "caffe: .*a word");
}

TEST(CheckTest, NamesItsLine) {
  const int line = __LINE__ + 1;
  const auto check = [] { CHECK(false); };
  ExpectWords(MessageOf<CaffeError>(check), {":" + std::to_string(line) + "]"});
}

TEST(CheckTest, PutsTheComparisonBehindTheWords) {
  const int one = 1;
  const int line = __LINE__ + 1;
  const auto check = [&] { CHECK_EQ(one, 2) << "words"; };
  EXPECT_EQ(MessageOf<CaffeError>(check),
            "words [test_support.cpp:" + std::to_string(line) +
                ": one == 2 (1 vs. 2)]");
}

TEST(CheckTest, PassesWhatHolds) {
  int value = 1;
  int calls = 0;
  const auto count = [&] { return ++calls; };
  CHECK(value == 1) << count();
  CHECK_EQ(value, 1) << count();
  LOG_IF(FATAL, value == 2) << count();
  EXPECT_EQ(calls, 0) << "a message was composed for nothing";
  EXPECT_EQ(CHECK_NOTNULL(&value), &value);
  const auto owner = std::make_unique<int>(3);
  EXPECT_EQ(*CHECK_NOTNULL(owner), 3);
}

struct Unprintable {};
std::ostream& operator<<(std::ostream&, const Unprintable&) {
  throw std::logic_error("unprintable");
}

int Throw() { throw std::logic_error("operand"); }

TEST(CheckTest, LetsWhatItsOperandsThrowPass) {
  const auto unprintable = [] { CHECK(false) << Unprintable(); };
  const auto operand = [] { CHECK_EQ(Throw(), 1) << "words"; };
  const auto message = [] { LOG(FATAL) << "words" << Throw(); };
  EXPECT_EQ(MessageOf<std::logic_error>(unprintable), "unprintable");
  EXPECT_EQ(MessageOf<std::logic_error>(operand), "operand");
  EXPECT_EQ(MessageOf<std::logic_error>(message), "operand");
}

struct ChecksWhenItGoes {
  ~ChecksWhenItGoes() { CHECK(false) << "while unwinding"; }
};

TEST(CheckTest, DoesNotThrowWhileAnotherExceptionIsOnItsWay) {
  testing::internal::CaptureStderr();
  const std::string message = MessageOf<std::runtime_error>([] {
    const ChecksWhenItGoes goes;
    throw std::runtime_error("the first");
  });
  ExpectWords(testing::internal::GetCapturedStderr(), {"while unwinding"});
  EXPECT_EQ(message, "the first");
}

TEST(CheckTest, ThrowsInsideAHandler) {
  try {
    throw std::runtime_error("the first");
  } catch (const std::runtime_error&) {
    const auto check = [] { CHECK(false); };
    EXPECT_THROW(check(), CaffeError);
  }
}

// An error says where it comes from.

caffe::LayerParameter Layer(const std::string& name, const std::string& type) {
  caffe::LayerParameter layer;
  layer.set_name(name);
  layer.set_type(type);
  return layer;
}

TEST(LayerScopeTest, NamesTheLayersThatRun) {
  const auto message = [](const char* text) {
    return MessageOf<CaffeError>([=] { LOG(FATAL) << text; });
  };
  const caffe::LayerParameter lstm = Layer("a", "LSTM");
  const caffe::LayerParameter inner = Layer("b", "ReLU");
  const caffe::LayerParameter same = Layer("b", "Softmax");
  EXPECT_EQ(message("words").substr(0, 7), "words [");
  {
    const LayerScope scope(lstm);
    ExpectWords(message("words"), {"Layer 'a' (LSTM): words ["});
    EXPECT_EQ(message("Layer 'a' (LSTM): words").find("Layer", 1),
              std::string::npos);
    {
      const LayerScope nested(inner);
      const LayerScope namesake(same);
      ExpectWords(message("words"),
                  {"Layer 'a' (LSTM): Layer 'b' (ReLU): words ["});
    }
    std::string elsewhere;
    std::thread([&] { elsewhere = message("words"); }).join();
    EXPECT_EQ(elsewhere.substr(0, 7), "words [");
    ExpectWords(message("words"), {"Layer 'a' (LSTM): words ["});
  }
  EXPECT_EQ(message("words").substr(0, 7), "words [");
}

TEST(FilesTest, TellWhatIsNotThere) {
  const TemporaryFolder folder;
  const std::string path = folder / "none";
  try {
    CheckReadable(path);
    ADD_FAILURE() << "nothing was thrown";
  } catch (const FileNotFound& error) {
    EXPECT_EQ(error.path(), path);
    ExpectWords(error.what(), {"No such file", path, "[test_support.cpp:"});
  }
  EXPECT_THROW(CheckReadable(path + "/below"), FileNotFound);
  std::ofstream(path) << "text";
  CheckReadable(path);
  EXPECT_THROW(CheckReadable(path + "/below"), FileNotFound);
}

TEST(IndexCheckTest, HoldsTheRange) {
  for (const int good : {0, 1, 2}) {
    CheckIndex(good, 3, "label");
  }
  for (const int bad : {-1, 3, std::numeric_limits<int>::min()}) {
    ExpectWords(MessageOf<CaffeError>([=] { CheckIndex(bad, 3, "label"); }),
                {"label " + std::to_string(bad) + " is out", "0..2"});
  }
}

TEST(NearNamesTest, FindsWhatWasMeant) {
  const std::vector<std::string> known = {
      "Concat", "Convolution", "Deconvolution", "ReLU", "PReLU", "Pooling"};
  const struct {
    std::string name;
    std::vector<std::string> near;
  } cases[] = {
      {"Convoluton", {"Convolution", "Deconvolution"}},
      {"Covnolution", {"Convolution", "Deconvolution"}},
      {"convolution", {"Convolution", "Deconvolution"}},
      {"relu", {"ReLU", "PReLU"}},
      {"Pool", {}},
      {"Poling", {"Pooling"}},
      {"xyz", {}},
      {"", {}},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(NearNames(c.name, known), c.near) << c.name;
  }
  EXPECT_EQ(DidYouMean("Poling", known), " Did you mean \"Pooling\"?");
  EXPECT_EQ(DidYouMean("relu", known), " Did you mean \"ReLU\" or \"PReLU\"?");
  EXPECT_EQ(DidYouMean("xyz", known), "");
  EXPECT_EQ(DidYouMean("a", {"ab", "ac", "ad", "abc"}), "");
}

// A prototxt that does not parse is answered with what would be right.

template <typename Message>
std::string ErrorIn(const std::string& text) {
  google::protobuf::io::ArrayInputStream stream(text.data(), text.size());
  Message message;
  return ParsePrototxt(&stream, &message);
}

TEST(ParsePrototxtTest, SaysNothingAboutWhatParses) {
  EXPECT_EQ(ErrorIn<NetParameter>(""), "");
  EXPECT_EQ(ErrorIn<NetParameter>("layer { name: 'a#{' type: \"}\" } # {"), "");
  EXPECT_EQ(ErrorIn<NetParameter>(
                "layer { quantization_param { weight { method: UL2Q bits: 2 "
                "fit: PAPER } bias { bits: 8 } } }"),
            "");
}

TEST(ParsePrototxtTest, SaysWhereAndWhatWouldBeRight) {
  const struct {
    std::string text;
    std::string place;
    std::vector<std::string> words;
    std::string layer;  // "": outside all layers
  } cases[] = {
      // Unknown names.
      {"layer {\n  name: \"a\"\n  typo: 1\n}",
       "3:3: ",
       {"no field named \"typo\"", "Known: name type bottom top", "include"},
       "a"},
      {"layer { name: 'a'\n pooling_param { pool: MAXX\n stride: 2 } }",
       "2:24: ",
       {"\"MAXX\" for field \"pool\"", "Known: MAX AVE STOCHASTIC."},
       "a"},
      {"layer { name: 'a' quantization_param { weight { method: ULQ } } }",
       "1:57: ",
       {"\"ULQ\" for field \"method\"", "Known: UL2Q BINARY "},
       "a"},
      {"layer { name: 'a' quantization_param { weight { bit: 2 } } }",
       "1:49: ",
       {"no field named \"bit\"", "Known: method bits fit "},
       "a"},
      {"layr { name: 'a' }", "1:1: ", {"\"layr\"", "Known: name", "layer"}, ""},
      // Other errors.
      {"layer { name: 'a' convolution_param { num_output: 'many' } }",
       "1:51: ",
       {"integer"},
       "a"},
      {"layer { name: 'a' }\n}", "2:1: ", {"}"}, ""},
      {"layer { name: 'a'\n type: 'X'\n",
       "3:1: ",
       {"a } is missing: the { of layer 'a' in line 1 is not closed"},
       "a"},
      {"layer { name: 'a'\nlayer { name: 'b' }",
       "2:1: ",
       {"a } is missing before 'layer': the { of layer 'a' in line 1"},
       "a"},
      {"layer { name: 'a' type: 'Clip' clip_param { min: 0 } }",
       "1:1: ",
       {"required", "clip_param.max"},
       ""},
      // Which layer.
      {"layer { typo: 1 name: 'late' }", "1:9: ", {"typo"}, "late"},
      {"layer { typo: 1 }", "1:9: ", {"typo"}, ""},
      {"layer { param { name: 'w' } typo: 1 name: 'a' }",
       "1:29: ",
       {"typo"},
       "a"},
      {"layer { name: 'a' layer_like { name: 'b' } }",
       "1:19: ",
       {"layer_like"},
       "a"},
      {"layer { name: 'a' param { name: 'w' typo: 1 } }",
       "1:37: ",
       {"typo"},
       "a"},
      {"layer { name: 'a' }\ntypo: 1\nlayer { name: 'b' }",
       "2:1: ",
       {"typo"},
       ""},
      {"layer { name: 'a' } layer { name: 'b' typo: 1 }",
       "1:39: ",
       {"typo"},
       "b"},
      {"layer\n{\n name: 'a'\n typo: 1\n}", "4:2: ", {"typo"}, "a"},
      {"layer < name: 'a'\n typo: 1 >", "2:2: ", {"typo"}, "a"},
      {"layers { name: 'a'\n typo: 1 }", "2:2: ", {"typo"}, "a"},
      // Braces, '#' and quotes that are none.
      {"layer { name: 'a' # }\n }\nlayer { name: 'b'\n typo: 1 }",
       "4:2: ",
       {"typo"},
       "b"},
      {"layer { name: 'a' type: \"}}{\"\n typo: 1 }", "2:2: ", {"typo"}, "a"},
      {"layer { name: 'a#1' type: '#' typo: 1 }", "1:31: ", {"typo"}, "a#1"},
      {"# don't {\nlayer { name: 'a'\n typo: 1 }", "3:2: ", {"typo"}, "a"},
      {"layer { name: 'it\\'s {' typo: 1 }", "1:25: ", {"typo"}, "it's {"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text);
    const std::string error = ErrorIn<NetParameter>(c.text);
    EXPECT_EQ(error.substr(0, c.place.size()), c.place) << error;
    ExpectWords(error, c.words);
    if (c.layer.empty()) {
      EXPECT_EQ(error.find("(in layer"), std::string::npos) << error;
    } else {
      ExpectWords(error, {" (in layer '" + c.layer + "')"});
    }
  }
}

TEST(ParsePrototxtTest, FindsTheLayerInASolversNet) {
  const std::string error = ErrorIn<caffe::SolverParameter>(
      "net_param { name: 'n' layer { name: 'a'\n typo: 1 } }");
  ExpectWords(error, {"2:2: ", "\"typo\"", "(in layer 'a')"});
}

TEST(ParsePrototxtTest, SurvivesAStringWithoutEnd) {
  ExpectWords(ErrorIn<NetParameter>("layer { name: 'a' type: 'X }"),
              {"string", "(in layer 'a')"});
}

TEST(ReadProtoTest, NamesTheFile) {
  const TemporaryFolder folder;
  const std::string path = folder / "net.prototxt";
  std::ofstream(path) << "layer {\n  name: 'a'\n  typo: 1\n}\n";
  const auto read = [](const std::string& file) {
    return MessageOf<CaffeError>([&] {
      NetParameter net;
      caffe::ReadNetParamsFromTextFileOrDie(file, &net);
    });
  };
  ExpectWords(read(path), {path + ":3:3: ", "\"typo\"", "(in layer 'a')"});
  ExpectWords(read(folder / "none.prototxt"), {folder / "none.prototxt"});
}

// A damaged record of a database stops the pass that reads it.

struct Damage {
  const char* name;
  std::string record;
  std::string word;
};

caffe::Datum Image(int label) {
  caffe::Datum datum;
  datum.set_channels(1);
  datum.set_height(4);
  datum.set_width(4);
  datum.set_data(std::string(16, static_cast<char>(label)));
  datum.set_label(label);
  return datum;
}

std::vector<Damage> Damages() {
  const std::string whole = Image(1).SerializeAsString();
  caffe::Datum few_pixels = Image(1);
  few_pixels.set_data("abc");
  caffe::Datum no_pixels = Image(1);
  no_pixels.clear_data();
  return {
      {"garbage", std::string(20, '\xff'), "is damaged"},
      {"cut short", whole.substr(0, whole.size() / 2), "is damaged"},
      {"too few pixels", few_pixels.SerializeAsString(), "is damaged"},
      {"no pixels", no_pixels.SerializeAsString(), "is damaged"},
      {"empty", "", "datum_channels"},
  };
}

/// An LMDB of `count` images whose labels count up, but for one record.
void WriteDatabase(const std::string& path, int count, int damaged,
                   const std::string& record) {
  const std::unique_ptr<caffe::db::DB> db(caffe::db::GetDB("lmdb"));
  db->Open(path, caffe::db::NEW);
  const std::unique_ptr<caffe::db::Transaction> transaction(
      db->NewTransaction());
  for (int i = 0; i < count; ++i) {
    transaction->Put("key" + std::to_string(i),
                     i == damaged ? record : Image(i).SerializeAsString());
  }
  transaction->Commit();
  db->Close();
}

NetParameter DataNet(const std::string& source) {
  return FromText<NetParameter>(
      "layer { name: 'images' type: 'Data' top: 'data' top: 'label' "
      "data_param { backend: LMDB batch_size: 1 source: '" +
      source + "' } }");
}

TEST(DamagedRecordTest, ReachesTheForwardPass) {
  for (const Damage& damage : Damages()) {
    SCOPED_TRACE(damage.name);
    const TemporaryFolder folder;
    WriteDatabase(folder / "lmdb", 4, 2, damage.record);
    Net<float> net(DataNet(folder / "lmdb"));
    for (const int label : {0, 1}) {
      net.Forward();
      EXPECT_EQ(net.blob_by_name("label")->cpu_data()[0], label);
      EXPECT_EQ(net.blob_by_name("data")->cpu_data()[15], label);
    }
    for (int pass = 0; pass < 3; ++pass) {
      ExpectWords(MessageOf<CaffeError>([&] { net.Forward(); }), {damage.word});
    }
  }
}

TEST(DamagedRecordTest, StopsTheNetWhereItStands) {
  for (const Damage& damage : Damages()) {
    SCOPED_TRACE(damage.name);
    const TemporaryFolder folder;
    WriteDatabase(folder / "lmdb", 2, 0, damage.record);
    ExpectWords(MessageOf<CaffeError>([&] {
                  Net<float> net(DataNet(folder / "lmdb"));
                  net.Forward();
                }),
                {damage.word});
  }
}

TEST(DamagedRecordTest, IsNamed) {
  const TemporaryFolder folder;
  WriteDatabase(folder / "lmdb", 3, 1, "\xff");
  Net<float> net(DataNet(folder / "lmdb"));
  net.Forward();
  ExpectWords(MessageOf<CaffeError>([&] { net.Forward(); }),
              {"Layer 'images'", "'key1'", folder / "lmdb"});
}

// This runs as a user who has no right to write: root, as whom the tests may
// run, may write anywhere.
TEST(DatabaseDeathTest, CanBeReadWhereNothingMayBeWritten) {
  namespace fs = std::filesystem;
  const TemporaryFolder folder;
  const fs::path lmdb = folder / "lmdb";
  const auto readable = static_cast<fs::perms>(0555);
  const auto read = [&] {
    constexpr uid_t kNobody = 65534;
    if (geteuid() == 0 && setuid(kNobody) != 0) {
      std::_Exit(2);
    }
    Net<float> net(DataNet(lmdb));
    net.Forward();
    std::_Exit(net.blob_by_name("data")->cpu_data()[15] == 0 ? 0 : 3);
  };
  WriteDatabase(lmdb, 1, -1, "");
  fs::permissions(lmdb.parent_path(), readable | fs::perms::owner_write);
  for (const bool has_lock : {true, false}) {
    fs::permissions(lmdb, fs::perms::owner_all);
    if (!has_lock) {
      fs::remove(lmdb / "lock.mdb");
    }
    for (const auto& file : fs::directory_iterator(lmdb)) {
      fs::permissions(file, readable);
    }
    fs::permissions(lmdb, readable);
    EXPECT_EXIT(read(), testing::ExitedWithCode(0), "") << has_lock;
  }
  fs::permissions(lmdb, fs::perms::owner_all);
}

// Scores that are not numbers.

TEST(AccuracyTest, HasNoPlaceForScoresThatAreNotNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Net<float> net(FromText<NetParameter>(
      "layer { name: 'x' type: 'Input' top: 'x' top: 'label' "
      "  input_param { shape { dim: 4 dim: 3 } shape { dim: 4 } } } "
      "layer { name: 'a' type: 'Accuracy' bottom: 'x' bottom: 'label' "
      "  top: 'a' top: 'each' }"));
  const std::vector<float> scores = {nan, nan, nan, 0, nan, 1,
                                     1,   2,   nan, 0, 2,   1};
  const std::vector<float> labels = {0, 1, 1, 1};
  std::copy(scores.begin(), scores.end(),
            net.blob_by_name("x")->mutable_cpu_data());
  std::copy(labels.begin(), labels.end(),
            net.blob_by_name("label")->mutable_cpu_data());
  net.Forward();
  EXPECT_EQ(net.blob_by_name("a")->cpu_data()[0], 0.25F);
  EXPECT_EQ(net.blob_by_name("each")->cpu_data()[0], 0);
}

// Weights go from net to net.

TEST(LayerParameterTest, HasItsFieldFarFromOtherForks) {
  EXPECT_EQ(int{caffe::LayerParameter::kQuantizationParamFieldNumber}, 1149);
}

template <typename Dtype>
class WeightsTest : public ::testing::Test {
 protected:
  static constexpr int kBits = 2;

  static NetParameter QuantizedNet() {
    const std::string quantization =
        "quantization_param { weight { bits: 2 } } ";
    return FromText<NetParameter>(
        "layer { name: 'x' type: 'Input' top: 'x' "
        "input_param { shape { dim: 2 dim: 3 dim: 5 dim: 5 } } } "
        "layer { name: 'conv' type: 'QuantizedConvolution' bottom: 'x' "
        "top: 'conv' convolution_param { num_output: 4 kernel_size: 3 "
        "weight_filler { type: 'gaussian' std: 1 } "
        "bias_filler { type: 'uniform' } } " +
        quantization +
        "} layer { name: 'ip' type: 'QuantizedInnerProduct' bottom: 'conv' "
        "top: 'ip' inner_product_param { num_output: 5 "
        "weight_filler { type: 'gaussian' std: 1 } } " +
        quantization + "}");
  }

  static std::vector<Dtype> Output(Net<Dtype>* net) {
    SetInputs(net);
    return Data(*net->Forward()[0]);
  }

  static void Save(const Net<Dtype>& net, const std::string& path) {
    if (path.substr(path.size() - 3) == ".h5") {
      net.ToHDF5(path);
    } else {
      NetParameter param;
      net.ToProto(&param);
      caffe::WriteProtoToBinaryFile(param, path.c_str());
    }
  }

  static void ExpectSameParameters(const Net<Dtype>& a, const Net<Dtype>& b) {
    ASSERT_EQ(a.params().size(), b.params().size());
    for (std::size_t i = 0; i < a.params().size(); ++i) {
      EXPECT_EQ(Data(*a.params()[i]), Data(*b.params()[i])) << i;
    }
  }
};
TYPED_TEST_SUITE(WeightsTest, Dtypes);

TYPED_TEST(WeightsTest, GoFromFloatToQuantisedAndBack) {
  const NetParameter quantized_param = this->QuantizedNet();
  const NetParameter float_param = FloatNet(quantized_param);
  for (const char* name : {"w.caffemodel", "w.caffemodel.h5"}) {
    SCOPED_TRACE(name);
    const TemporaryFolder folder;
    Net<TypeParam> trained(float_param), quantized(quantized_param),
        stock(float_param), back(float_param);
    this->Save(trained, folder / name);
    quantized.CopyTrainedLayersFrom(folder / name);
    this->ExpectSameParameters(trained, quantized);
    QuantizeWeights(trained, this->kBits, &stock);
    ExpectClose(this->Output(&stock), this->Output(&quantized), "output");

    const std::string saved = folder / ("back_" + std::string(name));
    this->Save(quantized, saved);
    back.CopyTrainedLayersFrom(saved);
    this->ExpectSameParameters(trained, back);
    EXPECT_EQ(this->Output(&trained), this->Output(&back));
  }
}

TYPED_TEST(WeightsTest, LoadBesideFieldsThatAreNotKnown) {
  Net<TypeParam> saved(this->QuantizedNet()), loaded(this->QuantizedNet());
  NetParameter param;
  saved.ToProto(&param);
  for (caffe::LayerParameter& layer : *param.mutable_layer()) {
    layer.GetReflection()->MutableUnknownFields(&layer)->AddLengthDelimited(
        149, "ULQ");
    for (caffe::BlobProto& blob : *layer.mutable_blobs()) {
      blob.GetReflection()->MutableUnknownFields(&blob)->AddFixed32(10, 7);
    }
  }
  const TemporaryFolder folder;
  caffe::WriteProtoToBinaryFile(param, (folder / "w.caffemodel").c_str());
  loaded.CopyTrainedLayersFrom(folder / "w.caffemodel");
  this->ExpectSameParameters(saved, loaded);
}

TYPED_TEST(WeightsTest, NameTheFileThatDoesNotLoad) {
  const TemporaryFolder folder;
  std::ofstream(folder / "text.caffemodel") << "these are no weights";
  Net<TypeParam> net(this->QuantizedNet());
  for (const char* name :
       {"text.caffemodel", "none.caffemodel", "none.caffemodel.h5"}) {
    testing::internal::CaptureStderr();
    ExpectWords(MessageOf<CaffeError>(
                    [&] { net.CopyTrainedLayersFrom(folder / name); }),
                {folder / name});
    EXPECT_EQ(testing::internal::GetCapturedStderr().find("HDF5"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace ul2q

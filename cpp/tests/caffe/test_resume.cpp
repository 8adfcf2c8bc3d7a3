// Where data and random numbers stand, and how to get there again.

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "caffe/layers/data_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/db.hpp"
#include "caffe/util/rng.hpp"
#include "support.hpp"
#include "support/resume.hpp"

namespace ul2q {
namespace {

namespace fs = std::filesystem;

class ResumeTest : public testing::TestWithParam<std::string> {
 protected:
  ResumeTest() {
    std::string name = (fs::temp_directory_path() / "resume_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~ResumeTest() override { fs::remove_all(folder_); }

  /// A database of five images of one pixel, 10, 20, ... 50; the record of
  /// number `damaged` does not parse.
  std::string Database(int damaged = -1) {
    const std::string path = (folder_ / "db").string();
    const std::unique_ptr<caffe::db::DB> db(caffe::db::GetDB(GetParam()));
    db->Open(path, caffe::db::NEW);
    const std::unique_ptr<caffe::db::Transaction> write(db->NewTransaction());
    for (int i = 0; i < 5; ++i) {
      caffe::Datum datum;
      datum.set_channels(1);
      datum.set_height(1);
      datum.set_width(1);
      datum.set_data(std::string(1, static_cast<char>(10 * (i + 1))));
      write->Put("key " + std::to_string(i),
                 i == damaged ? "\xff" : datum.SerializeAsString());
    }
    write->Commit();
    return path;
  }

  caffe::LayerParameter Layer(const std::string& database) {
    caffe::LayerParameter param;
    param.set_name("data");
    param.set_type("Data");
    param.add_top("data");
    param.mutable_data_param()->set_source(database);
    param.mutable_data_param()->set_batch_size(3);
    param.mutable_data_param()->set_backend(
        GetParam() == "lmdb" ? caffe::DataParameter::LMDB
                             : caffe::DataParameter::LEVELDB);
    return param;
  }

  fs::path folder_;
};

/// A data layer on its own.
class Reader {
 public:
  explicit Reader(const caffe::LayerParameter& param) : layer_(param) {
    layer_.SetUp({}, {&top_});
  }
  std::vector<int> Next() {
    layer_.Forward({}, {&top_});
    return {top_.cpu_data(), top_.cpu_data() + top_.count()};
  }
  caffe::LayerState State() {
    caffe::LayerState state;
    layer_.SaveState(&state);
    return state;
  }
  void Go(const caffe::LayerState& state) { layer_.RestoreState(state); }

 private:
  caffe::DataLayer<float> layer_;
  caffe::Blob<float> top_;
};

using Batch = std::vector<int>;

TEST_P(ResumeTest, ACursorFindsAKey) {
  const std::unique_ptr<caffe::db::DB> db(caffe::db::GetDB(GetParam()));
  db->Open(Database(), caffe::db::READ);
  const std::unique_ptr<caffe::db::Cursor> cursor(db->NewCursor());
  ASSERT_TRUE(cursor->Seek("key 3"));
  EXPECT_EQ(cursor->key(), "key 3");
  cursor->Next();
  EXPECT_EQ(cursor->key(), "key 4");
  for (const char* missing : {"", "key", "key 25", "key 9", "zzz"}) {
    EXPECT_FALSE(cursor->Seek(missing)) << missing;
  }
  cursor->SeekToFirst();
  EXPECT_EQ(cursor->key(), "key 0");
  // Cursors that have no way of their own.
  EXPECT_TRUE(cursor->caffe::db::Cursor::Seek("key 2"));
  EXPECT_EQ(cursor->key(), "key 2");
  EXPECT_FALSE(cursor->caffe::db::Cursor::Seek("key 25"));
}

TEST_P(ResumeTest, ADataLayerStandsWhereItsLastBatchEnds) {
  const std::string database = Database();
  caffe::LayerState start;
  caffe::LayerState after;
  {
    Reader reader(Layer(database));
    start = reader.State();
    EXPECT_EQ(reader.Next(), Batch({10, 20, 30}));
    EXPECT_EQ(reader.Next(), Batch({40, 50, 10}));
    after = reader.State();
    EXPECT_EQ(after.key(), "key 1");
    EXPECT_EQ(after.records(), 6u);
    EXPECT_EQ(reader.Next(), Batch({20, 30, 40}));
    reader.Go(after);
    EXPECT_EQ(reader.Next(), Batch({20, 30, 40}));
    reader.Go(start);
    reader.Go(start);
    EXPECT_EQ(reader.State().records(), 0u);
    EXPECT_EQ(reader.Next(), Batch({10, 20, 30}));
  }
  Reader another(Layer(database));
  another.Go(caffe::LayerState());  // which says nothing
  EXPECT_EQ(another.Next(), Batch({10, 20, 30}));
  another.Go(after);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(another.Next(), Batch({20, 30, 40}));
    EXPECT_EQ(another.Next(), Batch({50, 10, 20}));
    another.Go(after);
  }
}

TEST_P(ResumeTest, ALayerWhoseReadingFailedGoesOnElsewhere) {
  Reader reader(Layer(Database(3)));
  const caffe::LayerState start = reader.State();
  EXPECT_EQ(reader.Next(), Batch({10, 20, 30}));
  for (int i = 0; i < 2; ++i) {
    ExpectWords(MessageOf<CaffeError>([&] { reader.Next(); }), {"key 3"});
    reader.Go(start);
    EXPECT_EQ(reader.Next(), Batch({10, 20, 30}));
  }
}

TEST_P(ResumeTest, AKeyThatIsNotThereMeansTheStart) {
  Reader reader(Layer(Database()));
  reader.Next();
  caffe::LayerState state = reader.State();
  state.set_key("key 25");
  testing::internal::CaptureStderr();
  reader.Go(state);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(reader.Next(), Batch({10, 20, 30})) << log;
}

INSTANTIATE_TEST_SUITE_P(Databases, ResumeTest,
                         testing::Values("lmdb", "leveldb"),
                         [](const auto& info) { return info.param; });

TEST(GeneratorTest, GoesThroughText) {
  caffe::rng_t generator(5);
  for (int i = 0; i < 1000; ++i) {
    const std::string text = ToText(generator);
    caffe::rng_t copy;
    FromText(text, &copy);
    EXPECT_EQ(copy, generator);
    EXPECT_EQ(copy(), generator());
  }
}

TEST(GeneratorTest, IsNotTakenFromWhatIsNone) {
  caffe::rng_t generator(5);
  const caffe::rng_t before = generator;
  for (const std::string text : {"", "1 2 3", "abc"}) {
    ExpectWords(MessageOf<CaffeError>([&] { FromText(text, &generator); }),
                {"random numbers", "damaged"});
    EXPECT_EQ(generator, before);
  }
}

TEST(LearnedNetTest, IsLookedForBesideTheState) {
  std::string name = (fs::temp_directory_path() / "learned_XXXXXX").string();
  const fs::path folder = mkdtemp(name.data());
  fs::create_directory(folder / "new");
  const std::string old = folder / "w.caffemodel";
  const std::string state = folder / "new" / "s.solverstate";
  std::ofstream(old).flush();
  EXPECT_EQ(LearnedNet(state, old), old);
  std::ofstream(folder / "new" / "w.caffemodel").flush();
  EXPECT_EQ(LearnedNet(state, old), folder / "new" / "w.caffemodel");
  fs::remove_all(folder);
  ExpectWords(MessageOf<FileNotFound>([&] { LearnedNet(state, old); }), {old});
}

}  // namespace
}  // namespace ul2q

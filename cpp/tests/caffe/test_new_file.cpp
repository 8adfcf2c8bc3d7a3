// Files that are replaced in one step, while each system call that takes part
// fails in turn: this program's open, write, fsync, ... stand before libc's.

#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>

#include "caffe/blob.hpp"
#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/io.hpp"
#include "support.hpp"
#include "support/new_file.hpp"

namespace {

/// The system call that fails: the N-th from now on, or that and all later.
struct Failure {
  int nth = 0;  // 0: none
  bool ever_after = false;
  int seen = 0;
};
thread_local Failure failure;

bool Fails() {
  if (failure.nth == 0) {
    return false;
  }
  ++failure.seen;
  return failure.seen == failure.nth ||
         (failure.ever_after && failure.seen > failure.nth);
}

template <typename Function>
Function* Next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

int Open(const char* function, const char* path, int flags, mode_t mode) {
  // A file that is only read is none of this test's business.
  const bool writes = (flags & (O_WRONLY | O_RDWR)) != 0;
  if (writes && Fails()) {
    errno = ENOSPC;
    return -1;
  }
  return Next<int(const char*, int, ...)>(function)(path, flags, mode);
}

mode_t ModeOf(int flags, va_list arguments) {
  return (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

// NOLINTBEGIN: libc's names and signatures
extern "C" {
int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return Open("open", path, flags, mode);
}
int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = ModeOf(flags, arguments);
  va_end(arguments);
  return Open("open64", path, flags, mode);
}
ssize_t write(int fd, const void* data, size_t size) {
  if (Fails()) {
    // What a full disk does: a part goes through.
    static_cast<void>(
        !Next<ssize_t(int, const void*, size_t)>("write")(fd, data, size / 2));
    errno = ENOSPC;
    return -1;
  }
  return Next<ssize_t(int, const void*, size_t)>("write")(fd, data, size);
}
ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  if (Fails()) {
    errno = ENOSPC;
    return -1;
  }
  return Next<ssize_t(int, const void*, size_t, off_t)>("pwrite")(fd, data,
                                                                  size, at);
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  if (Fails()) {
    errno = ENOSPC;
    return -1;
  }
  return Next<ssize_t(int, const void*, size_t, off64_t)>("pwrite64")(fd, data,
                                                                      size, at);
}
int fsync(int fd) {
  if (Fails()) {
    errno = EIO;
    return -1;
  }
  return Next<int(int)>("fsync")(fd);
}
int rename(const char* from, const char* to) noexcept {
  if (Fails()) {
    errno = EACCES;
    return -1;
  }
  return Next<int(const char*, const char*)>("rename")(from, to);
}
}
// NOLINTEND

namespace ul2q {
namespace {

namespace fs = std::filesystem;

std::string Read(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A folder that goes with the test.
class NewFileTest : public testing::Test {
 protected:
  NewFileTest() {
    std::string name = (fs::temp_directory_path() / "new_file_XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~NewFileTest() override {
    failure = Failure();
    fs::remove_all(folder_);
  }

  std::string Path(const char* name) const { return (folder_ / name).string(); }

  /// How many files the folder holds.
  auto Files() const {
    return std::distance(fs::directory_iterator(folder_), {});
  }

  fs::path folder_;
};

caffe::NetParameter Weights(float value) {
  caffe::NetParameter net;
  caffe::LayerParameter* layer = net.add_layer();
  layer->set_name("ip");
  layer->set_type("DummyData");
  caffe::BlobProto* blob = layer->add_blobs();
  blob->mutable_shape()->add_dim(20000);
  for (int i = 0; i < 20000; ++i) {
    blob->add_data(value);
  }
  return net;
}

/// A net of one parameter layer whose weights are all `value`.
caffe::NetParameter ScaleNet(float value) {
  caffe::NetParameter param;
  caffe::LayerParameter* input = param.add_layer();
  input->set_name("x");
  input->set_type("DummyData");
  input->add_top("x");
  input->mutable_dummy_data_param()->add_shape()->add_dim(20000);
  caffe::LayerParameter* scale = param.add_layer();
  scale->set_name("scale");
  scale->set_type("Scale");
  scale->add_bottom("x");
  scale->add_top("y");
  scale->mutable_scale_param()->set_axis(0);
  scale->mutable_scale_param()->mutable_filler()->set_value(value);
  return param;
}

void SaveHdf5(float value, const std::string& path) {
  caffe::Net<float>(ScaleNet(value)).ToHDF5(path);
}

/// The weights' bytes: HDF5 puts the time into its files.
std::string ReadHdf5(const std::string& path) {
  caffe::Net<float> net(ScaleNet(0));
  net.CopyTrainedLayersFrom(path);
  const caffe::Blob<float>& weights = *net.params()[0];
  return {reinterpret_cast<const char*>(weights.cpu_data()),
          weights.count() * sizeof(float)};
}

struct Writer {
  const char* name;
  std::function<void(float, const std::string&)> write;
  std::function<std::string(const std::string&)> read = Read;
};

class EveryWriter : public NewFileTest,
                    public testing::WithParamInterface<Writer> {};

TEST_P(EveryWriter, LeavesTheOldOrTheNewFileWhicheverCallFails) {
  const auto& [name, write, read] = GetParam();
  write(1, Path("old"));
  write(2, Path("new"));
  const std::string before = read(Path("old"));
  const std::string after = read(Path("new"));
  ASSERT_GT(before.size(), 70000u);
  ASSERT_NE(before, after);
  for (const bool ever_after : {false, true}) {
    bool succeeded = false;
    for (int nth = 1; !succeeded; ++nth) {
      ASSERT_LT(nth, 100) << "it never gets through";
      fs::copy_file(Path("old"), Path("file"),
                    fs::copy_options::overwrite_existing);
      failure = {nth, ever_after, 0};
      std::string message;
      try {
        write(2, Path("file"));
      } catch (const CaffeError& error) {
        message = error.message();
      }
      const int calls = failure.seen;
      failure = Failure();
      succeeded = calls < nth;
      const std::string now = read(Path("file"));
      EXPECT_TRUE(now == before || now == after)
          << "half a file when call " << nth << " fails";
      EXPECT_EQ(Files(), 3) << "a leftover when call " << nth << " fails";
      if (message.empty()) {
        EXPECT_TRUE(now == after)
            << "nothing is said when call " << nth << " fails";
      } else {
        ExpectWords(message, {Path("file")});
      }
      if (succeeded) {
        EXPECT_EQ(message, "");
        EXPECT_GE(calls, 5) << "open, write, fsync, rename, fsync";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Writers, EveryWriter,
    testing::Values(Writer{"Binary",
                           [](float value, const std::string& path) {
                             caffe::WriteProtoToBinaryFile(Weights(value),
                                                           path);
                           }},
                    Writer{"Text",
                           [](float value, const std::string& path) {
                             caffe::WriteProtoToTextFile(Weights(value), path);
                           }},
                    Writer{"Hdf5", SaveHdf5, ReadHdf5}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(NewFileTest, IsNotThereBeforeItIsCommitted) {
  {
    NewFile file(Path("file"));
    ASSERT_EQ(::write(file.descriptor(), "ab", 2), 2);
    EXPECT_FALSE(fs::exists(Path("file")));
    file.Commit();
    EXPECT_EQ(Read(Path("file")), "ab");
  }
  {
    NewFile forgotten(Path("file"));
  }
  EXPECT_EQ(Read(Path("file")), "ab");
  EXPECT_EQ(Files(), 1);
}

TEST_F(NewFileTest, HasTheModeOfAPlainWrite) {
  const auto mode_after = [&](const char* name) {
    NewFile(Path(name)).Commit();
    struct stat status;
    EXPECT_EQ(stat(Path(name).c_str(), &status), 0);
    return status.st_mode & 0777;
  };
  const mode_t before = umask(027);
  EXPECT_EQ(mode_after("new"), 0640u);
  umask(before);
  std::ofstream(Path("old")).flush();
  ASSERT_EQ(chmod(Path("old").c_str(), 0604), 0);
  EXPECT_EQ(mode_after("old"), 0604u);
}

TEST_F(NewFileTest, FollowsALink) {
  std::ofstream(Path("target")) << "old";
  fs::create_symlink(Path("target"), Path("link"));
  NewFile file(Path("link"));
  ASSERT_EQ(::write(file.descriptor(), "new", 3), 3);
  file.Commit();
  EXPECT_TRUE(fs::is_symlink(Path("link")));
  EXPECT_EQ(Read(Path("target")), "new");
}

TEST_F(NewFileTest, WritesToADeviceItself) {
  NewFile file("/dev/null");
  file.Write("new", 3);
  file.Commit();
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  NewFile full("/dev/full");
  EXPECT_THROW(full.Write("new", 3), WriteError);
}

TEST_F(NewFileTest, NamesWhatCannotBeWritten) {
  fs::create_directory(Path("folder"));
  const std::map<std::string, std::string> reasons = {
      {Path("none/file"), "No such file or directory"},
      {Path("folder"), "Is a directory"},
  };
  for (const auto& [path, reason] : reasons) {
    const std::string tried = path;
    const std::string message =
        MessageOf<WriteError>([&] { NewFile file(tried); });
    ExpectWords(message, {"Cannot write " + tried, reason});
  }
  EXPECT_EQ(Files(), 1);
}

TEST_F(NewFileTest, TakesANameAsLongAsTheyGet) {
  const std::string name(255, 'x');
  NewFile(Path(name.c_str())).Commit();
  EXPECT_TRUE(fs::exists(Path(name.c_str())));
}

}  // namespace
}  // namespace ul2q

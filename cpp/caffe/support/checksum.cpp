#include "support/checksum.hpp"

#include <fcntl.h>
#include <glog/logging.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/message.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <vector>

#include "support/files.hpp"
#include "support/new_file.hpp"

namespace ul2q {
namespace {

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CopyingInputStream;
using google::protobuf::io::CopyingInputStreamAdaptor;
using google::protobuf::io::CopyingOutputStream;
using google::protobuf::io::CopyingOutputStreamAdaptor;

constexpr int kBlock = 1 << 18;  // bytes that are read or written at once

// The field's tag, 1151 << 3 | 5, as a varint.
constexpr unsigned char kTag[] = {0xfd, 0x47};
using Field = std::array<unsigned char, sizeof(kTag) + 4>;

// "\ncrc32 0123abcd\n"
constexpr char kLine[] = "\ncrc32 ";
constexpr std::size_t kLineSize = 16;

/// A CRC-32 that grows.
class Crc32 {
 public:
  void Add(const void* bytes, std::size_t size) {
    value_ = crc32_z(value_, static_cast<const Bytef*>(bytes), size);
  }
  std::uint32_t value() const { return static_cast<std::uint32_t>(value_); }

 private:
  uLong value_ = 0;
};

Field ToField(std::uint32_t checksum) {
  Field field;
  std::copy(std::begin(kTag), std::end(kTag), field.begin());
  for (std::size_t i = 0; i < 4; ++i) {  // little endian
    field[sizeof(kTag) + i] = static_cast<unsigned char>(checksum >> (8 * i));
  }
  return field;
}

/// A file that is open to be read.
class InputFile {
 public:
  explicit InputFile(const std::string& path) : path_(path) {
    CheckReadable(path);
    descriptor_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    CHECK_GE(descriptor_, 0)
        << "Cannot read " << path << ": " << LastSystemError();
  }
  ~InputFile() { close(descriptor_); }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  int descriptor() const { return descriptor_; }

  /// Reads on; 0 at the end.
  std::size_t Read(void* bytes, std::size_t size) const {
    ssize_t got = 0;
    do {
      got = read(descriptor_, bytes, size);
    } while (got < 0 && errno == EINTR);
    CHECK_GE(got, 0) << "Cannot read " << path_ << ": " << LastSystemError();
    return static_cast<std::size_t>(got);
  }

 private:
  std::string path_;
  int descriptor_ = -1;
};

std::string Damaged(const std::string& path) {
  return path +
         " is damaged: its checksum is another than when it was written; take "
         "a copy of it, or an older snapshot";
}

/// Gives protobuf the bytes of a file, and sums them up. protobuf's code is not
/// made for exceptions: what is thrown waits for Rethrow.
class SummedInput : public CopyingInputStream {
 public:
  explicit SummedInput(const InputFile* file) : file_(file) {}

  int Read(void* buffer, int size) override {
    try {
      const std::size_t got =
          file_->Read(buffer, static_cast<std::size_t>(size));
      sum_.Add(buffer, got);
      return static_cast<int>(got);
    } catch (...) {
      error_ = std::current_exception();
      return -1;
    }
  }

  /// The checksum of the file, whose rest is read.
  std::uint32_t SumAll() {
    std::vector<char> rest(kBlock);
    while (Read(rest.data(), kBlock) > 0) {
    }
    Rethrow();
    return sum_.value();
  }

  void Rethrow() const {
    if (error_) {
      std::rethrow_exception(error_);
    }
  }

 private:
  const InputFile* file_;
  Crc32 sum_;
  std::exception_ptr error_;
};

/// Takes protobuf's bytes into a file, and sums them up.
class SummedOutput : public CopyingOutputStream {
 public:
  explicit SummedOutput(NewFile* file) : file_(file) {}

  bool Write(const void* buffer, int size) override {
    try {
      sum_.Add(buffer, static_cast<std::size_t>(size));
      file_->Write(static_cast<const char*>(buffer),
                   static_cast<std::size_t>(size));
      return true;
    } catch (...) {
      error_ = std::current_exception();
      return false;
    }
  }

  std::uint32_t sum() const { return sum_.value(); }

  void Rethrow() const {
    if (error_) {
      std::rethrow_exception(error_);
    }
  }

 private:
  NewFile* file_;
  Crc32 sum_;
  std::exception_ptr error_;
};

}  // namespace

void WriteMessage(const google::protobuf::Message& message,
                  const std::string& path) {
  NewFile file(path);
  // A pipe has no beginning to come back to.
  const bool has_checksum = lseek(file.descriptor(), 0, SEEK_CUR) == 0;
  if (has_checksum) {
    const Field room{};
    file.Write(reinterpret_cast<const char*>(room.data()), room.size());
  }
  SummedOutput output(&file);
  bool written = false;
  {
    CopyingOutputStreamAdaptor stream(&output, kBlock);
    written = message.SerializeToZeroCopyStream(&stream) && stream.Flush();
  }
  output.Rethrow();
  errno = 0;
  if (!written) {
    file.Fail();
  }
  if (has_checksum) {
    const Field field = ToField(output.sum());
    if (pwrite(file.descriptor(), field.data(), field.size(), 0) !=
        static_cast<ssize_t>(field.size())) {
      file.Fail();
    }
  }
  file.Commit();
}

bool ReadMessage(const std::string& path, google::protobuf::Message* message) {
  const InputFile file(path);
  Field field{};
  const bool has_checksum =
      pread(file.descriptor(), field.data(), field.size(), 0) ==
          static_cast<ssize_t>(field.size()) &&
      std::equal(std::begin(kTag), std::end(kTag), field.begin()) &&
      lseek(file.descriptor(), field.size(), SEEK_SET) >= 0;
  SummedInput input(&file);
  bool parsed = false;
  {
    CopyingInputStreamAdaptor stream(&input, kBlock);
    CodedInputStream coded(&stream);
    coded.SetTotalBytesLimit(INT_MAX);
    parsed =
        message->ParseFromCodedStream(&coded) && coded.ConsumedEntireMessage();
  }
  input.Rethrow();
  CHECK(!has_checksum || ToField(input.SumAll()) == field) << Damaged(path);
  return parsed;
}

std::string Hdf5Checksum(const char* bytes, std::size_t size) {
  Crc32 sum;
  sum.Add(bytes, size);
  std::array<char, kLineSize + 1> line;
  std::snprintf(line.data(), line.size(), "%s%08x\n", kLine, sum.value());
  return line.data();
}

void CheckHdf5Checksum(const std::string& path) {
  const InputFile file(path);
  struct stat status;
  std::array<char, kLineSize> line;
  if (fstat(file.descriptor(), &status) != 0 || !S_ISREG(status.st_mode) ||
      status.st_size < static_cast<off_t>(kLineSize)) {
    return;
  }
  const off_t end = status.st_size - static_cast<off_t>(kLineSize);
  if (pread(file.descriptor(), line.data(), line.size(), end) !=
          static_cast<ssize_t>(line.size()) ||
      std::memcmp(line.data(), kLine, std::strlen(kLine)) != 0) {
    return;
  }
  Crc32 sum;
  std::vector<char> block(kBlock);
  for (auto left = static_cast<std::size_t>(end); left > 0;) {
    const std::size_t got =
        file.Read(block.data(), std::min(left, block.size()));
    if (got == 0) {
      break;
    }
    sum.Add(block.data(), got);
    left -= got;
  }
  std::array<char, kLineSize + 1> expected;
  std::snprintf(expected.data(), expected.size(), "%s%08x\n", kLine,
                sum.value());
  CHECK_EQ(std::memcmp(line.data(), expected.data(), kLineSize), 0)
      << Damaged(path);
}

}  // namespace ul2q

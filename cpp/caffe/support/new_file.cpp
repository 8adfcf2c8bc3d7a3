#include "support/new_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <system_error>
#include <utility>

namespace ul2q {
namespace {

/// File systems without a way to sync answer EINVAL.
bool Sync(int descriptor) { return fsync(descriptor) == 0 || errno == EINVAL; }

std::string FolderOf(const std::string& path) {
  const std::string::size_type slash = path.rfind('/');
  return slash == std::string::npos ? "./" : path.substr(0, slash + 1);
}

/// A name beside `target` that is hidden, and short enough for any target.
std::string NameBeside(const std::string& target) {
  const std::string folder = FolderOf(target);
  const std::string::size_type slash = target.rfind('/');
  const std::string base =
      slash == std::string::npos ? target : target.substr(slash + 1);
  char random[9];
  std::snprintf(random, sizeof(random), "%08x", std::random_device()());
  return folder + "." + base.substr(0, 200) + "." + random + ".part";
}

}  // namespace

NewFile::NewFile(const std::string& path)
    : path_(path), target_(path), name_(path) {
  struct stat present;
  const bool exists = stat(path.c_str(), &present) == 0;
  if (exists && !S_ISREG(present.st_mode)) {
    descriptor_ = open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (descriptor_ < 0) {
      Fail();
    }
    return;
  }
  if (exists) {
    // A file that must not be written to is not replaced either.
    if (access(path.c_str(), W_OK) != 0) {
      Fail();
    }
    if (char* const resolved = realpath(path.c_str(), nullptr)) {
      target_ = resolved;
      std::free(resolved);
    }
  }
  Open();
  if (exists) {
    // What may be kept is kept: the owner by root alone, the mode where the
    // file system knows modes.
    (void)!fchown(descriptor_, present.st_uid, present.st_gid);
    (void)!fchmod(descriptor_, present.st_mode & 07777);
  }
}

NewFile::~NewFile() {
  if (descriptor_ >= 0) {
    close(descriptor_);
  }
  if (name_ != target_) {
    unlink(name_.c_str());
  }
}

void NewFile::Open() {
  do {
    name_ = NameBeside(target_);
    descriptor_ =
        open(name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    const int error = errno;
    name_ = target_;  // there is no other file to remove
    errno = error;
    Fail();
  }
}

void NewFile::Write(const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t written = write(descriptor_, data, size);
    if (written < 0 && errno != EINTR) {
      Fail();
    }
    const std::size_t done =
        written > 0 ? static_cast<std::size_t>(written) : 0;
    data += done;
    size -= done;
  }
}

void NewFile::Commit() {
  const bool replaces = name_ != target_;
  if (replaces && !Sync(descriptor_)) {
    Fail();
  }
  if (close(std::exchange(descriptor_, -1)) != 0) {
    Fail();
  }
  if (!replaces) {
    return;
  }
  if (std::rename(name_.c_str(), target_.c_str()) != 0) {
    Fail();
  }
  name_ = target_;
  SyncFolder();
}

void NewFile::SyncFolder() const {
  const int folder =
      open(FolderOf(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) {
    return;  // a folder that may be written to and not read cannot be synced
  }
  const bool synced = Sync(folder);
  const int error = errno;
  close(folder);
  if (!synced) {
    errno = error;
    Fail();
  }
}

void NewFile::Fail(const char* file, int line) const {
  const int error = errno != 0 ? errno : EIO;
  const char* slash = std::strrchr(file, '/');
  throw WriteError(
      "Cannot write " + path_ + ": " + std::generic_category().message(error),
      error, slash != nullptr ? slash + 1 : file, line);
}

}  // namespace ul2q

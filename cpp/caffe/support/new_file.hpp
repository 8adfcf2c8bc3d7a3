#ifndef UL2Q_SUPPORT_NEW_FILE_HPP_
#define UL2Q_SUPPORT_NEW_FILE_HPP_

#include <cstddef>
#include <string>

#include "support/caffe_error.hpp"

namespace ul2q {

/// A file that could not be written; what stood there before still does.
class __attribute__((visibility("default"))) WriteError : public CaffeError {
 public:
  WriteError(const std::string& message, int code, const char* file, int line)
      : CaffeError(message, file, line), code_(code) {}

  /// errno's value.
  int code() const noexcept { return code_; }

 private:
  int code_;
};

/// A file that takes the place of another in one step: whatever interrupts the
/// writing, a power cut included, the old file or the whole new one is there.
///
/// It is written beside its place, under a hidden name that ends in ".part".
/// What is no regular file (a device, a pipe) is written to directly.
class NewFile {
 public:
  /// Begins a file, with the mode that a plain write would give it. Links are
  /// followed. Throws WriteError.
  explicit NewFile(const std::string& path);

  /// Forgets a file that was not committed.
  ~NewFile();

  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  /// Where to write.
  int descriptor() const { return descriptor_; }
  /// Writes all of it. Throws WriteError.
  void Write(const char* data, std::size_t size);

  /// Brings the file to the disk and puts it in its place. Throws WriteError.
  void Commit();

  /// Throws WriteError: errno says why the file could not be written.
  [[noreturn]] void Fail(const char* file = __builtin_FILE(),
                         int line = __builtin_LINE()) const;

 private:
  void Open();
  void SyncFolder() const;

  std::string path_;    // as the user gave it
  std::string target_;  // the same without links
  std::string name_;    // target_ if it is written directly
  int descriptor_ = -1;
};

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_NEW_FILE_HPP_

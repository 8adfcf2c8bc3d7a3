#ifndef UL2Q_SUPPORT_MEMORY_VERSION_HPP_
#define UL2Q_SUPPORT_MEMORY_VERSION_HPP_

#include <atomic>
#include <cstdint>

namespace ul2q {

/// Tells whether memory may have been written to since it was last looked at:
/// the version is another after each leave to write, and no two memories of a
/// process have or had the same one.
class MemoryVersion {
 public:
  MemoryVersion() : version_(Next()) {}

  /// The version, or 0 while a writer may write without asking.
  std::uint64_t value() const { return writers_ == 0 ? version_.load() : 0; }

  /// Whether a writer may write without asking.
  bool has_writers() const { return writers_ != 0; }

  /// Notes a leave to write.
  void Touch() { version_ = Next(); }

  /// Somebody, a NumPy view for example, writes without asking from here on,
  /// until the same number of calls to RemoveWriter.
  void AddWriter() { ++writers_; }
  void RemoveWriter() {
    Touch();
    --writers_;
  }

 private:
  static std::uint64_t Next();

  std::atomic<std::uint64_t> version_;
  std::atomic<int> writers_{0};
};

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_MEMORY_VERSION_HPP_

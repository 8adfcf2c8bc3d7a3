#include "support/memory_version.hpp"

namespace ul2q {

std::uint64_t MemoryVersion::Next() {
  static std::atomic<std::uint64_t> last(0);
  return ++last;
}

}  // namespace ul2q

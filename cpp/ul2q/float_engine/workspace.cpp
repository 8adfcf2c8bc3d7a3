#include "ul2q/float_engine/workspace.hpp"

#include <cstdlib>
#include <memory>
#include <new>

namespace ul2q {
namespace {

struct Free {
  void operator()(std::byte* memory) const { std::free(memory); }
};

struct Buffer {
  std::unique_ptr<std::byte, Free> memory;
  std::size_t size = 0;
};

}  // namespace

std::byte* Workspace(std::size_t bytes) {
  thread_local Buffer buffer;
  if (bytes > buffer.size) {
    buffer = Buffer();  // free the old one first
    const std::size_t size = (bytes + kWorkspaceAlignment - 1) /
                             kWorkspaceAlignment * kWorkspaceAlignment;
    buffer.memory.reset(
        static_cast<std::byte*>(std::aligned_alloc(kWorkspaceAlignment, size)));
    if (!buffer.memory) {
      throw std::bad_alloc();
    }
    buffer.size = size;
  }
  return buffer.memory.get();
}

}  // namespace ul2q

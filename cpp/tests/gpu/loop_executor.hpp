// A device of loops: runs the kernels' block algorithms on the host.
#ifndef UL2Q_TESTS_GPU_LOOP_EXECUTOR_HPP_
#define UL2Q_TESTS_GPU_LOOP_EXECUTOR_HPP_

#include <cstdint>

#include "ul2q/gpu/device_blocks.hpp"

namespace ul2q {

/// Each thread by itself, from one barrier to the next.
struct LoopThreads {
  template <typename Body>
  void ForEachThread(const Body& body) {
    for (int thread = 0; thread < kDeviceThreads; ++thread) {
      body(thread);
    }
  }
};

struct LoopExecutor {
  template <typename Kernel>
  void Launch(std::int64_t blocks, const Kernel& kernel) const {
    for (std::int64_t index = 0; index < blocks; ++index) {
      typename Kernel::Shared shared;
      LoopThreads threads;
      kernel(threads, index, &shared);
    }
  }
};

}  // namespace ul2q

#endif  // UL2Q_TESTS_GPU_LOOP_EXECUTOR_HPP_

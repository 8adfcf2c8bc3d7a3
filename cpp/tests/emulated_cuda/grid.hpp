// Kernels on the emulated device: blocks side by side on the host's cores, the
// threads of a block one after the other between two barriers.
#ifndef UL2Q_TESTS_EMULATED_CUDA_GRID_HPP_
#define UL2Q_TESTS_EMULATED_CUDA_GRID_HPP_

#include <functional>
#include <type_traits>

#include "cuda_runtime_api.h"
#include "work.hpp"

namespace emulated_cuda {

/// The running thread's place.
struct ThreadPlace {
  uint3 thread, block, threads, blocks;
};
extern __thread ThreadPlace here
    __attribute__((tls_model("initial-exec")));  // quick: kernels ask a lot

/// Waits for the block's other threads.
void SyncThreads();

/// Runs the kernel for all threads of all blocks. A thread that ends while
/// others of its block wait for it ends the process.
void RunGrid(dim3 blocks, dim3 threads, const std::function<void()>& kernel);

/// kernel<<<blocks, threads>>>(arguments) is
/// Launch(name, blocks, threads)(kernel, arguments).
class Launch {
 public:
  Launch(const char* name, dim3 blocks, dim3 threads)
      : name_(name), blocks_(blocks), threads_(threads) {}

  template <typename Kernel, typename... Arguments>
  void operator()(const Kernel& kernel, Arguments... arguments) const {
    static_assert((std::is_trivially_copyable_v<Arguments> && ...),
                  "a kernel's arguments are copied to the device");
    const auto lock = Lock();
    // Whatever lies between an argument's members might look like an address.
    (__builtin_clear_padding(&arguments), ...);
    if (IsPossible() &&
        (CheckArgument(name_, &arguments, sizeof(arguments)) && ...)) {
      Enqueue(name_, [=, *this] {
        RunGrid(blocks_, threads_, [&] { kernel(arguments...); });
      });
    }
  }

 private:
  bool IsPossible() const;

  const char* name_;
  dim3 blocks_, threads_;
};

}  // namespace emulated_cuda

#endif  // UL2Q_TESTS_EMULATED_CUDA_GRID_HPP_

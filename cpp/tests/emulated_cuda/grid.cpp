#include "grid.hpp"

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

namespace emulated_cuda {
namespace {

constexpr unsigned kMostThreads = 1024;
constexpr std::size_t kStack = 128 * 1024;

[[noreturn]] void RefuseBarrier() {
  std::fputs(
      "emulated CUDA: some threads of a block wait at a barrier, some do not\n",
      stderr);
  std::abort();
}

/// A stack on which threads run, one after the other; one that waits at a
/// barrier keeps it.
class Runner {
 public:
  Runner()
      : fiber_(std::allocator_arg, boost::context::fixedsize_stack(kStack),
               [this](boost::context::fiber&& caller) {
                 for (;;) {
                   caller_ = std::move(caller);
                   (*kernel_)();
                   has_ended_ = true;
                   caller = std::move(caller_).resume();
                 }
                 return std::move(caller);
               }) {}

  /// Runs the kernel to its end, or to a barrier: whether it has ended.
  bool Start(const std::function<void()>* kernel) {
    kernel_ = kernel;
    has_ended_ = false;
    return GoOn();
  }
  bool GoOn() {
    current_ = this;
    fiber_ = std::move(fiber_).resume();
    current_ = nullptr;
    return has_ended_;
  }
  static void Wait() {
    Runner* const self = current_;
    if (self == nullptr) {
      RefuseBarrier();
    }
    self->caller_ = std::move(self->caller_).resume();
  }

 private:
  static thread_local Runner* current_;

  boost::context::fiber fiber_, caller_;
  const std::function<void()>* kernel_ = nullptr;
  bool has_ended_ = false;
};

thread_local Runner* Runner::current_ = nullptr;

/// The threads of blocks, one block at a time.
class Threads {
 public:
  void Run(unsigned threads, const std::function<void()>& kernel) {
    if (Start(0, kernel)) {
      // No barrier for the first, so none for any: on this stack, which is
      // faster.
      for (unsigned thread = 1; thread < threads; ++thread) {
        SetThread(thread);
        kernel();
      }
      return;
    }
    for (unsigned thread = 1; thread < threads; ++thread) {
      Start(thread, kernel);
    }
    RequireAll(threads);
    // Forth and back: no order between two barriers may matter.
    for (bool backwards = true; !waiting_.empty(); backwards = !backwards) {
      std::vector<Waiting> next;
      for (std::size_t i = 0; i < waiting_.size(); ++i) {
        auto& [thread, runner] =
            waiting_[backwards ? waiting_.size() - 1 - i : i];
        SetThread(thread);
        if (runner->GoOn()) {
          free_.push_back(std::move(runner));
        } else {
          next.emplace_back(thread, std::move(runner));
        }
      }
      if (backwards) {
        std::reverse(next.begin(), next.end());
      }
      waiting_.swap(next);
      RequireAll(threads);
    }
  }

 private:
  using Waiting = std::pair<unsigned, std::unique_ptr<Runner>>;

  static void SetThread(unsigned thread) {
    here.thread = {thread % here.threads.x,
                   thread / here.threads.x % here.threads.y,
                   thread / here.threads.x / here.threads.y};
  }
  /// Whether the thread has ended; it waits, if not.
  bool Start(unsigned thread, const std::function<void()>& kernel) {
    if (free_.empty()) {
      free_.push_back(std::make_unique<Runner>());
    }
    std::unique_ptr<Runner> runner = std::move(free_.back());
    free_.pop_back();
    SetThread(thread);
    const bool has_ended = runner->Start(&kernel);
    if (has_ended) {
      free_.push_back(std::move(runner));
    } else {
      waiting_.emplace_back(thread, std::move(runner));
    }
    return has_ended;
  }
  void RequireAll(unsigned threads) const {
    if (!waiting_.empty() && waiting_.size() != threads) {
      RefuseBarrier();
    }
  }

  std::vector<std::unique_ptr<Runner>> free_;
  std::vector<Waiting> waiting_;
};

}  // namespace

__thread ThreadPlace here;

void SyncThreads() { Runner::Wait(); }

void RunGrid(dim3 blocks, dim3 threads, const std::function<void()>& kernel) {
  const std::int64_t count = std::int64_t{blocks.x} * blocks.y * blocks.z;
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t block = 0; block < count; ++block) {
    here.threads = {threads.x, threads.y, threads.z};
    here.blocks = {blocks.x, blocks.y, blocks.z};
    here.block = {static_cast<unsigned>(block % blocks.x),
                  static_cast<unsigned>(block / blocks.x % blocks.y),
                  static_cast<unsigned>(block / blocks.x / blocks.y)};
    static thread_local Threads of_block;
    of_block.Run(threads.x * threads.y * threads.z, kernel);
  }
}

bool Launch::IsPossible() const {
  const std::uint64_t threads =
      std::uint64_t{threads_.x} * threads_.y * threads_.z;
  const bool is_possible = threads >= 1 && threads <= kMostThreads &&
                           blocks_.x >= 1 && blocks_.x <= 0x7fffffff &&
                           blocks_.y >= 1 && blocks_.y <= 0xffff &&
                           blocks_.z >= 1 && blocks_.z <= 0xffff;
  if (!is_possible) {
    Fail(cudaErrorInvalidConfiguration,
         std::string(name_) + " is launched with " + std::to_string(blocks_.x) +
             " blocks of " + std::to_string(threads) + " threads");
  }
  return is_possible;
}

}  // namespace emulated_cuda

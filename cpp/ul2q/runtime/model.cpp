#include "ul2q/runtime/model.hpp"

#include <hwy/aligned_allocator.h>
#include <hwy/targets.h>
#include <omp.h>

#include <algorithm>
#include <cstddef>
#include <mutex>
#include <utility>

#include "ul2q/runtime/compiler.hpp"
#include "ul2q/runtime/kernels/images.hpp"

namespace ul2q {
namespace runtime {
namespace {

/// Bytes behind the arena that kernels may read: of codes whose number is
/// rounded up, times weights of 0.
constexpr std::int64_t kSlack = 64;

/// How much memory a thread works in while items run together: about what its
/// own cache holds, beside the weights.
constexpr std::int64_t kCacheBytes = 1 << 20;

/// More items together gain nothing: weights are used often enough.
constexpr std::int64_t kMostItems = 32;

using Memory = hwy::AlignedFreeUniquePtr<std::uint8_t[]>;

}  // namespace

struct Model::Compiled {
  Program program;
};

/// Memory that models run in, kept for the next run.
class Model::Arenas {
 public:
  struct Arena {
    Memory memory;
    std::int64_t bytes = 0;
  };

  Arena Take(std::int64_t bytes) {
    Arena arena;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!free_.empty()) {
        arena = std::move(free_.back());
        free_.pop_back();
      }
    }
    if (arena.bytes < bytes) {
      arena.memory.reset();  // before as much again is asked for
      arena.memory = hwy::AllocateAligned<std::uint8_t>(bytes);
      if (!arena.memory) {
        throw std::bad_alloc();
      }
      arena.bytes = bytes;
    }
    return arena;
  }

  void Return(Arena arena) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(arena));
  }

 private:
  std::mutex mutex_;
  std::vector<Arena> free_;
};

Model::Model(const Graph& graph)
    : compiled_(new Compiled{Compile(graph)}), arenas_(new Arenas) {
  for (const int tensor : graph.inputs) {
    inputs_.push_back(graph.tensors[tensor]);
  }
  for (const int tensor : graph.outputs) {
    outputs_.push_back(graph.tensors[tensor]);
  }
  told_ = compiled_->program.told;
}

Model::~Model() = default;

std::int64_t Model::item_bytes() const {
  return compiled_->program.arena_bytes + compiled_->program.scratch_bytes;
}

void Model::Run(std::int64_t items, const std::vector<const void*>& inputs,
                const std::vector<float*>& outputs, int threads) const {
  RunAll(items, inputs, outputs, threads, nullptr);
}

std::vector<double> Model::RunTimed(std::int64_t items,
                                    const std::vector<const void*>& inputs,
                                    const std::vector<float*>& outputs,
                                    int threads) const {
  std::vector<double> seconds(told_.size(), 0.0);
  RunAll(items, inputs, outputs, threads, seconds.data());
  return seconds;
}

void Model::RunAll(std::int64_t items, const std::vector<const void*>& inputs,
                   const std::vector<float*>& outputs, int threads,
                   double* seconds) const {
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!inputs_[i].is_bytes && !AreFinite(static_cast<const float*>(inputs[i]),
                                           items * inputs_[i].count())) {
      throw ModelError("input '" + inputs_[i].name + "' holds NaN or infinity");
    }
  }
  if (items == 0) {
    return;
  }
  if (threads < 1) {
    threads = omp_get_max_threads();
  }
  const Program& program = compiled_->program;
  const std::int64_t fit =
      kCacheBytes / std::max<std::int64_t>(1, program.arena_bytes);
  // Blocks of items that fit the cache, one after the other. Where there are
  // enough of them each thread has its own, else all work on the same.
  const bool is_apart =
      threads > 1 && items >= 2 * threads && seconds == nullptr;
  const std::int64_t share =
      is_apart ? RoundUp(items, threads) / threads : items;
  const std::int64_t together =
      std::max<std::int64_t>(1, std::min({fit, kMostItems, share}));
  const std::int64_t blocks = RoundUp(items, together) / together;
  const int inner = is_apart ? 1 : threads;
  const auto run_block = [&](std::int64_t i, Arenas::Arena& arena) {
    const std::int64_t first = i * together;
    Block block;
    block.items = std::min(together, items - first);
    block.arena = reinterpret_cast<std::byte*>(arena.memory.get());
    block.scratch_bytes = program.scratch_bytes;
    block.scratch =
        block.arena + RoundUp(program.arena_bytes * together + kSlack, 64);
    block.threads = inner;
    for (std::size_t j = 0; j < inputs_.size(); ++j) {
      const std::int64_t bytes =
          inputs_[j].count() *
          static_cast<std::int64_t>(inputs_[j].is_bytes ? 1 : sizeof(float));
      block.inputs.push_back(static_cast<const std::byte*>(inputs[j]) +
                             first * bytes);
    }
    for (std::size_t j = 0; j < outputs_.size(); ++j) {
      block.outputs.push_back(outputs[j] + first * outputs_[j].count());
    }
    for (std::size_t step = 0; step < program.steps.size(); ++step) {
      if (seconds == nullptr) {
        program.steps[step]->Run(block);
        continue;
      }
      const double begin = omp_get_wtime();
      program.steps[step]->Run(block);
      seconds[step] += omp_get_wtime() - begin;
    }
  };
  const std::int64_t bytes =
      RoundUp(program.arena_bytes * together + kSlack, 64) +
      program.scratch_bytes * inner + kSlack;
  if (!is_apart) {
    Arenas::Arena arena = arenas_->Take(bytes);
    for (std::int64_t i = 0; i < blocks; ++i) {
      run_block(i, arena);
    }
    arenas_->Return(std::move(arena));
    return;
  }
  std::vector<Arenas::Arena> arenas;
  for (int i = 0; i < threads; ++i) {
    arenas.push_back(arenas_->Take(bytes));
  }
#pragma omp parallel for schedule(dynamic) num_threads(threads)
  for (std::int64_t i = 0; i < blocks; ++i) {
    run_block(i, arenas[omp_get_thread_num()]);
  }
  for (Arenas::Arena& arena : arenas) {
    arenas_->Return(std::move(arena));
  }
}

std::vector<std::string> InstructionSets() {
  std::vector<std::string> names;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    names.emplace_back(hwy::TargetName(target));
  }
  return names;
}

void UseInstructionSet(const std::string& name) {
  hwy::SetSupportedTargetsForTest(0);
  std::int64_t chosen = 0;
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (name == hwy::TargetName(target)) {
      chosen = target;
    }
  }
  if (chosen == 0 && !name.empty()) {
    throw ModelError("'" + name + "' is no instruction set of this processor");
  }
  hwy::SetSupportedTargetsForTest(chosen);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace runtime
}  // namespace ul2q

#ifndef UL2Q_RUNTIME_STEPS_STEP_HPP_
#define UL2Q_RUNTIME_STEPS_STEP_HPP_

#include <omp.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ul2q/runtime/image.hpp"

namespace ul2q {
namespace runtime {

/// Where an array of each item of the batch lies.
struct Place {
  enum class Kind {
    kArena,  ///< the model's own memory
    kInput,  ///< what the caller gave
    kOutput  ///< what the caller gets
  };
  Kind kind = Kind::kArena;
  std::int64_t offset = 0;  ///< in the arena, in bytes for each item of a block
  int index = 0;            ///< of the input or output
  std::int64_t bytes = 0;   ///< of one item
};

/// An array of each item.
struct Array {
  Image image;
  Place place;
};

/// Some items of a batch on their way through a model.
struct Block {
  std::byte* arena = nullptr;
  std::int64_t items = 0;
  std::vector<const std::byte*> inputs;  ///< of the block's first item
  std::vector<float*> outputs;           ///< of the block's first item
  std::byte* scratch = nullptr;          ///< of the first thread
  std::int64_t scratch_bytes = 0;        ///< of each thread
  int threads = 1;

  /// An item's array.
  template <typename Value>
  Value* At(const Array& array, std::int64_t item) const {
    const Place& place = array.place;
    switch (place.kind) {
      case Place::Kind::kInput:  // only read
        return reinterpret_cast<Value*>(
            const_cast<std::byte*>(inputs[place.index]) + item * place.bytes);
      case Place::Kind::kOutput:
        return reinterpret_cast<Value*>(outputs[place.index] +
                                        item * place.bytes / sizeof(float));
      default:
        return reinterpret_cast<Value*>(arena + place.offset * items +
                                        item * place.bytes);
    }
  }

  /// Calls body(i, scratch) for each i from 0 to before `count`, on the block's
  /// threads, each with its own working memory.
  template <typename Body>
  void ForEach(std::int64_t count, const Body& body) const {
    if (threads == 1 || count == 1) {
      for (std::int64_t i = 0; i < count; ++i) {
        body(i, scratch);
      }
      return;
    }
#pragma omp parallel for schedule(static) num_threads(threads)
    for (std::int64_t i = 0; i < count; ++i) {
      body(i, scratch + omp_get_thread_num() * scratch_bytes);
    }
  }
};

/// A part of a model: reads arrays and writes one. It has no state.
class Step {
 public:
  virtual ~Step() = default;
  virtual void Run(const Block& block) const = 0;

  /// Working memory of a thread.
  virtual std::int64_t scratch_bytes() const { return 0; }
};

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_STEP_HPP_

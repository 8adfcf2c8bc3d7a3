#ifndef UL2Q_FLOAT_ENGINE_PARALLEL_HPP_
#define UL2Q_FLOAT_ENGINE_PARALLEL_HPP_

#include <omp.h>

#include <cstdint>
#include <vector>

#include "ul2q/core/kernels/blocks.hpp"

namespace ul2q {

/// Calls body(i) for each i from 0 to before `count`, on several threads where
/// all of them together, of `elements` elements, are worth it.
template <typename Body>
void ParallelFor(std::int64_t count, std::int64_t elements, const Body& body) {
  if (!IsWorthThreads(elements)) {  // without a call of OpenMP, either
    for (std::int64_t i = 0; i < count; ++i) {
      body(i);
    }
    return;
  }
#pragma omp parallel for schedule(static)
  for (std::int64_t i = 0; i < count; ++i) {
    body(i);
  }
}

/// Working memory of each thread that ParallelFor may use.
template <typename Dtype>
class Scratch {
 public:
  /// At least `size` elements a thread.
  void Resize(std::int64_t size) {
    // No two threads write to one line of memory.
    size_ = (size + kLine - 1) / kLine * kLine;
    values_.resize(size_ * omp_get_max_threads());
  }

  Dtype* OfThread() { return values_.data() + size_ * omp_get_thread_num(); }

 private:
  static constexpr std::int64_t kLine = 64 / sizeof(Dtype);

  std::int64_t size_ = 0;
  std::vector<Dtype> values_;
};

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_PARALLEL_HPP_

#ifndef UL2Q_RUNTIME_MODEL_HPP_
#define UL2Q_RUNTIME_MODEL_HPP_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ul2q/runtime/graph.hpp"

namespace ul2q {
namespace runtime {

/// A net that is ready to run: weights packed, memory planned. It never
/// changes, so that several threads may run it at once.
///
/// The codes that it computes are the same on every processor.
class Model {
 public:
  /// Throws ModelError, with the layer, where a graph cannot be run.
  explicit Model(const Graph& graph);
  ~Model();

  /// Of an item, in the order of the graph.
  const std::vector<Tensor>& inputs() const { return inputs_; }
  const std::vector<Tensor>& outputs() const { return outputs_; }

  /// Runs `items` items: float32, or uint8 where an input is of bytes, an item
  /// behind the other, each in Caffe's order. Takes `threads` threads, 0 for as
  /// many as OpenMP has. Throws ModelError where an input holds NaN or
  /// infinity.
  void Run(std::int64_t items, const std::vector<const void*>& inputs,
           const std::vector<float*>& outputs, int threads = 0) const;

  /// The same, and the seconds that each step has taken.
  std::vector<double> RunTimed(std::int64_t items,
                               const std::vector<const void*>& inputs,
                               const std::vector<float*>& outputs,
                               int threads = 0) const;

  /// What each step is, for people: "conv2: 3 × 3 codes by Winograd's way".
  const std::vector<std::string>& steps() const { return told_; }

  /// Memory for one item on its way through the model.
  std::int64_t item_bytes() const;

 private:
  struct Compiled;
  class Arenas;

  /// `seconds`: what steps take is added to its elements; may be null.
  void RunAll(std::int64_t items, const std::vector<const void*>& inputs,
              const std::vector<float*>& outputs, int threads,
              double* seconds) const;

  std::vector<Tensor> inputs_, outputs_;
  std::vector<std::string> told_;
  std::unique_ptr<const Compiled> compiled_;
  std::unique_ptr<Arenas> arenas_;
};

/// The instruction sets that kernels are there for and this processor has, the
/// best first, by Highway's names.
std::vector<std::string> InstructionSets();

/// Takes the named set in place of the best; "" for the best again. For tests
/// and timings, while no model runs. Throws ModelError for a name that
/// InstructionSets does not give.
void UseInstructionSet(const std::string& name);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_MODEL_HPP_

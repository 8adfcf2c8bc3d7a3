#ifndef UL2Q_RUNTIME_COMPILER_HPP_
#define UL2Q_RUNTIME_COMPILER_HPP_

#include <memory>
#include <string>
#include <vector>

#include "ul2q/runtime/graph.hpp"
#include "ul2q/runtime/steps/step.hpp"

namespace ul2q {
namespace runtime {

/// Steps in their order, and the memory that they need.
struct Program {
  std::vector<std::unique_ptr<Step>> steps;
  std::vector<std::string> told;   ///< what each step is
  std::int64_t arena_bytes = 0;    ///< for each item
  std::int64_t scratch_bytes = 0;  ///< for each thread
};

/// The steps of a graph. Throws ModelError, with the layer, where it cannot be
/// run.
Program Compile(const Graph& graph);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_COMPILER_HPP_

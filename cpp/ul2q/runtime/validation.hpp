#ifndef UL2Q_RUNTIME_VALIDATION_HPP_
#define UL2Q_RUNTIME_VALIDATION_HPP_

#include <cstdint>
#include <vector>

#include "ul2q/runtime/graph.hpp"

namespace ul2q {
namespace runtime {

/// Throws ModelError, with the layer, where a graph's shapes, sizes and order
/// do not fit together.
void Validate(const Graph& graph);

/// Throws ModelError where sums of `inputs` products of codes up to `highest`
/// with these weights need not fit 32 bits.
void CheckSums(const Node& node, const std::vector<std::int8_t>& weights,
               std::int64_t inputs, int highest);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_VALIDATION_HPP_

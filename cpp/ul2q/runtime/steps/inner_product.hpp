#ifndef UL2Q_RUNTIME_STEPS_INNER_PRODUCT_HPP_
#define UL2Q_RUNTIME_STEPS_INNER_PRODUCT_HPP_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "ul2q/runtime/graph.hpp"
#include "ul2q/runtime/steps/product_terms.hpp"
#include "ul2q/runtime/steps/step.hpp"

namespace ul2q {
namespace runtime {

/// What `MakeInnerProduct` needs to know.
struct InnerProductPlan {
  const InnerProduct* product;
  std::optional<Coding> coding;  ///< of the codes that it reads; absent: floats
  Ending ending;
  Array from, to;
  /// Where the item's elements, in their own order, lie in `from`.
  std::vector<std::int64_t> places;
};

/// Reads codes with weights that stay packed in memory, or floats.
std::unique_ptr<Step> MakeInnerProduct(const InnerProductPlan& plan);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_INNER_PRODUCT_HPP_

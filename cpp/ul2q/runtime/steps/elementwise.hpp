#ifndef UL2Q_RUNTIME_STEPS_ELEMENTWISE_HPP_
#define UL2Q_RUNTIME_STEPS_ELEMENTWISE_HPP_

#include <cstdint>
#include <memory>
#include <vector>

#include "ul2q/runtime/graph.hpp"
#include "ul2q/runtime/steps/step.hpp"

namespace ul2q {
namespace runtime {

// Steps over floats whose arrays lie alike, but for their borders.

std::unique_ptr<Step> MakeFunction(const Function& function, const Array& from,
                                   const Array& to);

/// `scale` and `shift` have an element for each of a row.
std::unique_ptr<Step> MakeAffine(std::vector<float> scale,
                                 std::vector<float> shift, const Array& from,
                                 const Array& to);

/// `slopes` has an element for each of a row.
std::unique_ptr<Step> MakePRelu(std::vector<float> slopes, const Array& from,
                                const Array& to);

/// Of outer × extent × inner floats along the middle axis.
std::unique_ptr<Step> MakeSoftmax(std::int64_t outer, std::int64_t extent,
                                  std::int64_t inner, const Array& from,
                                  const Array& to);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_ELEMENTWISE_HPP_

#ifndef UL2Q_RUNTIME_STEPS_COMBINATION_HPP_
#define UL2Q_RUNTIME_STEPS_COMBINATION_HPP_

#include <memory>
#include <optional>
#include <vector>

#include "ul2q/runtime/graph.hpp"
#include "ul2q/runtime/steps/product_terms.hpp"
#include "ul2q/runtime/steps/step.hpp"

namespace ul2q {
namespace runtime {

// Steps that make one tensor of several, whose arrays lie alike, but for their
// borders.

/// One of them: codes, or floats.
struct Term {
  Array from;
  std::optional<Coding> coding;
  double scale = 1;
};

/// Σ scale · x, and what follows.
std::unique_ptr<Step> MakeSum(const std::vector<Term>& terms,
                              const Ending& ending, const Array& to);

/// The sums of codes, which fit a byte, or the largest of them.
std::unique_ptr<Step> MakeCodeSum(std::vector<Array> from, const Array& to);
std::unique_ptr<Step> MakeCodeMaximum(std::vector<Array> from, const Array& to);

/// The channels of images one behind the other; of codes, or of floats.
std::unique_ptr<Step> MakeChannelConcat(std::vector<Array> from, bool of_codes,
                                        const Array& to);

/// Of floats.
std::unique_ptr<Step> MakeCombination(const Combination& combination,
                                      std::vector<Array> from, const Array& to);

/// Of floats in Caffe's order, along the axis with `counts` elements behind
/// each input's index.
std::unique_ptr<Step> MakeConcat(std::vector<Array> from,
                                 std::vector<std::int64_t> counts,
                                 const Array& to);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_COMBINATION_HPP_

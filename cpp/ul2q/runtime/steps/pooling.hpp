#ifndef UL2Q_RUNTIME_STEPS_POOLING_HPP_
#define UL2Q_RUNTIME_STEPS_POOLING_HPP_

#include <memory>

#include "ul2q/runtime/graph.hpp"
#include "ul2q/runtime/steps/product_terms.hpp"
#include "ul2q/runtime/steps/step.hpp"

namespace ul2q {
namespace runtime {

/// The mean of codes, and what follows.
std::unique_ptr<Step> MakeMeanOfCodes(const Pooling& pooling,
                                      const Coding& coding,
                                      const Ending& ending, const Array& from,
                                      const Array& to);

/// Reads and writes codes, of which the largest stands for the largest value,
/// or floats. A mean is one of floats.
std::unique_ptr<Step> MakePooling(const Pooling& pooling, bool of_codes,
                                  const Array& from, const Array& to);

/// Local response normalisation of floats.
std::unique_ptr<Step> MakeLrn(const Lrn& lrn, const Array& from,
                              const Array& to);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_POOLING_HPP_

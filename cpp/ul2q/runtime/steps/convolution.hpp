#ifndef UL2Q_RUNTIME_STEPS_CONVOLUTION_HPP_
#define UL2Q_RUNTIME_STEPS_CONVOLUTION_HPP_

#include <memory>
#include <optional>

#include "ul2q/runtime/graph.hpp"
#include "ul2q/runtime/steps/product_terms.hpp"
#include "ul2q/runtime/steps/step.hpp"

namespace ul2q {
namespace runtime {

/// What `MakeConvolution` needs to know.
struct ConvolutionPlan {
  const Convolution* convolution;
  std::optional<Coding> coding;  ///< of the codes that it reads; absent: floats
  Ending ending;
  Array from, to;
};

/// Whether 2 × 2 outputs at once, by Winograd's way, are the same integers and
/// cheaper; `highest` is the largest code.
bool IsForWinograd(const Convolution& convolution, std::int64_t channels,
                   int highest);

/// Makes the border of what a convolution reads as wide as its step needs it.
void WidenFor(const Convolution& convolution, bool by_winograd,
              const Image& output, Image& input);

/// A convolution by products of rows of pixels.
std::unique_ptr<Step> MakeConvolution(const ConvolutionPlan& plan);

/// One in 3 × 3 pixels by Winograd's way.
std::unique_ptr<Step> MakeWinogradConvolution(const ConvolutionPlan& plan);

/// The weights with zeros between groups: N × C × height × width. Integers stay
/// integers where that is asked for; their shifts must be 0 then.
Weights WithoutGroups(const Convolution& convolution, std::int64_t channels,
                      bool as_integers);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_CONVOLUTION_HPP_

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

/// Makes the border of what a convolution reads as wide as its step needs it,
/// which computes blocks of as many pixels.
void WidenFor(const Convolution& convolution, Pair pixels, const Image& output,
              Image& input);

/// A convolution by products of rows of pixels.
std::unique_ptr<Step> MakeConvolution(const ConvolutionPlan& plan);

/// One in 3 × 3 pixels by Winograd's way.
std::unique_ptr<Step> MakeWinogradConvolution(const ConvolutionPlan& plan);

/// Whether each channel is a group with one output.
bool IsDepthwise(const Convolution& convolution, std::int64_t channels);

/// Such a one.
std::unique_ptr<Step> MakeDepthwiseConvolution(const ConvolutionPlan& plan);

/// A step of a plan for its codes or floats.
template <template <typename Value, typename Result> class ConvolutionStep>
std::unique_ptr<Step> MakeStep(const ConvolutionPlan& plan) {
  const bool to_codes = plan.ending.quantize.has_value();
  if (plan.coding) {
    if (to_codes) {
      return std::make_unique<ConvolutionStep<std::uint8_t, std::uint8_t>>(
          plan);
    }
    return std::make_unique<ConvolutionStep<std::uint8_t, float>>(plan);
  }
  if (to_codes) {
    return std::make_unique<ConvolutionStep<float, std::uint8_t>>(plan);
  }
  return std::make_unique<ConvolutionStep<float, float>>(plan);
}

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_CONVOLUTION_HPP_

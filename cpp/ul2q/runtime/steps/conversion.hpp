#ifndef UL2Q_RUNTIME_STEPS_CONVERSION_HPP_
#define UL2Q_RUNTIME_STEPS_CONVERSION_HPP_

#include <memory>

#include "ul2q/runtime/graph.hpp"
#include "ul2q/runtime/steps/product_terms.hpp"
#include "ul2q/runtime/steps/step.hpp"

namespace ul2q {
namespace runtime {

/// Floats in Caffe's order, channel after channel, as an image.
std::unique_ptr<Step> MakePlainToImage(const Array& from, const Array& to);

/// The reverse.
std::unique_ptr<Step> MakeImageToPlain(const Array& from, const Array& to);

/// The same floats in another place.
std::unique_ptr<Step> MakeCopy(const Array& from, const Array& to);

/// Clears what stands behind the channels of codes, where it may be other than
/// 0.
std::unique_ptr<Step> MakeClearTails(const Array& codes);

/// From floats to codes.
std::unique_ptr<Step> MakeQuantize(const Quantize& quantize, const Array& from,
                                   const Array& to);

/// From codes to codes of a quantisation.
std::unique_ptr<Step> MakeRequantize(const Coding& coding,
                                     const Quantize& quantize,
                                     const Array& from, const Array& to);

/// From bytes in Caffe's order to an image of the same codes.
std::unique_ptr<Step> MakeBytesToCodes(const Array& from, const Array& to);

/// From bytes in Caffe's order to the floats that they stand for; `behind`
/// elements of a channel lie one behind the other.
std::unique_ptr<Step> MakeBytesToPlain(const Coding& coding,
                                       std::int64_t behind, const Array& from,
                                       const Array& to);

/// From codes to floats.
std::unique_ptr<Step> MakeDequantize(const Coding& coding, const Array& from,
                                     const Array& to);

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_STEPS_CONVERSION_HPP_

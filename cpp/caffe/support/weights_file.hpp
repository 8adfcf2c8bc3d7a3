#ifndef UL2Q_SUPPORT_WEIGHTS_FILE_HPP_
#define UL2Q_SUPPORT_WEIGHTS_FILE_HPP_

#include <string>

namespace ul2q {

/// Why a file that does not parse as a net's weights is none: "it is the state
/// of a solver; its weights are x.caffemodel". It may be empty, a solver's
/// state, text, or damaged.
std::string WhyNoWeights(const std::string& path);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_WEIGHTS_FILE_HPP_

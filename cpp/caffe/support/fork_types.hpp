#ifndef UL2Q_SUPPORT_FORK_TYPES_HPP_
#define UL2Q_SUPPORT_FORK_TYPES_HPP_

#include <string>
#include <vector>

namespace ul2q {

/// What there is to say of an unknown layer type, as sentences with a space in
/// front: which fork of Caffe has it, and what to do; or, where no fork's is
/// known by this name, which of the `known` types may be meant.
std::string AboutForkType(const std::string& type,
                          const std::vector<std::string>& known);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_FORK_TYPES_HPP_

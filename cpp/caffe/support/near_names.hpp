#ifndef UL2Q_SUPPORT_NEAR_NAMES_HPP_
#define UL2Q_SUPPORT_NEAR_NAMES_HPP_

#include <string>
#include <vector>

namespace ul2q {

/// Those of `known` that `name` is a likely misspelling of, the nearest first:
/// a third of the letters may be wrong, missing, too many or swapped with
/// their neighbour; upper and lower case are one.
std::vector<std::string> NearNames(const std::string& name,
                                   const std::vector<std::string>& known);

/// " Did you mean \"Convolution\"?" with the names of NearNames (three at
/// most), or "" if there is none.
std::string DidYouMean(const std::string& name,
                       const std::vector<std::string>& known);

/// The names with ", " between them.
std::string Listed(const std::vector<std::string>& names);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_NEAR_NAMES_HPP_

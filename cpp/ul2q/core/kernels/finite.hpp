#ifndef UL2Q_CORE_KERNELS_FINITE_HPP_
#define UL2Q_CORE_KERNELS_FINITE_HPP_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

#include "ul2q/core/quantizer.hpp"

namespace ul2q {

/// Says why a `statistic` of w is not finite: names its first NaN or infinite
/// element, or the overflow where there is none.
template <typename Dtype>
[[noreturn]] void ThrowNonFinite(const Dtype* w, std::int64_t n,
                                 const std::string& statistic) {
  const Dtype* bad =
      std::find_if(w, w + n, [](Dtype x) { return !std::isfinite(x); });
  if (bad == w + n) {
    throw NonFiniteError("holds values so large that their " + statistic +
                         " overflows");
  }
  throw NonFiniteError(
      std::string("holds ") + (std::isnan(*bad) ? "NaN" : "an infinite value") +
      " at element " + std::to_string(bad - w) + " of " + std::to_string(n));
}

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_FINITE_HPP_

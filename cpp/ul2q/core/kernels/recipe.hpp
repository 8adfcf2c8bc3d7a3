#ifndef UL2Q_CORE_KERNELS_RECIPE_HPP_
#define UL2Q_CORE_KERNELS_RECIPE_HPP_

#include <optional>
#include <variant>

#include "ul2q/core/kernels/fit_rule.hpp"
#include "ul2q/core/kernels/search.hpp"
#include "ul2q/core/kernels/sign.hpp"
#include "ul2q/core/kernels/ternary.hpp"
#include "ul2q/core/kernels/uniform.hpp"

namespace ul2q {

/// All that a device needs to know of a quantizer.
template <typename Dtype>
struct Recipe {
  FitRule rule;
  std::variant<typename UniformGrid<Dtype>::Shape,
               typename TernaryGrid<Dtype>::Shape,
               typename SignGrid<Dtype>::Shape>
      shape;
  std::optional<Search> search = {};  ///< absent: the fit is the rule's
};

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_RECIPE_HPP_

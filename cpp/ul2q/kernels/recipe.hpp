#ifndef UL2Q_KERNELS_RECIPE_HPP_
#define UL2Q_KERNELS_RECIPE_HPP_

#include <variant>

#include "ul2q/kernels/fit_rule.hpp"
#include "ul2q/kernels/sign.hpp"
#include "ul2q/kernels/ternary.hpp"
#include "ul2q/kernels/uniform.hpp"

namespace ul2q {

/// All that a device needs to know of a quantizer.
template <typename Dtype>
struct Recipe {
  FitRule rule;
  std::variant<typename UniformGrid<Dtype>::Shape,
               typename TernaryGrid<Dtype>::Shape,
               typename SignGrid<Dtype>::Shape>
      shape;
  /// The fit is searched for, which the CPU does; `rule` is where it begins.
  bool is_searched = false;
};

}  // namespace ul2q

#endif  // UL2Q_KERNELS_RECIPE_HPP_

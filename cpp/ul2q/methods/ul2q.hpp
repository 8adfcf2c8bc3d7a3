#ifndef UL2Q_METHODS_UL2Q_HPP_
#define UL2Q_METHODS_UL2Q_HPP_

#include "ul2q/quantizer.hpp"

namespace ul2q {

/// μL2Q, the paper's method: the uniform quantizer whose step minimises the
/// squared error on a normal distribution with the array's mean and deviation.
extern const Method kUl2q;

/// λ, the step in units of the standard deviation, from the table that `fit`
/// names; 0 where it has none (PAPER above 8 bits goes by the data's range).
double Ul2qStep(int bits, Fit fit);

}  // namespace ul2q

#endif  // UL2Q_METHODS_UL2Q_HPP_

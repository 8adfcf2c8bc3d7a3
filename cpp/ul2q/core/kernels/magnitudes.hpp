#ifndef UL2Q_CORE_KERNELS_MAGNITUDES_HPP_
#define UL2Q_CORE_KERNELS_MAGNITUDES_HPP_

#include <cstdint>

namespace ul2q {

/// Mean of |w| in double precision; 0 for n = 0. Throws NonFiniteError.
template <typename Dtype>
double MeanMagnitude(const Dtype* w, std::int64_t n);

/// Mean of the |w| that exceed the threshold; 0 where none does.
template <typename Dtype>
double MeanMagnitudeAbove(const Dtype* w, std::int64_t n, Dtype threshold);

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_MAGNITUDES_HPP_

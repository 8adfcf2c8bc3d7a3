#ifndef UL2Q_FLOAT_ENGINE_ELEMENT_LOOPS_HPP_
#define UL2Q_FLOAT_ENGINE_ELEMENT_LOOPS_HPP_

#include <cstdint>
#include <vector>

namespace ul2q {

/// Formulas on n elements, each loop compiled for several instruction sets. An
/// output may be an input of the same element.
template <typename Dtype>
struct ElementLoops {
  /// y = max(x, 0) + slope·min(x, 0)
  void (*relu)(const Dtype* x, std::int64_t n, Dtype slope, Dtype* y);
  /// dx = dy where x > 0, slope·dy elsewhere
  void (*relu_backward)(const Dtype* x, const Dtype* dy, std::int64_t n,
                        Dtype slope, Dtype* dx);
  /// y = x·mask·scale; the mask is 0 or 1.
  void (*mask)(const Dtype* x, const unsigned* mask, std::int64_t n,
               Dtype scale, Dtype* y);
};

/// Formulas on the n elements from `begin` on of several arrays.
template <typename Dtype>
struct EltwiseLoops {
  using Inputs = std::vector<const Dtype*>;
  using Outputs = std::vector<Dtype*>;

  /// y = Σ coeffs[k]·x[k]
  void (*sum)(const Inputs& x, const std::vector<Dtype>& coeffs,
              std::int64_t begin, std::int64_t n, Dtype* y);
  /// dx[k] = coeffs[k]·dy for each that is not null
  void (*sum_backward)(const Dtype* dy, const std::vector<Dtype>& coeffs,
                       std::int64_t begin, std::int64_t n, const Outputs& dx);
  /// y = Π x[k]
  void (*product)(const Inputs& x, std::int64_t begin, std::int64_t n,
                  Dtype* y);
  /// dx[k] = dy·Π x[j] over j ≠ k for each that is not null
  void (*product_backward)(const Inputs& x, const Dtype* dy, std::int64_t begin,
                           std::int64_t n, const Outputs& dx);
  /// dx[k] = y / x[k]·dy for each that is not null
  void (*quotient_backward)(const Inputs& x, const Dtype* y, const Dtype* dy,
                            std::int64_t begin, std::int64_t n,
                            const Outputs& dx);
  /// y = x[index], the first maximum; of the first two equal ones the second.
  void (*max)(const Inputs& x, std::int64_t begin, std::int64_t n, Dtype* y,
              int* index);
  /// dx[k] = dy where index is k, 0 elsewhere, for each that is not null
  void (*max_backward)(const Dtype* dy, const int* index, std::int64_t begin,
                       std::int64_t n, const Outputs& dx);
};

/// Those for the best instruction set that the processor has.
template <typename Dtype>
const ElementLoops<Dtype>& GetElementLoops();
template <typename Dtype>
const EltwiseLoops<Dtype>& GetEltwiseLoops();

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_ELEMENT_LOOPS_HPP_

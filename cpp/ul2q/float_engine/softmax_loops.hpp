#ifndef UL2Q_FLOAT_ENGINE_SOFTMAX_LOOPS_HPP_
#define UL2Q_FLOAT_ENGINE_SOFTMAX_LOOPS_HPP_

#include <cstdint>

namespace ul2q {

/// Columns that SoftmaxLoops takes at a time.
constexpr int kSoftmaxColumns = 256;

/// The softmax of columns: element c of a column lies at c * stride, the
/// columns lie side by side, at most kSoftmaxColumns of them. Compiled for
/// several instruction sets.
template <typename Dtype>
struct SoftmaxLoops {
  /// y = exp(x - max x) / Σ exp(x - max x). y may be x.
  void (*forward)(const Dtype* x, int channels, std::int64_t stride,
                  int columns, Dtype* y);
  /// dx = (dy - Σ dy · y) · y. dx may be dy.
  void (*backward)(const Dtype* y, const Dtype* dy, int channels,
                   std::int64_t stride, int columns, Dtype* dx);
};

/// Those for the best instruction set that the processor has.
template <typename Dtype>
const SoftmaxLoops<Dtype>& GetSoftmaxLoops();

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_SOFTMAX_LOOPS_HPP_

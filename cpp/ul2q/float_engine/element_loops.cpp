#include "ul2q/float_engine/element_loops.hpp"

#include <algorithm>
#include <cstddef>

#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/relu.hpp"

// Highway includes this file once more for each instruction set; see
// kernels/loops.cpp.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/element_loops.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

template <typename Dtype>
void ReluForward(const Dtype* x, std::int64_t n, Dtype slope, Dtype* y) {
#pragma GCC ivdep  // y may be x, but no other part of it; so below.
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = Relu(x[i], slope);
  }
}

template <typename Dtype>
void ReluBackward(const Dtype* x, const Dtype* dy, std::int64_t n, Dtype slope,
                  Dtype* dx) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    dx[i] = dy[i] * ReluDerivative(x[i], slope);
  }
}

template <typename Dtype>
void Mask(const Dtype* x, const unsigned* mask, std::int64_t n, Dtype scale,
          Dtype* y) {
#pragma GCC ivdep
  for (std::int64_t i = 0; i < n; ++i) {
    // From int: not all processors convert unsigned numbers.
    y[i] = x[i] * static_cast<Dtype>(static_cast<int>(mask[i])) * scale;
  }
}

/// Elements that are done at a time, so that several arrays are gone through
/// once, side by side.
constexpr std::int64_t kStep = 64;

/// Calls body(i, size) for each step of n elements from `begin` on.
template <typename Body>
HWY_INLINE void ForEachStep(std::int64_t begin, std::int64_t n,
                            const Body& body) {
  const std::int64_t end = begin + n;
  std::int64_t i = begin;
  for (; i + kStep <= end; i += kStep) {
    body(i, kStep);
  }
  if (i < end) {
    body(i, end - i);
  }
}

template <typename Dtype>
void EltwiseSum(const std::vector<const Dtype*>& x,
                const std::vector<Dtype>& coeffs, std::int64_t begin,
                std::int64_t n, Dtype* y) {
  ForEachStep(begin, n, [&](std::int64_t i, std::int64_t size) {
    Dtype sum[kStep] = {};
    for (std::size_t k = 0; k < x.size(); ++k) {
      const Dtype coeff = coeffs[k];
      const Dtype* in = x[k] + i;
      for (std::int64_t j = 0; j < size; ++j) {
        sum[j] += coeff * in[j];
      }
    }
    std::copy(sum, sum + size, y + i);
  });
}

template <typename Dtype>
void EltwiseSumBackward(const Dtype* dy, const std::vector<Dtype>& coeffs,
                        std::int64_t begin, std::int64_t n,
                        const std::vector<Dtype*>& dx) {
  ForEachStep(begin, n, [&](std::int64_t i, std::int64_t size) {
    Dtype g[kStep];
    std::copy(dy + i, dy + i + size, g);
    for (std::size_t k = 0; k < dx.size(); ++k) {
      if (dx[k] == nullptr) {
        continue;
      }
      const Dtype coeff = coeffs[k];
      Dtype* out = dx[k] + i;
      for (std::int64_t j = 0; j < size; ++j) {
        out[j] = coeff * g[j];
      }
    }
  });
}

/// Multiplies into `product` the elements from i on of all but x[except].
template <typename Dtype>
HWY_INLINE void Multiply(const std::vector<const Dtype*>& x, std::size_t except,
                         std::int64_t i, std::int64_t size, Dtype* product) {
  for (std::size_t k = 0; k < x.size(); ++k) {
    if (k == except) {
      continue;
    }
    const Dtype* in = x[k] + i;
    for (std::int64_t j = 0; j < size; ++j) {
      product[j] *= in[j];
    }
  }
}

template <typename Dtype>
void EltwiseProduct(const std::vector<const Dtype*>& x, std::int64_t begin,
                    std::int64_t n, Dtype* y) {
  ForEachStep(begin, n, [&](std::int64_t i, std::int64_t size) {
    Dtype product[kStep];
    std::copy(x[0] + i, x[0] + i + size, product);
    Multiply(x, 0, i, size, product);
    std::copy(product, product + size, y + i);
  });
}

template <typename Dtype>
void EltwiseProductBackward(const std::vector<const Dtype*>& x, const Dtype* dy,
                            std::int64_t begin, std::int64_t n,
                            const std::vector<Dtype*>& dx) {
  ForEachStep(begin, n, [&](std::int64_t i, std::int64_t size) {
    Dtype g[kStep];
    std::copy(dy + i, dy + i + size, g);
    for (std::size_t k = 0; k < dx.size(); ++k) {
      if (dx[k] == nullptr) {
        continue;
      }
      Dtype product[kStep];
      std::fill(product, product + size, Dtype(1));
      Multiply(x, k, i, size, product);
      Dtype* out = dx[k] + i;
      for (std::int64_t j = 0; j < size; ++j) {
        out[j] = product[j] * g[j];
      }
    }
  });
}

template <typename Dtype>
void EltwiseQuotientBackward(const std::vector<const Dtype*>& x, const Dtype* y,
                             const Dtype* dy, std::int64_t begin,
                             std::int64_t n, const std::vector<Dtype*>& dx) {
  ForEachStep(begin, n, [&](std::int64_t i, std::int64_t size) {
    Dtype g[kStep];
    std::copy(dy + i, dy + i + size, g);
    for (std::size_t k = 0; k < dx.size(); ++k) {
      if (dx[k] == nullptr) {
        continue;
      }
      const Dtype* in = x[k] + i;
      const Dtype* of = y + i;
      Dtype* out = dx[k] + i;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < size; ++j) {
        out[j] = of[j] / in[j] * g[j];
      }
    }
  });
}

template <typename Dtype>
void EltwiseMax(const std::vector<const Dtype*>& x, std::int64_t begin,
                std::int64_t n, Dtype* y, int* index) {
  ForEachStep(begin, n, [&](std::int64_t i, std::int64_t size) {
    Dtype value[kStep];
    int at[kStep];
    const Dtype* a = x[0] + i;
    const Dtype* b = x[1] + i;
    for (std::int64_t j = 0; j < size; ++j) {
      const bool is_first = a[j] > b[j];
      value[j] = is_first ? a[j] : b[j];
      at[j] = is_first ? 0 : 1;
    }
    for (std::size_t k = 2; k < x.size(); ++k) {
      const Dtype* in = x[k] + i;
      for (std::int64_t j = 0; j < size; ++j) {
        const bool is_above = in[j] > value[j];
        value[j] = is_above ? in[j] : value[j];
        at[j] = is_above ? static_cast<int>(k) : at[j];
      }
    }
    std::copy(value, value + size, y + i);
    std::copy(at, at + size, index + i);
  });
}

template <typename Dtype>
void EltwiseMaxBackward(const Dtype* dy, const int* index, std::int64_t begin,
                        std::int64_t n, const std::vector<Dtype*>& dx) {
  ForEachStep(begin, n, [&](std::int64_t i, std::int64_t size) {
    Dtype g[kStep];
    std::copy(dy + i, dy + i + size, g);
    for (std::size_t k = 0; k < dx.size(); ++k) {
      if (dx[k] == nullptr) {
        continue;
      }
      const int* at = index + i;
      Dtype* out = dx[k] + i;
#pragma GCC ivdep
      for (std::int64_t j = 0; j < size; ++j) {
        out[j] = at[j] == static_cast<int>(k) ? g[j] : Dtype(0);
      }
    }
  });
}

template <typename Dtype>
ElementLoops<Dtype> MakeElementLoops() {
  return {&ReluForward<Dtype>, &ReluBackward<Dtype>, &Mask<Dtype>};
}

template <typename Dtype>
EltwiseLoops<Dtype> MakeEltwiseLoops() {
  return {&EltwiseSum<Dtype>,
          &EltwiseSumBackward<Dtype>,
          &EltwiseProduct<Dtype>,
          &EltwiseProductBackward<Dtype>,
          &EltwiseQuotientBackward<Dtype>,
          &EltwiseMax<Dtype>,
          &EltwiseMaxBackward<Dtype>};
}

const EngineTable<ElementLoops, EltwiseLoops>& Table() {
  static const EngineTable<ElementLoops, EltwiseLoops> table{
      MakeElementLoops<float>(), MakeEltwiseLoops<float>(),
      MakeElementLoops<double>(), MakeEltwiseLoops<double>()};
  return table;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

HWY_EXPORT(Table);
UL2Q_DISPATCH(ElementLoops);
UL2Q_DISPATCH(EltwiseLoops);

}  // namespace ul2q
#endif

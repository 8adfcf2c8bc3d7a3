// Sum, product or maximum of all bottoms in one pass, and all their gradients
// in another. In place, SUM and MAX are right, too, whatever the top
// overwrites.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "caffe/layers/eltwise_layer.hpp"
#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/engine.hpp"

#ifndef UL2Q_FLOAT_ENGINE_ELTWISE_CPP_  // once, before the instruction sets
#define UL2Q_FLOAT_ENGINE_ELTWISE_CPP_
namespace ul2q {

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

}  // namespace ul2q
#endif

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/eltwise.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

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
void Sum(const std::vector<const Dtype*>& x, const std::vector<Dtype>& coeffs,
         std::int64_t begin, std::int64_t n, Dtype* y) {
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
void SumBackward(const Dtype* dy, const std::vector<Dtype>& coeffs,
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
void Product(const std::vector<const Dtype*>& x, std::int64_t begin,
             std::int64_t n, Dtype* y) {
  ForEachStep(begin, n, [&](std::int64_t i, std::int64_t size) {
    Dtype product[kStep];
    std::copy(x[0] + i, x[0] + i + size, product);
    Multiply(x, 0, i, size, product);
    std::copy(product, product + size, y + i);
  });
}

template <typename Dtype>
void ProductBackward(const std::vector<const Dtype*>& x, const Dtype* dy,
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
void QuotientBackward(const std::vector<const Dtype*>& x, const Dtype* y,
                      const Dtype* dy, std::int64_t begin, std::int64_t n,
                      const std::vector<Dtype*>& dx) {
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
void Max(const std::vector<const Dtype*>& x, std::int64_t begin, std::int64_t n,
         Dtype* y, int* index) {
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
void MaxBackward(const Dtype* dy, const int* index, std::int64_t begin,
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
EltwiseLoops<Dtype> MakeLoops() {
  return {&Sum<Dtype>,
          &SumBackward<Dtype>,
          &Product<Dtype>,
          &ProductBackward<Dtype>,
          &QuotientBackward<Dtype>,
          &Max<Dtype>,
          &MaxBackward<Dtype>};
}

UL2Q_LOOP_TABLE(EltwiseLoops);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

UL2Q_EXPORT_LOOPS(EltwiseLoops);

}  // namespace ul2q

namespace caffe {
namespace {

template <typename Dtype>
vector<const Dtype*> DataOf(const vector<Blob<Dtype>*>& blobs) {
  vector<const Dtype*> data;
  for (const Blob<Dtype>* blob : blobs) {
    data.push_back(blob->cpu_data());
  }
  return data;
}

template <typename Dtype>
class FastEltwiseLayer : public EltwiseLayer<Dtype> {
 public:
  using EltwiseLayer<Dtype>::EltwiseLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    const vector<const Dtype*> x = DataOf(bottom);
    Dtype* y = top[0]->mutable_cpu_data();
    int* index = this->op_ == EltwiseParameter::MAX
                     ? this->max_idx_.mutable_cpu_data()
                     : nullptr;
    const auto& loops = ul2q::GetEltwiseLoops<Dtype>();
    ul2q::ForEachThread(top[0]->count(), [&](int64_t begin, int64_t end) {
      switch (this->op_) {
        case EltwiseParameter::SUM:
          loops.sum(x, this->coeffs_, begin, end - begin, y);
          break;
        case EltwiseParameter::PROD:
          loops.product(x, begin, end - begin, y);
          break;
        case EltwiseParameter::MAX:
          loops.max(x, begin, end - begin, y, index);
          break;
      }
    });
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    const vector<const Dtype*> x = DataOf(bottom);
    const Dtype* y = top[0]->cpu_data();
    const Dtype* dy = top[0]->cpu_diff();
    vector<Dtype*> dx;
    for (size_t i = 0; i < bottom.size(); ++i) {
      dx.push_back(propagate_down[i] ? bottom[i]->mutable_cpu_diff() : nullptr);
    }
    const int* index = this->op_ == EltwiseParameter::MAX
                           ? this->max_idx_.cpu_data()
                           : nullptr;
    const auto& loops = ul2q::GetEltwiseLoops<Dtype>();
    ul2q::ForEachThread(top[0]->count(), [&](int64_t begin, int64_t end) {
      const int64_t n = end - begin;
      switch (this->op_) {
        case EltwiseParameter::SUM:
          loops.sum_backward(dy, this->coeffs_, begin, n, dx);
          break;
        case EltwiseParameter::PROD:
          if (this->stable_prod_grad_) {
            loops.product_backward(x, dy, begin, n, dx);
          } else {
            loops.quotient_backward(x, y, dy, begin, n, dx);
          }
          break;
        case EltwiseParameter::MAX:
          loops.max_backward(dy, index, begin, n, dx);
          break;
      }
    });
  }
};

const FastLayer<FastEltwiseLayer> registration("Eltwise");

}  // namespace
}  // namespace caffe
#endif

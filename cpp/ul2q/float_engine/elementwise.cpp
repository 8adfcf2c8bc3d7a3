// AbsVal, BNLL, Clip, ELU, Exp, Log, Power, Sigmoid, Swish, TanH and Threshold:
// layers that are a formula of one element, vectorised and on several threads.
// In place the gradients are right, too, where BVLC's take the output for the
// input.
//
// Exponentials, logarithms and tanh are those of Highway. A value is within
// four units in the last place of the formula's, of the arguments that BVLC's
// layers round to.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "caffe/layers/absval_layer.hpp"
#include "caffe/layers/bnll_layer.hpp"
#include "caffe/layers/clip_layer.hpp"
#include "caffe/layers/elu_layer.hpp"
#include "caffe/layers/exp_layer.hpp"
#include "caffe/layers/log_layer.hpp"
#include "caffe/layers/power_layer.hpp"
#include "caffe/layers/sigmoid_layer.hpp"
#include "caffe/layers/swish_layer.hpp"
#include "caffe/layers/tanh_layer.hpp"
#include "caffe/layers/threshold_layer.hpp"
#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/core/kernels/lanes.hpp"
#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/engine.hpp"
#include "ul2q/float_engine/parallel.hpp"

#ifndef UL2Q_FLOAT_ENGINE_ELEMENTWISE_CPP_  // once, before the instruction sets
#define UL2Q_FLOAT_ENGINE_ELEMENTWISE_CPP_
namespace ul2q {

/// The rows of the table of formulas.
enum class Formula {
  kAbs,
  kSoftplus,
  kClip,
  kElu,
  kExp,
  kLog,
  kLinear,
  kSquare,
  kRoot,
  kPower,
  kSigmoid,
  kSwish,
  kTanh,
  kThreshold,
  kCount
};

/// The numbers in a formula, by the letters that it stands with.
template <typename Dtype>
struct Constants {
  Dtype a = 0, b = 0, c = 0, d = 0;
};

/// Formulas on n elements; an output may be an input of the same element.
template <typename Dtype>
struct ElementwiseLoops {
  struct Row {
    /// y = f(x)
    void (*forward)(const Dtype* x, std::int64_t n,
                    const Constants<Dtype>& constants, Dtype* y);
    /// dx = dy·f'(x), where y is f(x); null where there is no derivative.
    void (*backward)(const Dtype* x, const Dtype* y, const Dtype* dy,
                     std::int64_t n, const Constants<Dtype>& constants,
                     Dtype* dx);
  };
  Row of[static_cast<int>(Formula::kCount)];
};

}  // namespace ul2q
#endif

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/elementwise.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>  // after highway.h

#include "ul2q/core/kernels/load_double-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

template <typename Dtype>
using Tag = hn::CappedTag<Dtype, kLanes>;
template <typename Dtype>
using Vector = hn::Vec<Tag<Dtype>>;

template <class D, typename Dtype = hn::TFromD<D>>
HWY_INLINE hn::Vec<D> Number(D d, double value) {
  return hn::Set(d, static_cast<Dtype>(value));
}

// Highway's functions on all numbers: beyond the range that theirs take, and
// for NaN, they give what those of the standard library do.

/// Where the exponential is infinite, and Highway's still right.
template <typename Dtype>
constexpr Dtype kInfiniteExp = sizeof(Dtype) == 4 ? 104 : 1000;

template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpOf(D d, V x) {
  using Dtype = hn::TFromD<D>;
  const V bounded = hn::Min(x, hn::Set(d, kInfiniteExp<Dtype>));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, bounded));
}

/// e^x - 1 of no positive number
template <class D, class V = hn::Vec<D>>
HWY_INLINE V Expm1Of(D d, V x) {
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Expm1(d, x));
}

template <class D, class V = hn::Vec<D>>
HWY_INLINE V LogOf(D d, V x) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const V zero = hn::Zero(d);
  V y = hn::Log(d, x);
  y = hn::IfThenElse(hn::Eq(x, zero), Number(d, -kInfinity), y);
  y = hn::IfThenElse(hn::Lt(x, zero), Number(d, std::nan("")), y);
  const auto has_own = hn::Or(hn::Eq(x, Number(d, kInfinity)), hn::IsNaN(x));
  return hn::IfThenElse(has_own, x, y);
}

// The formulas: y of x, and the derivative by x and y.

/// |x|
struct Abs {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D, const C&, V x) {
    return hn::Abs(x);
  }
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C&, V x, V) {
    const V zero = hn::Zero(d);
    const V below = hn::IfThenElseZero(hn::Lt(x, zero), Number(d, -1));
    return hn::IfThenElse(hn::Gt(x, zero), Number(d, 1), below);
  }
};

/// log(1 + e^x), whose derivative is 1 - e^-y
struct Softplus {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C&, V x) {
    const V power = ExpOf(d, hn::Neg(hn::Abs(x)));
    const V above = hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);
    return hn::Add(above, hn::Log1p(d, power));
  }
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C&, V, V y) {
    return hn::Neg(Expm1Of(d, hn::Neg(y)));
  }
};

/// x, but at least a and at most b
struct Clip {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C& c, V x) {
    const V low = hn::Set(d, c.a);
    const V high = hn::Set(d, c.b);
    const V below_high = hn::IfThenElse(hn::Lt(high, x), high, x);
    return hn::IfThenElse(hn::Lt(low, below_high), below_high, low);
  }
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C& c, V x, V) {
    const auto inside =
        hn::And(hn::Ge(x, hn::Set(d, c.a)), hn::Le(x, hn::Set(d, c.b)));
    return hn::IfThenElseZero(inside, Number(d, 1));
  }
};

/// x where it is positive, a·(e^x - 1) elsewhere
struct Elu {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C& c, V x) {
    const auto is_above = hn::Gt(x, hn::Zero(d));
    const V below = Expm1Of(d, hn::IfThenZeroElse(is_above, x));
    return hn::IfThenElse(is_above, x, hn::Mul(hn::Set(d, c.a), below));
  }
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C& c, V x, V y) {
    const V below = hn::Add(hn::Set(d, c.a), y);
    return hn::IfThenElse(hn::Gt(x, hn::Zero(d)), Number(d, 1), below);
  }
};

/// b·e^(a·x)
struct Exp {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C& c, V x) {
    const V power = ExpOf(d, hn::Mul(hn::Set(d, c.a), x));
    return hn::Mul(hn::Set(d, c.b), power);
  }
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C& c, V, V y) {
    return hn::Mul(hn::Set(d, c.a), y);
  }
};

/// a·x + b, rounded twice as BVLC's
template <class D, class C, class V>
HWY_INLINE V LinearOf(D d, const C& c, V x) {
  return hn::Add(hn::Mul(hn::Set(d, c.a), x), hn::Set(d, c.b));
}

/// c·log(a·x + b); d is c·a
struct Log {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C& c, V x) {
    return hn::Mul(hn::Set(d, c.c), LogOf(d, LinearOf(d, c, x)));
  }
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C& c, V x, V) {
    return hn::Div(hn::Set(d, c.d), LinearOf(d, c, x));
  }
};

/// a·x + b
struct Linear {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C& c, V x) {
    return LinearOf(d, c, x);
  }
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C& c, V, V) {
    return hn::Set(d, c.a);
  }
};

/// (a·x + b)²; c is 2·a
struct Square {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C& c, V x) {
    const V root = LinearOf(d, c, x);
    return hn::Mul(root, root);
  }
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C& c, V x, V) {
    return hn::Mul(hn::Set(d, c.c), LinearOf(d, c, x));
  }
};

/// (a·x + b)^d, c is a·d: the derivative of all powers
struct AnyPower {
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C& c, V x, V y) {
    return hn::Mul(hn::Set(d, c.c), hn::Div(y, LinearOf(d, c, x)));
  }
};

/// (a·x + b)^½
struct Root : AnyPower {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C& c, V x) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    const V square = LinearOf(d, c, x);
    // By IEEE 754, pow of -∞ is ∞, and of -0 it is 0; sqrt's are not.
    const V root = hn::Sqrt(hn::Add(square, hn::Zero(d)));
    return hn::IfThenElse(hn::Eq(square, Number(d, -kInfinity)),
                          Number(d, kInfinity), root);
  }
};

/// 1 / (1 + e^-x), without an infinity on the way
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SigmoidOf(D d, V x) {
  const V one = Number(d, 1);
  const V power = ExpOf(d, hn::Neg(hn::Abs(x)));
  return hn::Div(hn::IfThenElse(hn::Lt(x, hn::Zero(d)), power, one),
                 hn::Add(one, power));
}

struct Sigmoid {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C&, V x) {
    return SigmoidOf(d, x);
  }
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C&, V, V y) {
    return hn::Mul(y, hn::Sub(Number(d, 1), y));
  }
};

/// x·sigmoid(a·x)
struct Swish {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C& c, V x) {
    return hn::Mul(x, SigmoidOf(d, hn::Mul(hn::Set(d, c.a), x)));
  }
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C& c, V x, V) {
    const V scaled = hn::Mul(hn::Set(d, c.a), x);
    const V sigmoid = SigmoidOf(d, scaled);
    const V one = Number(d, 1);
    const V slope = hn::Mul(scaled, hn::Sub(one, sigmoid));
    return hn::Mul(sigmoid, hn::Add(one, slope));
  }
};

struct Tanh {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C&, V x) {
    return hn::Tanh(d, x);
  }
  template <class D, class C, class V>
  static HWY_INLINE V Derivative(D d, const C&, V, V y) {
    return hn::Sub(Number(d, 1), hn::Mul(y, y));
  }
};

/// 1 where x > a, 0 elsewhere
struct Threshold {
  template <class D, class C, class V>
  static HWY_INLINE V Value(D d, const C& c, V x) {
    return hn::IfThenElseZero(hn::Gt(x, hn::Set(d, c.a)), Number(d, 1));
  }
};

/// f(i) for each vector of n elements, and for the last ones, as if they were
/// a whole vector: an element's result is the same wherever it stands.
template <std::size_t kInputs, typename Dtype, class Function>
HWY_INLINE void ForEachVector(const Dtype* const (&inputs)[kInputs],
                              std::int64_t n, Dtype* output,
                              const Function& f) {
  const Tag<Dtype> d;
  const std::int64_t lanes = hn::Lanes(d);
  std::int64_t i = 0;
  Vector<Dtype> values[kInputs];
  for (; i + lanes <= n; i += lanes) {
    for (std::size_t k = 0; k < kInputs; ++k) {
      values[k] = hn::LoadU(d, inputs[k] + i);
    }
    hn::StoreU(f(values), d, output + i);
  }
  if (i == n) {
    return;
  }
  Lanes<Dtype> rest;
  for (std::size_t k = 0; k < kInputs; ++k) {
    rest.Fill(0);
    std::copy(inputs[k] + i, inputs[k] + n, rest.of);
    values[k] = hn::Load(d, rest.of);
  }
  hn::Store(f(values), d, rest.of);
  std::copy(rest.of, rest.of + (n - i), output + i);
}

template <class Function, typename Dtype>
void Forward(const Dtype* x, std::int64_t n, const Constants<Dtype>& constants,
             Dtype* y) {
  const Constants<Dtype> c = constants;  // which no output can change
  const Dtype* const inputs[] = {x};
  ForEachVector(inputs, n, y, [&c](const Vector<Dtype>* in) {
    return Function::Value(Tag<Dtype>(), c, in[0]);
  });
}

template <class Function, typename Dtype>
void Backward(const Dtype* x, const Dtype* y, const Dtype* dy, std::int64_t n,
              const Constants<Dtype>& constants, Dtype* dx) {
  const Constants<Dtype> c = constants;
  const Dtype* const inputs[] = {x, y, dy};
  ForEachVector(inputs, n, dx, [&c](const Vector<Dtype>* in) {
    return hn::Mul(in[2], Function::Derivative(Tag<Dtype>(), c, in[0], in[1]));
  });
}

// y = (a·x + b)^d
void Power(const double* x, std::int64_t n, const Constants<double>& constants,
           double* y) {
  const Constants<double> c = constants;
  for (std::int64_t i = 0; i < n; ++i) {
    y[i] = std::pow(c.a * x[i] + c.b, c.d);
  }
}

/// v^exponent in double precision, of floats. It is as IEEE 754 says: 1^d is
/// 1, and a negative number has a power if d is an integer.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V PowerOf(D d, V v, double exponent) {
  const bool is_integer = std::floor(exponent) == exponent;
  const bool is_odd = is_integer && std::fmod(exponent, 2) != 0;
  const V power = ExpOf(d, hn::Mul(hn::Set(d, exponent), LogOf(d, hn::Abs(v))));
  if (is_odd) {
    return hn::Or(power, hn::And(v, hn::SignBit(d)));
  }
  if (is_integer) {
    return power;
  }
  // -∞, like ∞, is beyond all roots.
  const auto has_none =
      hn::And(hn::Lt(v, hn::Zero(d)),
              hn::Gt(v, Number(d, -std::numeric_limits<double>::infinity())));
  return hn::IfThenElse(has_none, Number(d, std::nan("")), power);
}

void Power(const float* x, std::int64_t n, const Constants<float>& constants,
           float* y) {
  const Constants<float> c = constants;
  const hn::CappedTag<double, kLanes / 2> d;
  const hn::Rebind<float, decltype(d)> df;
  const std::int64_t lanes = hn::Lanes(d);
  const auto power_of = [&](const float* in, float* out) {
    const auto base = LinearOf(df, c, hn::LoadU(df, in));
    hn::StoreU(hn::DemoteTo(df, PowerOf(d, hn::PromoteTo(d, base), c.d)), df,
               out);
  };
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    power_of(x + i, y + i);
  }
  if (i < n) {
    Lanes<float> rest;
    rest.Fill(0);
    std::copy(x + i, x + n, rest.of);
    power_of(rest.of, rest.of);
    std::copy(rest.of, rest.of + (n - i), y + i);
  }
}

template <typename Dtype>
ElementwiseLoops<Dtype> MakeLoops() {
  using Row = typename ElementwiseLoops<Dtype>::Row;
  ElementwiseLoops<Dtype> loops = {};
  const auto add = [&loops](Formula formula, Row row) {
    loops.of[static_cast<int>(formula)] = row;
  };
  add(Formula::kAbs, {&Forward<Abs, Dtype>, &Backward<Abs, Dtype>});
  add(Formula::kSoftplus,
      {&Forward<Softplus, Dtype>, &Backward<Softplus, Dtype>});
  add(Formula::kClip, {&Forward<Clip, Dtype>, &Backward<Clip, Dtype>});
  add(Formula::kElu, {&Forward<Elu, Dtype>, &Backward<Elu, Dtype>});
  add(Formula::kExp, {&Forward<Exp, Dtype>, &Backward<Exp, Dtype>});
  add(Formula::kLog, {&Forward<Log, Dtype>, &Backward<Log, Dtype>});
  add(Formula::kLinear, {&Forward<Linear, Dtype>, &Backward<Linear, Dtype>});
  add(Formula::kSquare, {&Forward<Square, Dtype>, &Backward<Square, Dtype>});
  add(Formula::kRoot, {&Forward<Root, Dtype>, &Backward<Root, Dtype>});
  add(Formula::kPower, {&Power, &Backward<AnyPower, Dtype>});
  add(Formula::kSigmoid, {&Forward<Sigmoid, Dtype>, &Backward<Sigmoid, Dtype>});
  add(Formula::kSwish, {&Forward<Swish, Dtype>, &Backward<Swish, Dtype>});
  add(Formula::kTanh, {&Forward<Tanh, Dtype>, &Backward<Tanh, Dtype>});
  add(Formula::kThreshold, {&Forward<Threshold, Dtype>, nullptr});
  return loops;
}

UL2Q_LOOP_TABLE(ElementwiseLoops);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

UL2Q_EXPORT_LOOPS(ElementwiseLoops);

}  // namespace ul2q

namespace caffe {
namespace {

using ul2q::Constants;
using ul2q::Formula;

/// How many plain operations a formula is about as long as.
int WorkOf(Formula formula) {
  switch (formula) {
    case Formula::kAbs:
    case Formula::kClip:
    case Formula::kLinear:
    case Formula::kSquare:
    case Formula::kThreshold:
      return 1;
    default:
      return 4;
  }
}

/// What a shift adds: -0 for 0, which would make 0 of -0.
template <typename Dtype>
Dtype Shift(Dtype shift) {
  return shift == 0 ? Dtype(-0.0) : shift;
}

/// A layer of a formula, in the place of `Bvlcs`.
template <typename Dtype, class Bvlcs>
class ElementwiseLayer : public Bvlcs {
 public:
  using Bvlcs::Bvlcs;

 protected:
  virtual Formula formula() const = 0;
  virtual Constants<Dtype> constants() const { return {}; }
  /// Those of the derivative, which is given y for x in place, unless the
  /// layer keeps x.
  virtual Constants<Dtype> constants_in_place() const { return constants(); }
  /// Whether y does not tell the derivative.
  virtual bool needs_input() const { return false; }

  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    const Dtype* x = bottom[0]->cpu_data();
    Dtype* y = top[0]->mutable_cpu_data();
    Dtype* kept = nullptr;
    if (Keeps(*bottom[0], *top[0])) {
      kept_.ReshapeLike(*bottom[0]);
      kept = kept_.mutable_cpu_data();
    }
    const Constants<Dtype> numbers = constants();
    const auto forward = Row().forward;
    ForEachTile(bottom[0]->count(), [&](int64_t begin, int64_t end) {
      if (kept != nullptr) {
        std::copy(x + begin, x + end, kept + begin);
      }
      forward(x + begin, end - begin, numbers, y + begin);
    });
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    const auto backward = Row().backward;
    if (backward == nullptr) {
      Bvlcs::Backward_cpu(top, propagate_down, bottom);
      return;
    }
    if (!propagate_down[0]) {
      return;
    }
    const bool in_place = bottom[0] == top[0];
    const Dtype* x =
        (Keeps(*bottom[0], *top[0]) ? kept_ : *bottom[0]).cpu_data();
    const Dtype* y = top[0]->cpu_data();
    const Dtype* dy = top[0]->cpu_diff();
    Dtype* dx = bottom[0]->mutable_cpu_diff();
    const Constants<Dtype> numbers =
        in_place ? constants_in_place() : constants();
    ForEachTile(bottom[0]->count(), [&](int64_t begin, int64_t end) {
      backward(x + begin, y + begin, dy + begin, end - begin, numbers,
               dx + begin);
    });
  }

 private:
  const typename ul2q::ElementwiseLoops<Dtype>::Row& Row() const {
    return ul2q::GetElementwiseLoops<Dtype>().of[static_cast<int>(formula())];
  }

  bool Keeps(const Blob<Dtype>& bottom, const Blob<Dtype>& top) const {
    return &bottom == &top && needs_input();
  }

  template <typename Body>
  void ForEachTile(int64_t n, const Body& body) const {
    ul2q::ParallelFor(ul2q::TileCount(n), n / 4 * WorkOf(formula()),
                      [&](int64_t tile) {
                        const int64_t begin = tile * ul2q::kTileSize;
                        body(begin, std::min(n, begin + ul2q::kTileSize));
                      });
  }

  Blob<Dtype> kept_;  ///< x, where y overwrites it
};

template <typename Dtype>
class FastAbsValLayer : public ElementwiseLayer<Dtype, AbsValLayer<Dtype>> {
 public:
  using ElementwiseLayer<Dtype, AbsValLayer<Dtype>>::ElementwiseLayer;

 protected:
  Formula formula() const override { return Formula::kAbs; }
};

template <typename Dtype>
class FastBNLLLayer : public ElementwiseLayer<Dtype, BNLLLayer<Dtype>> {
 public:
  using ElementwiseLayer<Dtype, BNLLLayer<Dtype>>::ElementwiseLayer;

 protected:
  Formula formula() const override { return Formula::kSoftplus; }
};

template <typename Dtype>
class FastClipLayer : public ElementwiseLayer<Dtype, ClipLayer<Dtype>> {
 public:
  using ElementwiseLayer<Dtype, ClipLayer<Dtype>>::ElementwiseLayer;

 protected:
  Formula formula() const override { return Formula::kClip; }
  Constants<Dtype> constants() const override {
    const ClipParameter& param = this->layer_param_.clip_param();
    return {param.min(), param.max()};
  }
  Constants<Dtype> constants_in_place() const override {
    // What lies on a bound has, but for chance, been clipped.
    constexpr Dtype kInfinity = std::numeric_limits<Dtype>::infinity();
    const Constants<Dtype> bounds = constants();
    return {std::nextafter(bounds.a, kInfinity),
            std::nextafter(bounds.b, -kInfinity)};
  }
};

template <typename Dtype>
class FastELULayer : public ElementwiseLayer<Dtype, ELULayer<Dtype>> {
 public:
  using ElementwiseLayer<Dtype, ELULayer<Dtype>>::ElementwiseLayer;

 protected:
  Formula formula() const override { return Formula::kElu; }
  Constants<Dtype> constants() const override {
    return {this->layer_param_.elu_param().alpha()};
  }
  bool needs_input() const override {
    return this->layer_param_.elu_param().alpha() < 0;
  }
};

template <typename Dtype>
class FastExpLayer : public ElementwiseLayer<Dtype, ExpLayer<Dtype>> {
 public:
  using ElementwiseLayer<Dtype, ExpLayer<Dtype>>::ElementwiseLayer;

 protected:
  Formula formula() const override { return Formula::kExp; }
  Constants<Dtype> constants() const override {
    return {this->inner_scale_, this->outer_scale_};
  }
};

template <typename Dtype>
class FastLogLayer : public ElementwiseLayer<Dtype, LogLayer<Dtype>> {
 public:
  using ElementwiseLayer<Dtype, LogLayer<Dtype>>::ElementwiseLayer;

 protected:
  Formula formula() const override { return Formula::kLog; }
  Constants<Dtype> constants() const override {
    return {this->input_scale_, Shift(this->input_shift_), this->base_scale_,
            this->backward_num_scale_};
  }
  bool needs_input() const override { return true; }
};

template <typename Dtype>
class FastPowerLayer : public ElementwiseLayer<Dtype, PowerLayer<Dtype>> {
 public:
  using ElementwiseLayer<Dtype, PowerLayer<Dtype>>::ElementwiseLayer;

 protected:
  Formula formula() const override {
    return this->power_ == 1            ? Formula::kLinear
           : this->power_ == 2          ? Formula::kSquare
           : this->power_ == Dtype(0.5) ? Formula::kRoot
                                        : Formula::kPower;
  }
  Constants<Dtype> constants() const override {
    return {this->scale_, Shift(this->shift_), this->diff_scale_, this->power_};
  }
  bool needs_input() const override { return this->power_ != 1; }

  // A power or a scale of 0 makes all numbers one.
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    if (this->diff_scale_ == 0) {
      PowerLayer<Dtype>::Forward_cpu(bottom, top);
    } else {
      ElementwiseLayer<Dtype, PowerLayer<Dtype>>::Forward_cpu(bottom, top);
    }
  }
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    if (this->diff_scale_ == 0) {
      PowerLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
    } else {
      ElementwiseLayer<Dtype, PowerLayer<Dtype>>::Backward_cpu(
          top, propagate_down, bottom);
    }
  }
};

template <typename Dtype>
class FastSigmoidLayer : public ElementwiseLayer<Dtype, SigmoidLayer<Dtype>> {
 public:
  using ElementwiseLayer<Dtype, SigmoidLayer<Dtype>>::ElementwiseLayer;

 protected:
  Formula formula() const override { return Formula::kSigmoid; }
};

template <typename Dtype>
class FastSwishLayer : public ElementwiseLayer<Dtype, SwishLayer<Dtype>> {
 public:
  using ElementwiseLayer<Dtype, SwishLayer<Dtype>>::ElementwiseLayer;

 protected:
  Formula formula() const override { return Formula::kSwish; }
  Constants<Dtype> constants() const override {
    return {this->layer_param_.swish_param().beta()};
  }
  bool needs_input() const override { return true; }
};

template <typename Dtype>
class FastTanHLayer : public ElementwiseLayer<Dtype, TanHLayer<Dtype>> {
 public:
  using ElementwiseLayer<Dtype, TanHLayer<Dtype>>::ElementwiseLayer;

 protected:
  Formula formula() const override { return Formula::kTanh; }
};

template <typename Dtype>
class FastThresholdLayer
    : public ElementwiseLayer<Dtype, ThresholdLayer<Dtype>> {
 public:
  using ElementwiseLayer<Dtype, ThresholdLayer<Dtype>>::ElementwiseLayer;

 protected:
  Formula formula() const override { return Formula::kThreshold; }
  Constants<Dtype> constants() const override { return {this->threshold_}; }
};

const FastLayer<FastAbsValLayer> abs_val_registration("AbsVal");
const FastLayer<FastBNLLLayer> bnll_registration("BNLL");
const FastLayer<FastClipLayer> clip_registration("Clip");
const FastLayer<FastELULayer> elu_registration("ELU");
const FastLayer<FastExpLayer> exp_registration("Exp");
const FastLayer<FastLogLayer> log_registration("Log");
const FastLayer<FastPowerLayer> power_registration("Power");
const FastLayer<FastSigmoidLayer> sigmoid_registration("Sigmoid");
const FastLayer<FastSwishLayer> swish_registration("Swish");
const FastLayer<FastTanHLayer> tanh_registration("TanH");
const FastLayer<FastThresholdLayer> threshold_registration("Threshold");

}  // namespace
}  // namespace caffe
#endif

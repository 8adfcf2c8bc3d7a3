#ifndef UL2Q_CORE_QUANTIZER_HPP_
#define UL2Q_CORE_QUANTIZER_HPP_

#include <cstdint>
#include <optional>
#include <stdexcept>

namespace ul2q {

/// What a quantizer fits to an array, in the array's own precision, so that
/// codes and values follow from it exactly.
template <typename Dtype>
struct ScaleShift {
  Dtype scale = 0;  ///< α: a step of one code is a step of α; 0 for arrays that
                    ///< need no step
  Dtype shift = 0;  ///< β, the centre of the levels
  Dtype threshold = 0;  ///< Δ of ternary methods: up to it, the code is 0
};

/// Values that cannot be quantised: NaN, infinity, or a range that overflows.
class NonFiniteError : public std::domain_error {
 public:
  using std::domain_error::domain_error;
};

template <typename Dtype>
struct Recipe;  // kernels/recipe.hpp

/// Turns an array into integer codes of a few bits and back: statistics ->
/// scale and shift -> codes -> values.
///
/// A quantizer has no state: the same array gives the same result, whatever
/// the number of threads and the processor. Arrays are contiguous; `n` counts
/// elements and may be 0; input and output may be the same array.
template <typename Dtype>
class Quantizer {
 public:
  /// Of stochastic rounding, which rounds to the nearest without. The same seed
  /// gives the same codes.
  using Seed = std::optional<std::uint64_t>;

  virtual ~Quantizer() = default;

  /// Scale and shift for `w`. Throws NonFiniteError.
  virtual ScaleShift<Dtype> FitTo(const Dtype* w, std::int64_t n) const = 0;

  /// The nearest fit that the method can have.
  virtual ScaleShift<Dtype> Nearest(const ScaleShift<Dtype>& fit) const = 0;

  /// The code of each element.
  virtual void Encode(const ScaleShift<Dtype>& fit, const Dtype* w,
                      std::int64_t n, Seed seed, std::int32_t* codes) const = 0;

  /// The value that each code stands for.
  virtual void Decode(const ScaleShift<Dtype>& fit, const std::int32_t* codes,
                      std::int64_t n, Dtype* values) const = 0;

  /// Decode(Encode(w)) in one pass over memory.
  virtual void Quantize(const ScaleShift<Dtype>& fit, const Dtype* w,
                        std::int64_t n, Seed seed, Dtype* values) const = 0;

  /// Enough for the codes that occur: 1 for -1 and 1, 2 for -1, 0 and 1.
  virtual int code_bits() const = 0;
  virtual std::int32_t lowest_code() const = 0;
  virtual std::int32_t highest_code() const = 0;

  /// What a device needs to know to compute the same.
  virtual Recipe<Dtype> recipe() const = 0;
};

/// The values of the smallest and the largest code.
template <typename Dtype>
struct Levels {
  Dtype lowest;
  Dtype highest;
};

template <typename Dtype>
Levels<Dtype> OutermostLevels(const Quantizer<Dtype>& quantizer,
                              const ScaleShift<Dtype>& fit) {
  const std::int32_t codes[] = {quantizer.lowest_code(),
                                quantizer.highest_code()};
  Dtype values[2];
  quantizer.Decode(fit, codes, 2, values);
  return {values[0], values[1]};
}

}  // namespace ul2q

#endif  // UL2Q_CORE_QUANTIZER_HPP_

#ifndef UL2Q_RUNTIME_KERNELS_PACKED_PRODUCT_HPP_
#define UL2Q_RUNTIME_KERNELS_PACKED_PRODUCT_HPP_

#include <cstdint>
#include <vector>

#include "ul2q/runtime/kernels/product.hpp"

namespace ul2q {
namespace runtime {

/// Weights of inner products in 1, 2, 4 or 8 bits each: with a vector or a few
/// there is little to compute for each weight, and the time is that of reading
/// them.
///
/// They lie in panels as those of `MultiplyCodes`, four inputs of kPanel
/// outputs in 64 bytes; but of weights of b bits, 8/b such groups share 64
/// bytes, each with its own b bits of every byte. Weights of fewer than 8 bits
/// are counted from 0 up.
class PackedWeights {
 public:
  /// Packs outputs × inputs numbers that fit `bits`.
  PackedWeights(const std::int8_t* weights, std::int64_t outputs,
                std::int64_t inputs, int bits);

  /// Tiles of kTileOutputs outputs.
  std::int64_t tiles() const { return tiles_; }
  /// Inputs, rounded up: so many codes of a vector are read.
  std::int64_t inputs() const { return inputs_; }
  /// Of memory.
  std::int64_t bytes() const {
    return static_cast<std::int64_t>(packed_.size());
  }
  int bits() const { return bits_; }

  /// sums[output] = Σ x · weight of a tile's outputs for one vector.
  void Multiply(std::int64_t tile, const std::uint8_t* x,
                std::int32_t* sums) const;

  /// A tile's weights in the layout of `MultiplyCodes`, its panels
  /// kPanel · inputs() apart: kTileOutputs · inputs() bytes.
  void Unpack(std::int64_t tile, std::int8_t* weights) const;

 private:
  std::int64_t tiles_, inputs_;
  int bits_;
  std::int64_t panel_bytes_;
  std::vector<std::uint8_t> packed_;
};

}  // namespace runtime
}  // namespace ul2q

#endif  // UL2Q_RUNTIME_KERNELS_PACKED_PRODUCT_HPP_

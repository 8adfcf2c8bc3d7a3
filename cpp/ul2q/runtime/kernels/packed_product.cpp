#include "ul2q/runtime/kernels/packed_product.hpp"

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/runtime/kernels/packed_product.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "ul2q/runtime/kernels/dot-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace runtime {
namespace HWY_NAMESPACE {
namespace {

/// Bytes of a group: four inputs of a panel's outputs.
constexpr std::int64_t kGroup = 4 * kPanel;

#if UL2Q_HAS_BYTE_VECTORS
constexpr std::int64_t kVectorBytes = 4 * kVectorLanes;
constexpr int kVectors = kPanel / kVectorLanes;  // of a group

/// The weights of group `kField` of those that share the bytes.
template <int kBits, int kField>
HWY_INLINE hn::Vec<SignedBytes> Field(hn::Vec<UnsignedBytes> packed) {
  if (kBits == 8) {
    return hn::BitCast(SignedBytes(), packed);
  }
  const hn::Repartition<std::uint16_t, Int32s> d16;
  // What comes from the neighbour is masked away.
  const auto moved =
      hn::BitCast(UnsignedBytes(),
                  hn::ShiftRight<kBits * kField>(hn::BitCast(d16, packed)));
  const auto mask =
      hn::Set(UnsignedBytes(), static_cast<std::uint8_t>((1 << kBits) - 1));
  return hn::BitCast(SignedBytes(), hn::And(moved, mask));
}

/// Calls body(field, weights) for the groups that share a vector.
template <int kBits, int kField = 0, typename Body>
HWY_INLINE void ForEachField(hn::Vec<UnsignedBytes> packed, const Body& body) {
  body(kField, Field<kBits, kField>(packed));
  if constexpr ((kField + 1) * kBits < 8) {
    ForEachField<kBits, kField + 1>(packed, body);
  }
}

/// Of weights of fewer than 8 bits pairs of products fit 16 bits.
template <int kBits>
void MultiplyPanels(const std::uint8_t* packed, std::int64_t panel_bytes,
                    const std::uint8_t* x, std::int32_t* sums) {
  constexpr int kFields = 8 / kBits;
  // Sums that do not wait for each other: of both panels, and of two groups.
  constexpr int kChains = kFields > 1 ? 2 : 1;
  const Int32s d;
  const UnsignedBytes d8;
  Int32Vector sum[kChains][2][kVectors];
  for (auto& chain : sum) {
    for (auto& panel : chain) {
      for (Int32Vector& vector : panel) {
        vector = hn::Zero(d);
      }
    }
  }
  const std::uint8_t* end = packed + panel_bytes;
  for (; packed < end; packed += kGroup, x += 4 * kFields) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
#pragma GCC unroll 2
      for (int panel = 0; panel < 2; ++panel) {
        const auto bytes =
            hn::LoadU(d8, packed + panel * panel_bytes + v * kVectorBytes);
        ForEachField<kBits>(bytes, [&](int field, auto weights) HWY_ATTR {
          Int32Vector& to = sum[field % kChains][panel][v];
          to = DotQuads<(kBits < 8)>(to, RepeatQuad(x + 4 * field), weights);
        });
      }
    }
  }
  for (int panel = 0; panel < 2; ++panel) {
    for (int v = 0; v < kVectors; ++v) {
      Int32Vector all = sum[0][panel][v];
      for (int chain = 1; chain < kChains; ++chain) {
        all = hn::Add(all, sum[chain][panel][v]);
      }
      hn::StoreU(all, d, sums + panel * kPanel + v * kVectorLanes);
    }
  }
}

template <int kBits>
void UnpackPanel(const std::uint8_t* packed, std::int64_t panel_bytes,
                 std::int8_t* weights) {
  const UnsignedBytes d8;
  const SignedBytes to8;
  const std::uint8_t* end = packed + panel_bytes;
  for (; packed < end; packed += kGroup, weights += kGroup * (8 / kBits)) {
    for (int v = 0; v < kVectors; ++v) {
      const auto bytes = hn::LoadU(d8, packed + v * kVectorBytes);
      ForEachField<kBits>(bytes, [&](int field, auto of_field) HWY_ATTR {
        hn::StoreU(of_field, to8, weights + field * kGroup + v * kVectorBytes);
      });
    }
  }
}

#else

/// The weight in a byte that belongs to group `field` of those that share it.
template <int kBits>
std::int8_t Field(std::uint8_t packed, int field) {
  return kBits == 8 ? static_cast<std::int8_t>(packed)
                    : static_cast<std::int8_t>((packed >> field * kBits) &
                                               ((1 << kBits) - 1));
}

template <int kBits>
void MultiplyPanels(const std::uint8_t* packed, std::int64_t panel_bytes,
                    const std::uint8_t* x, std::int32_t* sums) {
  constexpr int kFields = 8 / kBits;
  for (std::int64_t n = 0; n < kTileOutputs; ++n) {
    const std::uint8_t* at = packed + n / kPanel * panel_bytes + n % kPanel * 4;
    sums[n] = 0;
    for (std::int64_t k = 0; k < panel_bytes / kGroup; ++k) {
      for (int field = 0; field < kFields; ++field) {
        for (int i = 0; i < 4; ++i) {
          sums[n] += x[4 * (k * kFields + field) + i] *
                     Field<kBits>(at[k * kGroup + i], field);
        }
      }
    }
  }
}

template <int kBits>
void UnpackPanel(const std::uint8_t* packed, std::int64_t panel_bytes,
                 std::int8_t* weights) {
  constexpr int kFields = 8 / kBits;
  for (std::int64_t i = 0; i < panel_bytes; ++i) {
    for (int field = 0; field < kFields; ++field) {
      weights[(i / kGroup * kFields + field) * kGroup + i % kGroup] =
          Field<kBits>(packed[i], field);
    }
  }
}
#endif

void MultiplyPacked(int bits, const std::uint8_t* packed,
                    std::int64_t panel_bytes, const std::uint8_t* x,
                    std::int32_t* sums) {
  switch (bits) {
    case 1:
      return MultiplyPanels<1>(packed, panel_bytes, x, sums);
    case 2:
      return MultiplyPanels<2>(packed, panel_bytes, x, sums);
    case 4:
      return MultiplyPanels<4>(packed, panel_bytes, x, sums);
    default:
      return MultiplyPanels<8>(packed, panel_bytes, x, sums);
  }
}

void UnpackPacked(int bits, const std::uint8_t* packed,
                  std::int64_t panel_bytes, std::int8_t* weights) {
  switch (bits) {
    case 1:
      return UnpackPanel<1>(packed, panel_bytes, weights);
    case 2:
      return UnpackPanel<2>(packed, panel_bytes, weights);
    case 4:
      return UnpackPanel<4>(packed, panel_bytes, weights);
    default:
      return UnpackPanel<8>(packed, panel_bytes, weights);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace runtime
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {
namespace runtime {

HWY_EXPORT(MultiplyPacked);
HWY_EXPORT(UnpackPacked);

PackedWeights::PackedWeights(const std::int8_t* weights, std::int64_t outputs,
                             std::int64_t inputs, int bits)
    : tiles_(RoundUp(outputs, kTileOutputs) / kTileOutputs),
      inputs_(RoundUp(inputs, 4 * (8 / bits))),
      bits_(bits),
      panel_bytes_(inputs_ * kPanel * bits / 8),
      packed_(2 * tiles_ * panel_bytes_, 0) {
  const std::int64_t fields = 8 / bits;
  for (std::int64_t n = 0; n < outputs; ++n) {
    for (std::int64_t k = 0; k < inputs; ++k) {
      const std::int64_t quad = k / 4;
      const std::int64_t at = n / kPanel * panel_bytes_ +
                              quad / fields * (4 * kPanel) + n % kPanel * 4 +
                              k % 4;
      const auto weight = static_cast<std::uint8_t>(weights[n * inputs + k]);
      packed_[at] |= static_cast<std::uint8_t>(weight << quad % fields * bits);
    }
  }
}

void PackedWeights::Multiply(std::int64_t tile, const std::uint8_t* x,
                             std::int32_t* sums) const {
  HWY_DYNAMIC_DISPATCH(MultiplyPacked)
  (bits_, packed_.data() + 2 * tile * panel_bytes_, panel_bytes_, x, sums);
}

void PackedWeights::Unpack(std::int64_t tile, std::int8_t* weights) const {
  for (int panel = 0; panel < 2; ++panel) {
    HWY_DYNAMIC_DISPATCH(UnpackPacked)
    (bits_, packed_.data() + (2 * tile + panel) * panel_bytes_, panel_bytes_,
     weights + panel * kPanel * inputs_);
  }
}

}  // namespace runtime
}  // namespace ul2q
#endif

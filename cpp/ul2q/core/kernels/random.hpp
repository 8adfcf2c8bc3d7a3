#ifndef UL2Q_CORE_KERNELS_RANDOM_HPP_
#define UL2Q_CORE_KERNELS_RANDOM_HPP_

#include <cstdint>
#include <limits>

#include "ul2q/core/kernels/host_device.hpp"

namespace ul2q {

/// A random word for each (seed, index), whoever computes it and in whatever
/// order: SplitMix64 (Steele, Lea and Flood, 2014), entered at `index`.
UL2Q_HOST_DEVICE inline std::uint64_t RandomWord(std::uint64_t seed,
                                                 std::uint64_t index) {
  std::uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// A seed for each of many channels, lest all round alike.
UL2Q_HOST_DEVICE inline std::uint64_t SeedOfChannel(std::uint64_t seed,
                                                    std::int64_t channel,
                                                    bool has_many_channels) {
  return has_many_channels
             ? RandomWord(seed, static_cast<std::uint64_t>(channel))
             : seed;
}

/// A random word made uniform on [0, 1): as many bits as Dtype holds exactly.
template <typename Dtype>
UL2Q_HOST_DEVICE inline Dtype RandomUniform(std::uint64_t seed,
                                            std::uint64_t index) {
  constexpr int kDigits = std::numeric_limits<Dtype>::digits;
  constexpr Dtype kUnit = Dtype(1) / static_cast<Dtype>(1ull << kDigits);
  return static_cast<Dtype>(RandomWord(seed, index) >> (64 - kDigits)) * kUnit;
}

}  // namespace ul2q

#endif  // UL2Q_CORE_KERNELS_RANDOM_HPP_

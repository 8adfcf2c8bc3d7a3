// Convolutions of our own loops and of matrix products beside nested loops.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ul2q/float_engine/plain_convolution.hpp"

namespace ul2q {
namespace {

using Pair = ConvolutionGeometry::Pair;

/// Random numbers, the same for the same seed with every standard library.
class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  std::int64_t Between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(engine_() % (high - low + 1));
  }
  /// Multiples of 1/8 up to 1: their products and sums are exact in floats.
  std::vector<float> Values(std::int64_t n) {
    std::vector<float> values(n);
    for (float& value : values) {
      value = static_cast<float>(Between(-8, 8)) / 8;
    }
    return values;
  }

 private:
  std::mt19937 engine_;
};

/// A convolution whose map has pixels.
ConvolutionGeometry RandomGeometry(Random* random) {
  for (;;) {
    ConvolutionShape s{};
    s.images = random->Between(1, 3);
    s.group = random->Between(1, 3);
    s.channels = s.group * random->Between(1, 4);
    s.num_output = s.group * random->Between(1, 4);
    s.bottom = {random->Between(1, 12), random->Between(1, 72)};
    bool has_map = true;
    for (int axis = 0; axis < 2; ++axis) {
      s.kernel[axis] = random->Between(1, 5);
      s.stride[axis] = random->Between(1, 4);
      s.dilation[axis] = random->Between(1, 3);
      const std::int64_t reach = s.dilation[axis] * (s.kernel[axis] - 1);
      s.pad[axis] = random->Between(0, reach + 1);
      const std::int64_t room = s.bottom[axis] + 2 * s.pad[axis] - reach - 1;
      has_map = has_map && room >= 0;
      s.top[axis] = room / s.stride[axis] + 1;
    }
    if (has_map) {
      return ConvolutionGeometry(s);
    }
  }
}

std::string NameOf(const ConvolutionGeometry& g) {
  std::string name = std::to_string(g.images) + " images, " +
                     std::to_string(g.group) + " groups, " +
                     std::to_string(g.field_channels) + " to " +
                     std::to_string(g.map_channels);
  const std::array<std::pair<const char*, Pair>, 5> pairs = {
      {{"field", g.field},
       {"kernel", g.kernel},
       {"stride", g.stride},
       {"pad", g.pad},
       {"dilation", g.dilation}}};
  for (const auto& [of, pair] : pairs) {
    name += std::string(", ") + of + " " + std::to_string(pair[0]) + " x " +
            std::to_string(pair[1]);
  }
  return name;
}

/// Calls body(index in the field, in the map, in the weights) for each product.
template <typename Body>
void ForEachProduct(const ConvolutionGeometry& g, const Body& body) {
  const std::int64_t fields = g.field_channels / g.group;
  const std::int64_t maps = g.map_channels / g.group;
  for (std::int64_t image = 0; image < g.images; ++image) {
    for (std::int64_t m = 0; m < g.map_channels; ++m) {
      for (std::int64_t c = 0; c < fields; ++c) {
        const std::int64_t channel = m / maps * fields + c;
        for (std::int64_t tap = 0; tap < g.taps(); ++tap) {
          for (std::int64_t pixel = 0; pixel < g.map_pixels(); ++pixel) {
            const std::int64_t y = pixel / g.map[1] * g.stride[0] +
                                   tap / g.kernel[1] * g.dilation[0] - g.pad[0];
            const std::int64_t x = pixel % g.map[1] * g.stride[1] +
                                   tap % g.kernel[1] * g.dilation[1] - g.pad[1];
            if (y >= 0 && x >= 0 && y < g.field[0] && x < g.field[1]) {
              body(image * g.field_size() + channel * g.field_pixels() +
                       y * g.field[1] + x,
                   image * g.map_size() + m * g.map_pixels() + pixel,
                   (m * fields + c) * g.taps() + tap);
            }
          }
        }
      }
    }
  }
}

std::vector<float> Ended(std::vector<float> values, const PassEnding& ending,
                         std::int64_t channels, std::int64_t pixels) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto channel = static_cast<std::int64_t>(i) / pixels % channels;
    values[i] += ending.bias_of(channel);
    values[i] = values[i] > 0 ? values[i] : ending.slope * values[i];
  }
  return values;
}

class PlainConvolutionTest
    : public ::testing::TestWithParam<std::unique_ptr<PlainConvolution> (*)(
          const ConvolutionGeometry&)> {};

TEST_P(PlainConvolutionTest, IsThatOfNestedLoops) {
  Random random(1);
  for (int i = 0; i < 300; ++i) {
    const ConvolutionGeometry g = RandomGeometry(&random);
    SCOPED_TRACE(NameOf(g));
    const auto field = random.Values(g.images * g.field_size());
    const auto map = random.Values(g.images * g.map_size());
    const auto weights =
        random.Values(g.map_channels * g.field_channels / g.group * g.taps());
    const auto bias = random.Values(std::max(g.map_channels, g.field_channels));
    std::vector<float> projected(map.size()), spread(field.size());
    std::vector<float> gradient(weights.size(), 3);
    ForEachProduct(g, [&](std::int64_t f, std::int64_t m, std::int64_t w) {
      projected[m] += weights[w] * field[f];
      spread[f] += weights[w] * map[m];
      gradient[w] += map[m] * field[f];
    });
    const auto convolution = GetParam()(g);
    // What was in the results before must not matter.
    const float nan = std::numeric_limits<float>::quiet_NaN();
    const PassEnding endings[] = {{}, {bias.data(), 0.25F}};
    for (const PassEnding& ending : endings) {
      std::vector<float> to_map(map.size(), nan), to_field(field.size(), nan);
      convolution->Project(field.data(), weights.data(), ending, to_map.data());
      ASSERT_EQ(to_map,
                Ended(projected, ending, g.map_channels, g.map_pixels()));
      convolution->Spread(map.data(), weights.data(), ending, to_field.data());
      ASSERT_EQ(to_field,
                Ended(spread, ending, g.field_channels, g.field_pixels()));
    }
    std::vector<float> diff(weights.size(), 3), to_map(map.size(), nan);
    convolution->AddGradient(field.data(), map.data(), diff.data());
    ASSERT_EQ(diff, gradient);
    std::fill(diff.begin(), diff.end(), 3.0F);
    convolution->AddGradientAndProject(field.data(), map.data(), weights.data(),
                                       diff.data(), to_map.data());
    ASSERT_EQ(diff, gradient);
    ASSERT_EQ(to_map, projected);
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, PlainConvolutionTest,
                         ::testing::Values(&MakeDirectConvolution,
                                           &MakeGemmConvolution),
                         [](const auto& method) {
                           return method.index == 0 ? "Direct" : "Gemm";
                         });

}  // namespace
}  // namespace ul2q

// Convolutions tap by tap and plane by plane.

#include <algorithm>
#include <cstdint>

#include "ul2q/float_engine/parallel.hpp"
#include "ul2q/float_engine/plain_convolution.hpp"
#include "ul2q/float_engine/plane_loops.hpp"

namespace ul2q {
namespace {

class DirectConvolution : public PlainConvolution {
 public:
  explicit DirectConvolution(const ConvolutionGeometry& geometry)
      : g_(Flat(geometry)), taps_(g_), loops_(GetPlaneLoops<float>()) {}

  void Project(const float* field, const float* weights,
               const PassEnding& ending, float* map) const override {
    ForEachImageAndGroup(
        [&](std::int64_t image, std::int64_t group, float* memory) {
          float* maps = MapOf(map, image, group, 0);
          std::fill_n(maps, Maps() * taps_.map_size(), 0.0f);
          for (std::int64_t c = 0; c < Fields(); ++c) {
            const float* plane = Split(FieldOf(field, image, group, c), memory);
            for (std::int64_t m = 0; m < Maps(); ++m) {
              loops_.project(taps_, KernelOf(weights, group, m, c), plane,
                             maps + m * taps_.map_size());
            }
          }
          for (std::int64_t m = 0; m < Maps(); ++m) {
            Finish(ending, group * Maps() + m, taps_.map_size(),
                   maps + m * taps_.map_size());
          }
        });
  }

  void Spread(const float* map, const float* weights, const PassEnding& ending,
              float* field) const override {
    ForEachImageAndGroup(
        [&](std::int64_t image, std::int64_t group, float* memory) {
          for (std::int64_t c = 0; c < Fields(); ++c) {
            float* plane = FieldOf(field, image, group, c);
            float* sums = taps_.has_phases() ? memory : plane;
            std::fill_n(sums, taps_.split_size(), 0.0f);
            for (std::int64_t m = 0; m < Maps(); ++m) {
              loops_.spread(taps_, KernelOf(weights, group, m, c),
                            MapOf(map, image, group, m), sums);
            }
            if (taps_.has_phases()) {
              loops_.join(taps_, sums, plane);
            }
            Finish(ending, group * Fields() + c, taps_.field_size(), plane);
          }
        });
  }

  void AddGradient(const float* field, const float* map,
                   float* weights_diff) const override {
    Scratch<float> memory;
    memory.Resize(ScratchSize());
    ParallelFor(g_.group, Work(), [&](std::int64_t group) {
      for (std::int64_t image = 0; image < g_.images; ++image) {
        for (std::int64_t c = 0; c < Fields(); ++c) {
          const float* plane =
              Split(FieldOf(field, image, group, c), memory.OfThread());
          for (std::int64_t m = 0; m < Maps(); ++m) {
            loops_.add_gradient(taps_, plane, MapOf(map, image, group, m),
                                KernelOf(weights_diff, group, m, c));
          }
        }
      }
    });
  }

 private:
  /// Planes of one row, if all pixels meet in their order.
  static ConvolutionGeometry Flat(ConvolutionGeometry g) {
    using Pair = ConvolutionGeometry::Pair;
    if (g.taps() == 1 && g.stride == Pair{1, 1} && g.pad == Pair{0, 0}) {
      g.field = {1, g.field_pixels()};
      g.map = {1, g.map_pixels()};
    }
    return g;
  }

  std::int64_t Fields() const { return g_.field_channels / g_.group; }
  std::int64_t Maps() const { return g_.map_channels / g_.group; }
  std::int64_t ScratchSize() const {
    return taps_.has_phases() ? taps_.split_size() : 0;
  }
  std::int64_t Work() const {
    return g_.images * g_.map_size() * Fields() * g_.taps() / 8;
  }

  // A plane of a group, and the kernel between two.
  template <typename Float>
  Float* MapOf(Float* map, std::int64_t image, std::int64_t group,
               std::int64_t m) const {
    return map + ((image * g_.group + group) * Maps() + m) * taps_.map_size();
  }
  template <typename Float>
  Float* FieldOf(Float* field, std::int64_t image, std::int64_t group,
                 std::int64_t c) const {
    return field +
           ((image * g_.group + group) * Fields() + c) * taps_.field_size();
  }
  template <typename Float>
  Float* KernelOf(Float* weights, std::int64_t group, std::int64_t m,
                  std::int64_t c) const {
    return weights + ((group * Maps() + m) * Fields() + c) * g_.taps();
  }

  template <typename Body>
  void ForEachImageAndGroup(const Body& body) const {
    Scratch<float> memory;
    memory.Resize(ScratchSize());
    ParallelFor(g_.images * g_.group, Work(), [&](std::int64_t i) {
      body(i / g_.group, i % g_.group, memory.OfThread());
    });
  }

  /// A plane in phases, in `memory`, if it has some.
  const float* Split(const float* plane, float* memory) const {
    if (!taps_.has_phases()) {
      return plane;
    }
    loops_.split(taps_, plane, memory);
    return memory;
  }

  /// The end of a pass for one channel.
  void Finish(const PassEnding& ending, std::int64_t channel,
              std::int64_t pixels, float* plane) const {
    if (!ending.is_nothing()) {
      loops_.finish(plane, pixels, ending.bias_of(channel), ending.slope,
                    plane);
    }
  }

  const ConvolutionGeometry g_;
  const PlaneTaps taps_;
  const PlaneLoops<float>& loops_;
};

}  // namespace

std::unique_ptr<PlainConvolution> MakeDirectConvolution(
    const ConvolutionGeometry& geometry) {
  return std::make_unique<DirectConvolution>(geometry);
}

}  // namespace ul2q

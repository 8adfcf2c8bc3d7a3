// Convolutions by a matrix product over columns of the field.

#include <algorithm>
#include <cstdint>

#include "caffe/util/im2col.hpp"
#include "ul2q/float_engine/matrix_product.hpp"
#include "ul2q/float_engine/parallel.hpp"
#include "ul2q/float_engine/plain_convolution.hpp"
#include "ul2q/float_engine/plane_loops.hpp"
#include "ul2q/float_engine/workspace.hpp"

namespace ul2q {
namespace {

/// Images of few pixels are computed together, up to so many columns.
constexpr std::int64_t kColumnsAtOnce = 512;

/// The same where the columns of one image are the image itself.
constexpr std::int64_t kUncopiedColumnsAtOnce = 32;

/// Weights of a group for which a BLAS with wide kernels gains nothing by
/// several images: fewer are over too soon, more come from far away.
constexpr std::int64_t kFewestOfOneImage = 1 << 10;
constexpr std::int64_t kMostOfOneImage = 1 << 16;

/// Pixels of planes of which BVLC's loops, pixel by pixel, make columns faster
/// than ours, run by run.
constexpr std::int64_t kTinyPlane = 32;

/// Unless the columns are larger than so many elements.
constexpr std::int64_t kMostColumnElements = 1 << 20;

constexpr std::int64_t RoundUp(std::int64_t n) {
  constexpr std::int64_t kStep = kWorkspaceAlignment / sizeof(float);
  return (n + kStep - 1) / kStep * kStep;
}

class GemmConvolution : public PlainConvolution {
 public:
  explicit GemmConvolution(const ConvolutionGeometry& geometry)
      : g_(geometry),
        pixels_(geometry.map_pixels()),
        rows_(geometry.field_channels * geometry.taps()),
        has_columns_(geometry.taps() > 1 || geometry.field != geometry.map ||
                     geometry.stride != Pair{1, 1} ||
                     geometry.pad != Pair{0, 0}),
        taps_(geometry),
        loops_(GetPlaneLoops<float>()) {
    const std::int64_t columns =
        std::min(has_columns_ ? kColumnsAtOnce : kUncopiedColumnsAtOnce,
                 kMostColumnElements / rows_);
    const std::int64_t most = columns / pixels_;
    const std::int64_t weights = RowsOfGroup() * MapsOfGroup();
    const bool is_alone = BlasHasWideKernels() &&
                          weights >= kFewestOfOneImage &&
                          weights < kMostOfOneImage;
    together_ = is_alone ? 1 : std::clamp<std::int64_t>(most, 1, g_.images);
  }

  void Project(const float* field, const float* weights,
               const PassEnding& ending, float* map) const override {
    ForEachBlock([&](std::int64_t first, std::int64_t n) {
      float* memory = nullptr;
      const float* columns =
          Columns(field + first * g_.field_size(), n, &memory);
      ProjectBlock(columns, weights, n, ending, memory,
                   map + first * g_.map_size());
    });
  }

  void Spread(const float* map, const float* weights, const PassEnding& ending,
              float* field) const override {
    ForEachBlock([&](std::int64_t first, std::int64_t n) {
      float* columns = nullptr;
      const float* maps = Maps(map + first * g_.map_size(), n, &columns);
      float* of_block = field + first * g_.field_size();
      float* result = HasColumns(n) ? columns : of_block;
      ForEachGroup(n, [&](std::int64_t weights_at, std::int64_t columns_at,
                          std::int64_t map_at) {
        MultiplyMatrices<float>(Stored::kTransposed, Stored::kPlain,
                                RowsOfGroup(), Width(n), MapsOfGroup(),
                                weights + weights_at, maps + map_at, 0,
                                result + columns_at);
      });
      FinishField(result, n, ending, of_block);
    });
  }

  void AddGradient(const float* field, const float* map,
                   float* weights_diff) const override {
    ForEachBlock([&](std::int64_t first, std::int64_t n) {
      float* memory = nullptr;
      const float* columns =
          Columns(field + first * g_.field_size(), n, &memory);
      AddGradientOfBlock(columns, map + first * g_.map_size(), n, memory,
                         weights_diff);
    });
  }

  void AddGradientAndProject(const float* field, const float* map,
                             const float* weights, float* weights_diff,
                             float* projected) const override {
    ForEachBlock([&](std::int64_t first, std::int64_t n) {
      float* memory = nullptr;
      const float* columns =
          Columns(field + first * g_.field_size(), n, &memory);
      AddGradientOfBlock(columns, map + first * g_.map_size(), n, memory,
                         weights_diff);
      ProjectBlock(columns, weights, n, {}, memory,
                   projected + first * g_.map_size());
    });
  }

 private:
  using Pair = ConvolutionGeometry::Pair;

  std::int64_t MapsOfGroup() const { return g_.map_channels / g_.group; }
  std::int64_t RowsOfGroup() const { return rows_ / g_.group; }
  std::int64_t Width(std::int64_t n) const { return n * pixels_; }
  bool HasColumns(std::int64_t n) const { return has_columns_ || n > 1; }

  bool IsTiny(std::int64_t n) const { return n == 1 && pixels_ <= kTinyPlane; }

  /// BVLC's im2col_cpu or col2im_cpu of one image.
  template <typename Call>
  void CallWithShape(const Call& call, const float* from, float* to) const {
    const auto number = [](std::int64_t n) { return static_cast<int>(n); };
    call(from, number(g_.field_channels), number(g_.field[0]),
         number(g_.field[1]), number(g_.kernel[0]), number(g_.kernel[1]),
         number(g_.pad[0]), number(g_.pad[1]), number(g_.stride[0]),
         number(g_.stride[1]), number(g_.dilation[0]), number(g_.dilation[1]),
         to);
  }

  /// Calls body(first image, images) for each block.
  template <typename Body>
  void ForEachBlock(const Body& body) const {
    for (std::int64_t first = 0; first < g_.images; first += together_) {
      body(first, std::min(together_, g_.images - first));
    }
  }

  /// Calls body(offsets of weights, columns and maps) for each group.
  template <typename Body>
  void ForEachGroup(std::int64_t n, const Body& body) const {
    for (std::int64_t group = 0; group < g_.group; ++group) {
      body(group * MapsOfGroup() * RowsOfGroup(),
           group * RowsOfGroup() * Width(n), group * MapsOfGroup() * Width(n));
    }
  }

  /// From the columns of n images to their maps, which are side by side in
  /// `memory` before.
  void ProjectBlock(const float* columns, const float* weights, std::int64_t n,
                    const PassEnding& ending, float* memory, float* map) const {
    float* result = n == 1 ? map : memory;
    ForEachGroup(n, [&](std::int64_t weights_at, std::int64_t columns_at,
                        std::int64_t map_at) {
      MultiplyMatrices<float>(Stored::kPlain, Stored::kPlain, MapsOfGroup(),
                              Width(n), RowsOfGroup(), weights + weights_at,
                              columns + columns_at, 0, result + map_at);
    });
    if (n > 1 || !ending.is_nothing()) {
      FinishMaps(result, n, ending, map);
    }
  }

  void AddGradientOfBlock(const float* columns, const float* map,
                          std::int64_t n, float* memory,
                          float* weights_diff) const {
    if (n > 1) {
      GatherMaps(map, n, memory);
      map = memory;
    }
    ForEachGroup(n, [&](std::int64_t weights_at, std::int64_t columns_at,
                        std::int64_t map_at) {
      MultiplyMatrices<float>(Stored::kPlain, Stored::kTransposed,
                              MapsOfGroup(), RowsOfGroup(), Width(n),
                              map + map_at, columns + columns_at, 1,
                              weights_diff + weights_at);
    });
  }

  /// Memory for the columns of n images and, behind it, for their maps.
  float* Memory(std::int64_t n, float** maps) const {
    const std::int64_t columns = HasColumns(n) ? RoundUp(rows_ * Width(n)) : 0;
    const std::int64_t of_maps = n > 1 ? g_.map_channels * Width(n) : 0;
    float* memory = reinterpret_cast<float*>(
        Workspace((columns + of_maps) * sizeof(float)));
    *maps = memory + columns;
    return memory;
  }

  /// Calls body(offset of the plane, offset of its columns, memory for a plane
  /// in phases) for each plane of n images' field.
  template <typename Body>
  void ForEachPlane(std::int64_t n, const Body& body) const {
    Scratch<float> memory;
    memory.Resize(taps_.has_phases() ? taps_.split_size() : 0);
    ParallelFor(g_.field_channels, rows_ * Width(n), [&](std::int64_t channel) {
      for (std::int64_t image = 0; image < n; ++image) {
        body(image * g_.field_size() + channel * g_.field_pixels(),
             channel * g_.taps() * Width(n) + image * pixels_,
             memory.OfThread());
      }
    });
  }

  /// The columns of n images, and memory for their maps.
  const float* Columns(const float* field, std::int64_t n, float** maps) const {
    float* columns = Memory(n, maps);
    if (!HasColumns(n)) {
      return field;
    }
    if (IsTiny(n)) {
      CallWithShape(caffe::im2col_cpu<float>, field, columns);
      return columns;
    }
    ForEachPlane(n, [&](std::int64_t plane, std::int64_t at, float* memory) {
      const float* pixels = field + plane;
      if (taps_.has_phases()) {
        loops_.split(taps_, pixels, memory);
        pixels = memory;
      }
      loops_.fetch(taps_, pixels, columns + at, Width(n));
    });
    return columns;
  }

  /// The maps of n images side by side, and memory for their columns.
  const float* Maps(const float* map, std::int64_t n, float** columns) const {
    float* maps = nullptr;
    *columns = Memory(n, &maps);
    if (n == 1) {
      return map;
    }
    GatherMaps(map, n, maps);
    return maps;
  }

  void GatherMaps(const float* map, std::int64_t n, float* maps) const {
    ParallelFor(
        g_.map_channels, g_.map_channels * Width(n), [&](std::int64_t channel) {
          for (std::int64_t image = 0; image < n; ++image) {
            std::copy_n(map + image * g_.map_size() + channel * pixels_,
                        pixels_, maps + channel * Width(n) + image * pixels_);
          }
        });
  }

  /// From maps side by side to those of one image after the other.
  void FinishMaps(const float* maps, std::int64_t n, const PassEnding& ending,
                  float* map) const {
    ParallelFor(
        g_.map_channels, g_.map_channels * Width(n), [&](std::int64_t channel) {
          const float bias = ending.bias_of(channel);
          for (std::int64_t image = 0; image < n; ++image) {
            loops_.finish(maps + channel * Width(n) + image * pixels_, pixels_,
                          bias, ending.slope,
                          map + image * g_.map_size() + channel * pixels_);
          }
        });
  }

  /// From the columns of n images, or the field itself, to the field.
  void FinishField(const float* columns, std::int64_t n,
                   const PassEnding& ending, float* field) const {
    if (HasColumns(n) && IsTiny(n)) {
      CallWithShape(caffe::col2im_cpu<float>, columns, field);
    } else if (HasColumns(n)) {
      ForEachPlane(n, [&](std::int64_t plane, std::int64_t at, float* memory) {
        float* pixels = field + plane;
        float* sums = taps_.has_phases() ? memory : pixels;
        std::fill_n(sums, taps_.split_size(), 0.0f);
        loops_.give(taps_, columns + at, Width(n), sums);
        if (taps_.has_phases()) {
          loops_.join(taps_, sums, pixels);
        }
      });
    }
    FinishPlanes(ending, n, g_.field_channels, g_.field_pixels(), field);
  }

  const ConvolutionGeometry g_;
  const std::int64_t pixels_, rows_;
  const bool has_columns_;  ///< or those of one image are the image
  const PlaneTaps taps_;
  const PlaneLoops<float>& loops_;
  std::int64_t together_;  ///< images of a block
};

}  // namespace

std::unique_ptr<PlainConvolution> MakeGemmConvolution(
    const ConvolutionGeometry& geometry) {
  return std::make_unique<GemmConvolution>(geometry);
}

}  // namespace ul2q

#ifndef UL2Q_FLOAT_ENGINE_PLANE_LOOPS_HPP_
#define UL2Q_FLOAT_ENGINE_PLANE_LOOPS_HPP_

#include <cstdint>
#include <vector>

#include "ul2q/float_engine/convolution_shape.hpp"

namespace ul2q {

// Columns of a field are made from its planes tap by tap. With a stride, the
// pixels of the field that a tap meets lie that far apart. Where several taps
// of a row would find the same pixels, a plane is therefore split into phases
// first, the pixels whose columns have the same remainder, so that loops run
// over neighbours.

/// One tap of the kernel: `rows` rows of `n` pixels of the map meet a pixel of
/// the field each, none beyond it. Offsets are of the first pixels.
struct Tap {
  std::int64_t index;  ///< in a kernel's weights
  std::int64_t rows, n;
  std::int64_t map, field;
};

/// How the pixels of a map's plane and of a field's plane meet.
struct PlaneTaps {
  explicit PlaneTaps(const ConvolutionGeometry& geometry);

  std::vector<Tap> taps;  ///< all of the kernel's, in its order
  std::int64_t map_width, map_height;
  std::int64_t field_width, field_height;
  std::int64_t phases;       ///< of a row; 1 where it stays as it is
  std::int64_t phase_width;  ///< pixels of a phase, 0 beyond the row
  /// In the field, from a pixel that a tap meets to the next in its row, and to
  /// the next row.
  std::int64_t step, row_step;

  bool has_phases() const { return phases > 1; }
  std::int64_t map_size() const { return map_height * map_width; }
  std::int64_t field_size() const { return field_height * field_width; }
  /// Elements of a plane in phases.
  std::int64_t split_size() const {
    return field_height * phases * phase_width;
  }
};

/// Loops over one plane of a map and one of a field, in phases if it has some.
template <typename Dtype>
struct PlaneLoops {
  /// Columns: of each tap, `column_step` elements apart, for each pixel of the
  /// map the pixel that it meets, 0 beyond the field.
  void (*fetch)(const PlaneTaps& taps, const Dtype* field, Dtype* columns,
                std::int64_t column_step);
  /// Adds columns back to the pixels of the field.
  void (*give)(const PlaneTaps& taps, const Dtype* columns,
               std::int64_t column_step, Dtype* field);
  /// A plane into phases and back.
  void (*split)(const PlaneTaps& taps, const Dtype* field, Dtype* split);
  void (*join)(const PlaneTaps& taps, const Dtype* split, Dtype* field);
  /// y = relu(x + bias) of that slope, 1 for none; y may be x.
  void (*finish)(const Dtype* x, std::int64_t n, Dtype bias, Dtype slope,
                 Dtype* y);
};

/// Those for the best instruction set that the processor has.
template <typename Dtype>
const PlaneLoops<Dtype>& GetPlaneLoops();

/// What ends a forward pass: a bias for each channel, null for none, and a
/// ReLU, of slope 1 for none.
struct PassEnding {
  const float* bias = nullptr;
  float slope = 1;

  bool is_nothing() const { return bias == nullptr && slope == 1; }
  float bias_of(std::int64_t channel) const {
    return bias == nullptr ? 0 : bias[channel];
  }
};

/// Does that in place to images × channels planes, on several threads where
/// there is enough to do.
void FinishPlanes(const PassEnding& ending, std::int64_t images,
                  std::int64_t channels, std::int64_t pixels, float* planes);

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_PLANE_LOOPS_HPP_

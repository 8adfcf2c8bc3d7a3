// LRN in one pass forward and one backward, vectorised and on several threads.
// It keeps nothing for the backward pass, where BVLC's keeps a copy of the blob
// (ACROSS_CHANNELS) or several (WITHIN_CHANNEL). In place it is BVLC's.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "caffe/layers/lrn_layer.hpp"
#include "ul2q/core/kernels/lanes.hpp"
#include "ul2q/float_engine/dispatch.hpp"
#include "ul2q/float_engine/engine.hpp"
#include "ul2q/float_engine/parallel.hpp"

#ifndef UL2Q_FLOAT_ENGINE_LRN_CPP_  // once, before the instruction sets
#define UL2Q_FLOAT_ENGINE_LRN_CPP_
namespace ul2q {

/// Local response normalisation of a block, rows × columns elements with
/// `stride` from one row to the next: each element x becomes
///
///   y = x · s^-beta,  s = k + alpha · Σ x²
///
/// with the sum over the rows within `row_reach` and the columns within
/// `column_reach` of it, as far as they exist.
template <typename Dtype>
struct LocalResponse {
  int rows, columns;
  std::int64_t stride;
  int row_reach, column_reach;
  Dtype k, alpha, beta;

  /// Elements of working memory.
  std::int64_t ForwardScratch() const {
    return 3 * (columns + kLanes) + 2 * column_reach;
  }
  std::int64_t BackwardScratch() const {
    return ForwardScratch() + std::int64_t{rows} * columns;
  }
};

/// The loops over a block.
template <typename Dtype>
struct LrnLoops {
  void (*forward)(const LocalResponse<Dtype>& response, const Dtype* x,
                  Dtype* scratch, Dtype* y);
  /// dx = s^-beta · dy - 2 · alpha · beta · x · Σ dy · x · s^(-beta - 1), the
  /// sum over the same neighbours.
  void (*backward)(const LocalResponse<Dtype>& response, const Dtype* x,
                   const Dtype* dy, Dtype* scratch, Dtype* dx);
};

}  // namespace ul2q
#endif

// Highway includes this file once more for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ul2q/float_engine/lrn.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ul2q {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

/// What is summed of a neighbour.
struct Square {
  template <typename Dtype>
  HWY_INLINE Dtype operator()(Dtype x) const {
    return x * x;
  }
};
struct Itself {
  template <typename Dtype>
  HWY_INLINE Dtype operator()(Dtype x) const {
    return x;
  }
};

/// sums[i] = Σ term(x) over the neighbours of column i of row r. `padded`: row
/// with column_reach elements more on each side.
template <typename Term, typename Dtype>
HWY_INLINE void SumNeighbours(const LocalResponse<Dtype>& response, int r,
                              const Dtype* x, std::int64_t stride,
                              Dtype* padded, Dtype* sums) {
  const Term term;
  const int n = response.columns;
  const int reach = response.column_reach;
  Dtype* column_sums = reach > 0 ? padded + reach : sums;
  const int first = std::max(r - response.row_reach, 0);
  const int last = std::min(r + response.row_reach, response.rows - 1);
#pragma GCC ivdep  // the working memory is no input
  for (int i = 0; i < n; ++i) {
    column_sums[i] = term(x[first * stride + i]);
  }
  for (int row = first + 1; row <= last; ++row) {
    const Dtype* neighbours = x + row * stride;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) {
      column_sums[i] += term(neighbours[i]);
    }
  }
  if (reach > 0) {
    std::fill(padded, padded + reach, Dtype(0));
    std::fill(column_sums + n, column_sums + n + reach, Dtype(0));
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) {
      sums[i] = padded[i];
    }
    for (int j = 1; j <= 2 * reach; ++j) {
#pragma GCC ivdep
      for (int i = 0; i < n; ++i) {
        sums[i] += padded[i + j];
      }
    }
  }
}

/// powers[i] = s[i]^-beta; whole vectors, as far as Padded(n).
template <typename Dtype>
HWY_INLINE void NegativePower(const Dtype* s, int n, Dtype beta,
                              Dtype* powers) {
  const hn::CappedTag<Dtype, kLanes> d;
  const int lanes = hn::Lanes(d);
  const auto one = hn::Set(d, Dtype(1));
  // Roots instead of a power: in vectors, and to two roundings.
  if (beta == Dtype(0.75)) {
    for (int i = 0; i < n; i += lanes) {
      const auto root = hn::Sqrt(hn::LoadU(d, s + i));
      hn::StoreU(hn::Div(one, hn::Mul(root, hn::Sqrt(root))), d, powers + i);
    }
  } else if (beta == Dtype(0.5)) {
    for (int i = 0; i < n; i += lanes) {
      hn::StoreU(hn::Div(one, hn::Sqrt(hn::LoadU(d, s + i))), d, powers + i);
    }
  } else if (beta == Dtype(1)) {
    for (int i = 0; i < n; i += lanes) {
      hn::StoreU(hn::Div(one, hn::LoadU(d, s + i)), d, powers + i);
    }
  } else {
    for (int i = 0; i < n; ++i) {
      powers[i] = std::pow(s[i], -beta);
    }
  }
}

HWY_INLINE std::int64_t Padded(std::int64_t n) {
  return (n + kLanes - 1) / kLanes * kLanes;
}

/// Rows of working memory.
template <typename Dtype>
struct Rows {
  Dtype* scale;   ///< s
  Dtype* power;   ///< s^-beta
  Dtype* padded;  ///< for SumNeighbours
  Dtype*
      ratios;  ///< the summands of the backward pass, one row after the other

  HWY_INLINE Rows(const LocalResponse<Dtype>& response, Dtype* scratch)
      : scale(scratch),
        power(scale + Padded(response.columns)),
        padded(power + Padded(response.columns)),
        ratios(padded + Padded(response.columns + 2 * response.column_reach)) {}
};

template <typename Dtype>
HWY_INLINE void FindPowers(const LocalResponse<Dtype>& response, int r,
                           const Dtype* x, const Rows<Dtype>& rows) {
  SumNeighbours<Square>(response, r, x, response.stride, rows.padded,
                        rows.scale);
  Dtype* scale = rows.scale;
  for (int i = 0; i < response.columns; ++i) {
    scale[i] = response.k + response.alpha * scale[i];
  }
  NegativePower(scale, response.columns, response.beta, rows.power);
}

template <typename Dtype>
void Forward(const LocalResponse<Dtype>& given, const Dtype* x, Dtype* scratch,
             Dtype* y) {
  const LocalResponse<Dtype> response = given;  // No output can change it.
  const Rows<Dtype> rows(response, scratch);
  for (int r = 0; r < response.rows; ++r) {
    FindPowers(response, r, x, rows);
    const Dtype* x_row = x + r * response.stride;
    Dtype* y_row = y + r * response.stride;
    const Dtype* power = rows.power;
#pragma GCC ivdep
    for (int i = 0; i < response.columns; ++i) {
      y_row[i] = x_row[i] * power[i];
    }
  }
}

template <typename Dtype>
void Backward(const LocalResponse<Dtype>& given, const Dtype* x,
              const Dtype* dy, Dtype* scratch, Dtype* dx) {
  const LocalResponse<Dtype> response = given;
  const Rows<Dtype> rows(response, scratch);
  const int n = response.columns;
  for (int r = 0; r < response.rows; ++r) {
    FindPowers(response, r, x, rows);
    const std::int64_t row = r * response.stride;
    Dtype* ratios = rows.ratios + std::int64_t{r} * n;
    const Dtype* power = rows.power;
    const Dtype* scale = rows.scale;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) {
      const Dtype direct = dy[row + i] * power[i];
      dx[row + i] = direct;
      ratios[i] = direct * x[row + i] / scale[i];
    }
  }
  const Dtype factor = 2 * response.alpha * response.beta;
  for (int r = 0; r < response.rows; ++r) {
    SumNeighbours<Itself>(response, r, rows.ratios, n, rows.padded, rows.scale);
    const std::int64_t row = r * response.stride;
    const Dtype* sums = rows.scale;
#pragma GCC ivdep
    for (int i = 0; i < n; ++i) {
      dx[row + i] -= factor * x[row + i] * sums[i];
    }
  }
}

template <typename Dtype>
LrnLoops<Dtype> MakeLoops() {
  return {&Forward<Dtype>, &Backward<Dtype>};
}

UL2Q_LOOP_TABLE(LrnLoops);

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace ul2q
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ul2q {

UL2Q_EXPORT_LOOPS(LrnLoops);

}  // namespace ul2q

namespace caffe {
namespace {

/// Positions a block, so that a block with all its channels stays in the cache.
int BlockColumns(int channels, int positions) {
  constexpr int kElements = 1 << 15;
  return std::min(std::clamp(kElements / std::max(channels, 1), 16, 256),
                  positions);
}

template <typename Dtype>
bool ShareData(const Blob<Dtype>& a, const Blob<Dtype>& b) {
  return a.data() == b.data();
}

template <typename Dtype>
class FastLRNLayer : public LRNLayer<Dtype> {
 public:
  using LRNLayer<Dtype>::LRNLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    if (ShareData(*bottom[0], *top[0])) {
      LRNLayer<Dtype>::Forward_cpu(bottom, top);
      return;
    }
    const auto& loops = ul2q::GetLrnLoops<Dtype>();
    const Dtype* x = bottom[0]->cpu_data();
    Dtype* y = top[0]->mutable_cpu_data();
    scratch_.Resize(Response().ForwardScratch());
    ForEachBlock(
        [&](const ul2q::LocalResponse<Dtype>& block, std::int64_t offset) {
          loops.forward(block, x + offset, scratch_.OfThread(), y + offset);
        });
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    if (ShareData(*bottom[0], *top[0])) {
      LRNLayer<Dtype>::Backward_cpu(top, propagate_down, bottom);
      return;
    }
    if (!propagate_down[0]) {
      return;
    }
    const auto& loops = ul2q::GetLrnLoops<Dtype>();
    const Dtype* x = bottom[0]->cpu_data();
    const Dtype* dy = top[0]->cpu_diff();
    Dtype* dx = bottom[0]->mutable_cpu_diff();
    scratch_.Resize(Response().BackwardScratch());
    ForEachBlock(
        [&](const ul2q::LocalResponse<Dtype>& block, std::int64_t offset) {
          loops.backward(block, x + offset, dy + offset, scratch_.OfThread(),
                         dx + offset);
        });
  }

 private:
  bool IsAcrossChannels() const {
    return this->layer_param_.lrn_param().norm_region() ==
           LRNParameter::ACROSS_CHANNELS;
  }

  /// Describes the largest block.
  ul2q::LocalResponse<Dtype> Response() const {
    const int reach = this->pre_pad_;
    const Dtype size = this->size_;
    if (IsAcrossChannels()) {
      const int positions = this->height_ * this->width_;
      return {this->channels_,
              BlockColumns(this->channels_, positions),
              positions,
              std::min(reach, this->channels_ - 1),
              0,
              this->k_,
              this->alpha_ / size,
              this->beta_};
    }
    return {this->height_,
            this->width_,
            this->width_,
            std::min(reach, this->height_ - 1),
            std::min(reach, this->width_ - 1),
            Dtype(1),  // BVLC's formula here has no k
            this->alpha_ / (size * size),
            this->beta_};
  }

  /// The blocks of the blob that are normalised by themselves are its planes,
  /// or some of its positions with all channels. Calls body(response, offset)
  /// for each; the block begins at `offset`.
  template <typename Body>
  void ForEachBlock(const Body& body) const {
    const ul2q::LocalResponse<Dtype> response = Response();
    // A plane is one block.
    const std::int64_t images =
        std::int64_t{this->num_} * (IsAcrossChannels() ? 1 : this->channels_);
    const std::int64_t columns =
        IsAcrossChannels() ? response.stride : response.columns;
    const std::int64_t image_size = response.rows * response.stride;
    if (images * image_size == 0) {
      return;
    }
    const std::int64_t blocks =
        (columns + response.columns - 1) / response.columns;
    ul2q::ParallelFor(
        images * blocks, images * image_size, [&](std::int64_t i) {
          const std::int64_t first = i % blocks * response.columns;
          ul2q::LocalResponse<Dtype> block = response;
          block.columns =
              std::min<std::int64_t>(columns - first, block.columns);
          body(block, i / blocks * image_size + first);
        });
  }

  ul2q::Scratch<Dtype> scratch_;
};

const FastLayer<FastLRNLayer> registration("LRN");

}  // namespace
}  // namespace caffe
#endif

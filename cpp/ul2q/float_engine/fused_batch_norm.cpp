// BatchNorm, Scale and a ReLU, if one follows: x to x̂, z and y, each in place
// or not. A block of channels is read from memory once each way, and then from
// the cache.
//
// Of the layers' copies of what is overwritten only the normalisation's is
// kept, of x; Scale's would be x̂, which is made from it if Scale goes backward
// by itself.

#include <cstdint>
#include <memory>
#include <vector>

#include "support/layer_scope.hpp"
#include "ul2q/float_engine/batch_norm.hpp"
#include "ul2q/float_engine/channel_loops.hpp"
#include "ul2q/float_engine/fusion.hpp"
#include "ul2q/float_engine/scale.hpp"

namespace caffe {
namespace {

using ul2q::ChannelBlock;
using ul2q::ChannelShape;
using ul2q::ChannelSums;
using ul2q::kBlockRow;

template <typename Dtype>
bool GoesBackward(const Net<Dtype>& net, int layer) {
  return net.layer_need_backward()[layer] &&
         net.bottom_need_backward()[layer][0];
}

template <typename Dtype>
class FusedBatchNorm : public ul2q::LayerGroup<Dtype> {
 public:
  /// Of two layers, or of three where `has_relu`, that have the form of such a
  /// fusion.
  FusedBatchNorm(const Net<Dtype>& net, int first, bool has_relu)
      : ul2q::LayerGroup<Dtype>(first, has_relu ? first + 2 : first + 1),
        norm_(FusibleLayer<FastBatchNormLayer<Dtype>>(net, first)),
        scale_(FusibleLayer<FastScaleLayer<Dtype>>(net, first + 1)),
        relu_(has_relu ? net.layers()[first + 2] : nullptr),
        slope_(has_relu ? FusibleLayer<FusibleRelu<Dtype>>(net, first + 2)
                              ->negative_slope()
                        : 1),
        x_(net.bottom_vecs()[first][0]),
        normalized_(net.top_vecs()[first][0]),
        scaled_(net.top_vecs()[first + 1][0]),
        y_(net.top_vecs()[this->last()][0]),
        needs_scale_backward_(net.layer_need_backward()[first + 1]),
        needs_backward_(GoesBackward(net, first) &&
                        GoesBackward(net, first + 1) &&
                        GoesBackward(net, this->last())) {}

  bool Forward() override {
    if (Caffe::mode() != Caffe::CPU) {
      return false;
    }
    Reshape();
    const ul2q::LayerScope scope(norm_->layer_param());
    const ChannelShape shape = norm_->ShapeOf(*x_);
    const auto statistics = norm_->BeginForward();
    const Dtype* scale = scale_->scale();
    const Dtype* shift = scale_->shift();
    const Dtype* x = x_->cpu_data();
    // A blob has the last value that a layer in place gives it.
    const bool keeps = x_ == normalized_ && needs_scale_backward_;
    Dtype* kept = keeps ? norm_->mutable_kept() : nullptr;
    Dtype* normalized =
        normalized_ == scaled_ ? nullptr : normalized_->mutable_cpu_data();
    Dtype* scaled = scaled_ == y_ ? nullptr : scaled_->mutable_cpu_data();
    Dtype* y = y_->mutable_cpu_data();
    const auto& loops = ul2q::GetChannelLoops<Dtype>();
    ul2q::ForEachChannelBlock(
        shape, [&](const ChannelBlock& block, int64_t channel, int64_t offset) {
          const auto at = [offset](Dtype* values) {
            return values == nullptr ? nullptr : values + offset;
          };
          Dtype inverses[kBlockRow];
          norm_->Measure(block, channel, x + offset, statistics, inverses);
          loops.norm_scale_relu(
              block, x + offset,
              {statistics.means + channel, inverses, scale + channel,
               shift == nullptr ? nullptr : shift + channel},
              slope_, {at(kept), at(normalized), at(scaled), at(y)});
        });
    scale_->SetFused(
        [norm = norm_, x = x_, top = normalized_, shape](Dtype* out) {
          norm->NormalizeAgain(shape, norm->InputOf(*x, *top), out);
        });
    return true;
  }

  // With z = scale·x̂ + shift, x̂ = (x - mean) / σ and dz of relu's, Scale's dx̂
  // is scale·dz, and so are its sums, of dx̂ and of dx̂·x̂, which the
  // normalisation takes from it: see FastBatchNormLayer::Backward_cpu.
  bool Backward() override {
    // Without a forward pass of its own, x may be gone.
    if (Caffe::mode() != Caffe::CPU || !needs_backward_ ||
        !scale_->is_fused()) {
      return false;
    }
    CheckBackward();
    const ul2q::LayerScope scope(norm_->layer_param());
    const ChannelShape shape = norm_->ShapeOf(*x_);
    const double m = static_cast<double>(shape.rows * shape.inner);
    const Dtype* x = norm_->InputOf(*x_, *normalized_);
    const Dtype* means = norm_->means();
    const Dtype* sigmas = norm_->sigmas();
    const Dtype* scale = scale_->scale();
    Dtype* scale_diff = scale_->mutable_scale_diff();
    Dtype* shift_diff = scale_->mutable_shift_diff();
    const Dtype* dy = y_->cpu_diff();
    const Dtype* z = relu_ ? scaled_->cpu_data() : nullptr;
    // As in Forward, what a layer in place overwrites is not wanted.
    Dtype* dz =
        relu_ && scaled_ != normalized_ ? scaled_->mutable_cpu_diff() : nullptr;
    Dtype* dnormal = normalized_->mutable_cpu_diff();
    Dtype* dx = x_->mutable_cpu_diff();
    const auto& loops = ul2q::GetChannelLoops<Dtype>();
    ul2q::ForEachChannelBlock(shape, [&](const ChannelBlock& block,
                                         int64_t channel, int64_t offset) {
      ChannelSums sums[kBlockRow];
      loops.scale_backward(block, dy + offset,
                           {z == nullptr ? nullptr : z + offset, slope_,
                            dz == nullptr ? nullptr : dz + offset},
                           x + offset, means + channel, scale + channel,
                           dnormal + offset, sums);
      Dtype inverses[kBlockRow];
      Dtype slopes[kBlockRow];
      Dtype shifts[kBlockRow];
      for (int64_t i = 0; i < block.channels; ++i) {
        const int64_t c = channel + i;
        const double sigma = sigmas[c];
        if (shift_diff != nullptr) {
          shift_diff[c] += static_cast<Dtype>(sums[i].first);
        }
        if (scale_diff != nullptr) {
          scale_diff[c] += static_cast<Dtype>(sums[i].second / sigma);
        }
        inverses[i] = 1 / sigmas[c];
        slopes[i] =
            static_cast<Dtype>(scale[c] * sums[i].second / m / (sigma * sigma));
        shifts[i] = static_cast<Dtype>(scale[c] * sums[i].first / m);
      }
      if (norm_->uses_global_stats()) {
        loops.affine(block, dnormal + offset, nullptr, inverses, nullptr,
                     dx + offset, nullptr);
      } else {
        loops.norm_backward(block, dnormal + offset, x + offset,
                            means + channel, slopes, shifts, inverses,
                            dx + offset);
      }
    });
    return true;
  }

 private:
  /// Reshapes the layers, as each one's Forward would.
  void Reshape() {
    norm_->CheckedReshape({x_}, {normalized_});
    scale_->CheckedReshape({normalized_}, {scaled_});
    if (relu_) {
      relu_->CheckedReshape({scaled_}, {y_});
    }
  }

  /// Checks the shapes, as each one's Backward would.
  void CheckBackward() const {
    if (relu_) {
      relu_->CheckBackward({scaled_}, {y_});
    }
    scale_->CheckBackward({normalized_}, {scaled_});
    norm_->CheckBackward({x_}, {normalized_});
  }

  const shared_ptr<FastBatchNormLayer<Dtype>> norm_;
  const shared_ptr<FastScaleLayer<Dtype>> scale_;
  const shared_ptr<Layer<Dtype>> relu_;  ///< may be null
  const Dtype slope_;                    ///< the ReLU's; 1 without one
  Blob<Dtype>*const x_, *const normalized_, *const scaled_, *const y_;
  /// Whether a backward pass comes through Scale, and through all layers.
  const bool needs_scale_backward_, needs_backward_;
};

}  // namespace

template <typename Dtype>
std::shared_ptr<ul2q::LayerGroup<Dtype>> FuseBatchNorm(const Net<Dtype>& net,
                                                       int first) {
  const auto scale = FusibleLayer<FastScaleLayer<Dtype>>(net, first + 1);
  if (!FusibleLayer<FastBatchNormLayer<Dtype>>(net, first) || !scale ||
      !Follows(net, first + 1) || !scale->IsOfChannels()) {
    return nullptr;
  }
  const bool has_relu = FusibleLayer<FusibleRelu<Dtype>>(net, first + 2) &&
                        Follows(net, first + 2);
  return std::make_shared<FusedBatchNorm<Dtype>>(net, first, has_relu);
}

template std::shared_ptr<ul2q::LayerGroup<float>> FuseBatchNorm(
    const Net<float>&, int);
template std::shared_ptr<ul2q::LayerGroup<double>> FuseBatchNorm(
    const Net<double>&, int);

}  // namespace caffe

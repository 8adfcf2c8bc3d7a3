#include "ul2q/float_engine/fused_batch_norm.hpp"

#include "ul2q/float_engine/plain_layer.hpp"

namespace caffe {

using ul2q::ChannelGroup;
using ul2q::ChannelShape;
using ul2q::ChannelSums;
using ul2q::kGroupRow;

namespace {

template <typename Dtype>
bool GoesBackward(const Net<Dtype>& net, int layer) {
  return net.layer_need_backward()[layer] &&
         net.bottom_need_backward()[layer][0];
}

}  // namespace

template <typename Dtype>
std::shared_ptr<FusedBatchNorm<Dtype>> FusedBatchNorm<Dtype>::At(
    const Net<Dtype>& net, int first) {
  if (!PlainLayer<FastBatchNormLayer<Dtype>>(net, first) ||
      !PlainLayer<FastScaleLayer<Dtype>>(net, first + 1) ||
      !Follows(net, first + 1)) {
    return nullptr;
  }
  const ScaleParameter& scale =
      net.layers()[first + 1]->layer_param().scale_param();
  if (scale.axis() != 1 || scale.num_axes() != 1) {
    return nullptr;  // other numbers than one for each channel
  }
  const int third = first + 2;
  const bool has_relu =
      PlainLayer<FastReLULayer<Dtype>>(net, third) && Follows(net, third);
  return std::shared_ptr<FusedBatchNorm>(
      new FusedBatchNorm(net, first, has_relu ? third : first + 1));
}

template <typename Dtype>
FusedBatchNorm<Dtype>::FusedBatchNorm(const Net<Dtype>& net, int first,
                                      int last)
    : ul2q::LayerGroup<Dtype>(first, last),
      norm_(PlainLayer<FastBatchNormLayer<Dtype>>(net, first)),
      scale_(PlainLayer<FastScaleLayer<Dtype>>(net, first + 1)),
      relu_(last == first + 2 ? PlainLayer<FastReLULayer<Dtype>>(net, last)
                              : nullptr),
      x_(net.bottom_vecs()[first][0]),
      normalized_(net.top_vecs()[first][0]),
      scaled_(net.top_vecs()[first + 1][0]),
      y_(net.top_vecs()[last][0]),
      needs_scale_backward_(net.layer_need_backward()[first + 1]),
      needs_backward_(GoesBackward(net, first) &&
                      GoesBackward(net, first + 1) && GoesBackward(net, last)) {
}

template <typename Dtype>
void FusedBatchNorm<Dtype>::Reshape() {
  const auto reshape = [](Layer<Dtype>* layer, Blob<Dtype>* bottom,
                          Blob<Dtype>* top) {
    const ul2q::LayerScope scope(layer->layer_param());
    layer->Reshape({bottom}, {top});
  };
  reshape(norm_.get(), x_, normalized_);
  reshape(scale_.get(), normalized_, scaled_);
  if (relu_) {
    reshape(relu_.get(), scaled_, y_);
  }
}

template <typename Dtype>
bool FusedBatchNorm<Dtype>::Forward() {
  if (Caffe::mode() != Caffe::CPU) {
    return false;
  }
  Reshape();
  const ul2q::LayerScope scope(norm_->layer_param());
  const ChannelShape shape = norm_->ShapeOf(*x_);
  const auto statistics = norm_->BeginForward();
  const Dtype* scale = scale_->blobs()[0]->cpu_data();
  const Dtype* shift = scale_->bias_layer_
                           ? scale_->blobs()[scale_->bias_param_id_]->cpu_data()
                           : nullptr;
  const Dtype slope =
      relu_ ? relu_->layer_param().relu_param().negative_slope() : 1;
  const Dtype* x = x_->cpu_data();
  // A blob has the last value that a layer in place gives it.
  const bool keeps = x_ == normalized_ && needs_scale_backward_;
  Dtype* kept = keeps ? norm_->x_norm_.mutable_cpu_data() : nullptr;
  Dtype* normalized =
      normalized_ == scaled_ ? nullptr : normalized_->mutable_cpu_data();
  Dtype* scaled = scaled_ == y_ ? nullptr : scaled_->mutable_cpu_data();
  Dtype* y = y_->mutable_cpu_data();
  const auto& loops = ul2q::GetChannelLoops<Dtype>();
  ul2q::ForEachChannelGroup(
      shape, [&](const ChannelGroup& group, int64_t channel, int64_t offset) {
        const auto at = [offset](Dtype* values) {
          return values == nullptr ? nullptr : values + offset;
        };
        Dtype inverses[kGroupRow];
        norm_->Measure(group, channel, x + offset, statistics, inverses);
        loops.norm_scale_relu(
            group, x + offset,
            {statistics.means + channel, inverses, scale + channel,
             shift == nullptr ? nullptr : shift + channel},
            slope, {at(kept), at(normalized), at(scaled), at(y)});
      });
  scale_->restore_input_ = [norm = norm_, x = x_, top = normalized_,
                            shape](Dtype* out) {
    norm->NormalizeAgain(shape, norm->InputOf(*x, *top), out);
  };
  return true;
}

// With z = scale·x̂ + shift, x̂ = (x - mean) / σ and dz of relu's, Scale's dx̂ is
// scale·dz, and so are its sums, of dx̂ and of dx̂·x̂, which the normalisation
// takes from it: see FastBatchNormLayer::Backward_cpu.
template <typename Dtype>
bool FusedBatchNorm<Dtype>::Backward() {
  // Without a forward pass of its own, x may be gone.
  if (Caffe::mode() != Caffe::CPU || !needs_backward_ ||
      !scale_->restore_input_) {
    return false;
  }
  const ul2q::LayerScope scope(norm_->layer_param());
  const ChannelShape shape = norm_->ShapeOf(*x_);
  const double m = static_cast<double>(shape.rows * shape.inner);
  const Dtype* x = norm_->InputOf(*x_, *normalized_);
  const Dtype* means = norm_->mean_.cpu_data();
  const Dtype* sigmas = norm_->variance_.cpu_data();
  const auto diff_of = [&](int id) {
    return scale_->param_propagate_down_[id]
               ? scale_->blobs()[id]->mutable_cpu_diff()
               : nullptr;
  };
  const Dtype* scale = scale_->blobs()[0]->cpu_data();
  Dtype* scale_diff = diff_of(0);
  Dtype* shift_diff =
      scale_->bias_layer_ ? diff_of(scale_->bias_param_id_) : nullptr;
  const Dtype slope =
      relu_ ? relu_->layer_param().relu_param().negative_slope() : 1;
  const Dtype* dy = y_->cpu_diff();
  const Dtype* z = relu_ ? scaled_->cpu_data() : nullptr;
  // As forward.
  Dtype* dz =
      relu_ && scaled_ != normalized_ ? scaled_->mutable_cpu_diff() : nullptr;
  Dtype* dnormal = normalized_->mutable_cpu_diff();
  Dtype* dx = x_->mutable_cpu_diff();
  const auto& loops = ul2q::GetChannelLoops<Dtype>();
  ul2q::ForEachChannelGroup(shape, [&](const ChannelGroup& group,
                                       int64_t channel, int64_t offset) {
    ChannelSums sums[kGroupRow];
    loops.scale_backward(group, dy + offset,
                         {z == nullptr ? nullptr : z + offset, slope,
                          dz == nullptr ? nullptr : dz + offset},
                         x + offset, means + channel, scale + channel,
                         dnormal + offset, sums);
    Dtype inverses[kGroupRow];
    Dtype slopes[kGroupRow];
    Dtype shifts[kGroupRow];
    for (int64_t i = 0; i < group.channels; ++i) {
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
    if (norm_->use_global_stats_) {
      loops.affine(group, dnormal + offset, nullptr, inverses, nullptr,
                   dx + offset, nullptr);
    } else {
      loops.norm_backward(group, dnormal + offset, x + offset, means + channel,
                          slopes, shifts, inverses, dx + offset);
    }
  });
  return true;
}

template class FusedBatchNorm<float>;
template class FusedBatchNorm<double>;

}  // namespace caffe

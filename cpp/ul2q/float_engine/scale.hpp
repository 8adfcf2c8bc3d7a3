#ifndef UL2Q_FLOAT_ENGINE_SCALE_HPP_
#define UL2Q_FLOAT_ENGINE_SCALE_HPP_

#include <functional>
#include <utility>
#include <vector>

#include "caffe/layers/scale_layer.hpp"
#include "ul2q/float_engine/channel_loops.hpp"

namespace caffe {

/// Scale and bias in one pass over the blob, their gradients and the bottom's
/// in another. Gradients of the parameters are always added to their diffs;
/// BVLC's overwrites the scale's where there is one row (batch 1).
template <typename Dtype>
class FastScaleLayer final : public ScaleLayer<Dtype> {
 public:
  using ScaleLayer<Dtype>::ScaleLayer;

  // For fusions, where the scale is a parameter:

  /// The blob has one number for each channel.
  bool IsOfChannels() const {
    const ScaleParameter& param = this->layer_param_.scale_param();
    return param.axis() == 1 && param.num_axes() == 1;
  }
  const Dtype* scale() const { return this->blobs_[0]->cpu_data(); }
  /// Null without a bias.
  const Dtype* shift() const {
    return has_shift() ? this->blobs_[this->bias_param_id_]->cpu_data()
                       : nullptr;
  }
  /// To be added to; null where no gradient is wanted.
  Dtype* mutable_scale_diff() { return MutableDiff(0); }
  Dtype* mutable_shift_diff() {
    return has_shift() ? MutableDiff(this->bias_param_id_) : nullptr;
  }

  /// Says that a fusion has run the last forward pass, without keeping the
  /// input here: `restore_input(x)` writes it to x again.
  void SetFused(std::function<void(Dtype* x)> restore_input) {
    restore_input_ = std::move(restore_input);
  }
  bool is_fused() const { return restore_input_ != nullptr; }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  ul2q::ChannelShape Shape() const {
    return {this->outer_dim_, this->scale_dim_, this->inner_dim_};
  }

  bool has_shift() const { return this->bias_layer_ != nullptr; }
  Dtype* MutableDiff(int id) {
    return this->param_propagate_down_[id]
               ? this->blobs_[id]->mutable_cpu_diff()
               : nullptr;
  }

  /// Of SetFused; empty where this layer ran the last forward pass.
  std::function<void(Dtype* x)> restore_input_;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_SCALE_HPP_

#ifndef UL2Q_FLOAT_ENGINE_FAST_SCALE_LAYER_HPP_
#define UL2Q_FLOAT_ENGINE_FAST_SCALE_LAYER_HPP_

#include <functional>
#include <vector>

#include "caffe/layers/scale_layer.hpp"
#include "ul2q/float_engine/channel_loops.hpp"

namespace caffe {

template <typename Dtype>
class FusedBatchNorm;

/// Scale and bias in one pass over the blob, their gradients and the bottom's
/// in another. Gradients of the parameters are always added to their diffs;
/// BVLC's overwrites the scale's where there is one row (batch 1).
template <typename Dtype>
class FastScaleLayer : public ScaleLayer<Dtype> {
 public:
  using ScaleLayer<Dtype>::ScaleLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  friend class FusedBatchNorm<Dtype>;

  ul2q::ChannelShape Shape() const {
    return {this->outer_dim_, this->scale_dim_, this->inner_dim_};
  }

  /// Empty, unless the last forward pass ran together with the normalisation's
  /// before it: writes the input again, which that pass did not keep here.
  std::function<void(Dtype* x)> restore_input_;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FAST_SCALE_LAYER_HPP_

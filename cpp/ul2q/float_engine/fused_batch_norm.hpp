#ifndef UL2Q_FLOAT_ENGINE_FUSED_BATCH_NORM_HPP_
#define UL2Q_FLOAT_ENGINE_FUSED_BATCH_NORM_HPP_

#include <memory>
#include <vector>

#include "caffe/net.hpp"
#include "support/layer_groups.hpp"
#include "ul2q/float_engine/fast_batch_norm_layer.hpp"
#include "ul2q/float_engine/fast_relu_layer.hpp"
#include "ul2q/float_engine/fast_scale_layer.hpp"

namespace caffe {

/// BatchNorm, Scale and a ReLU, if one follows: x to x̂, z and y, each in place
/// or not. A group of channels is read from memory once each way, and then from
/// the cache.
///
/// Of the layers' copies of what is overwritten only the normalisation's is
/// kept, of x; Scale's would be x̂, which is made from it if Scale goes backward
/// by itself.
template <typename Dtype>
class FusedBatchNorm : public ul2q::LayerGroup<Dtype> {
 public:
  /// The group that begins at this layer; null if there is none.
  static std::shared_ptr<FusedBatchNorm> At(const Net<Dtype>& net, int first);

  bool Forward() override;
  bool Backward() override;

 private:
  /// Of two or three layers that have the form of a group.
  FusedBatchNorm(const Net<Dtype>& net, int first, int last);

  /// As Layer::Forward begins.
  void Reshape();

  const shared_ptr<FastBatchNormLayer<Dtype>> norm_;
  const shared_ptr<FastScaleLayer<Dtype>> scale_;
  const shared_ptr<FastReLULayer<Dtype>> relu_;  ///< may be null
  Blob<Dtype>*const x_, *const normalized_, *const scaled_, *const y_;
  /// Whether a backward pass comes through Scale, and through all layers.
  const bool needs_scale_backward_, needs_backward_;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FUSED_BATCH_NORM_HPP_

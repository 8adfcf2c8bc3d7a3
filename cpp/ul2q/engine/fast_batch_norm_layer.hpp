#ifndef UL2Q_ENGINE_FAST_BATCH_NORM_LAYER_HPP_
#define UL2Q_ENGINE_FAST_BATCH_NORM_LAYER_HPP_

#include <vector>

#include "caffe/layers/batch_norm_layer.hpp"
#include "ul2q/engine/channel_loops.hpp"

namespace caffe {

/// Batch normalisation that reads a channel from memory once and then from the
/// cache, with sums in double precision. It keeps a copy of its input where it
/// works in place, nothing elsewhere: BVLC's keeps two of the output.
template <typename Dtype>
class FastBatchNormLayer : public BatchNormLayer<Dtype> {
 public:
  using BatchNormLayer<Dtype>::BatchNormLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  ul2q::ChannelShape ShapeOf(const Blob<Dtype>& blob) const;
  /// y = (x - mean) / σ with the statistics of x or, if those are used, with
  /// the global ones. Sets mean_ and variance_, to σ.
  void NormalizeByBatch(const vector<Blob<Dtype>*>& bottom,
                        const vector<Blob<Dtype>*>& top);
  void NormalizeByGlobal(const vector<Blob<Dtype>*>& bottom,
                         const vector<Blob<Dtype>*>& top);
};

}  // namespace caffe

#endif  // UL2Q_ENGINE_FAST_BATCH_NORM_LAYER_HPP_

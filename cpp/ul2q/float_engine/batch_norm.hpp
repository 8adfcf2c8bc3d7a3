#ifndef UL2Q_FLOAT_ENGINE_BATCH_NORM_HPP_
#define UL2Q_FLOAT_ENGINE_BATCH_NORM_HPP_

#include <vector>

#include "caffe/layers/batch_norm_layer.hpp"
#include "ul2q/float_engine/channel_loops.hpp"

namespace caffe {

/// Batch normalisation that reads a channel from memory once and then from the
/// cache, with sums in double precision. It keeps a copy of its input where it
/// works in place, nothing elsewhere: BVLC's keeps two of the output.
template <typename Dtype>
class FastBatchNormLayer final : public BatchNormLayer<Dtype> {
 public:
  using BatchNormLayer<Dtype>::BatchNormLayer;

  // What a pass is made of, for fusions, too:

  /// An element for each channel. The moving averages are null where the global
  /// statistics are used.
  struct Statistics {
    Dtype *means, *sigmas, *moving_means, *moving_variances;
  };

  ul2q::ChannelShape ShapeOf(const Blob<Dtype>& blob) const;
  /// Sets mean_ and variance_, to σ, where the global statistics are used;
  /// elsewhere Measure has to, for each block of channels.
  Statistics BeginForward();
  /// 1/σ of each channel of a block, whose first channel is `channel` and whose
  /// first element is *x, and its statistics, if those of x are used.
  void Measure(const ul2q::ChannelBlock& block, int64_t channel, const Dtype* x,
               const Statistics& statistics, Dtype* inverses) const;
  /// The x of the last forward pass: the bottom's, or the copy of one that the
  /// top has overwritten.
  const Dtype* InputOf(const Blob<Dtype>& bottom,
                       const Blob<Dtype>& top) const {
    return (&bottom == &top ? this->x_norm_ : bottom).cpu_data();
  }
  /// Writes to y once more what the last forward pass made of x.
  void NormalizeAgain(const ul2q::ChannelShape& shape, const Dtype* x,
                      Dtype* y) const;

  bool uses_global_stats() const { return this->use_global_stats_; }
  /// Of each channel, as the last forward pass used them.
  const Dtype* means() const { return this->mean_.cpu_data(); }
  const Dtype* sigmas() const { return this->variance_.cpu_data(); }
  /// Where a pass that overwrites its input keeps it.
  Dtype* mutable_kept() { return this->x_norm_.mutable_cpu_data(); }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_BATCH_NORM_HPP_

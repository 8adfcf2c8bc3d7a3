#ifndef UL2Q_FLOAT_ENGINE_FAST_BIAS_LAYER_HPP_
#define UL2Q_FLOAT_ENGINE_FAST_BIAS_LAYER_HPP_

#include <vector>

#include "caffe/layers/bias_layer.hpp"
#include "ul2q/float_engine/channel_loops.hpp"

namespace caffe {

/// Bias in one pass over the blob.
template <typename Dtype>
class FastBiasLayer : public BiasLayer<Dtype> {
 public:
  using BiasLayer<Dtype>::BiasLayer;

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  ul2q::ChannelShape shape_;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FAST_BIAS_LAYER_HPP_

#ifndef UL2Q_FLOAT_ENGINE_FAST_ELTWISE_LAYER_HPP_
#define UL2Q_FLOAT_ENGINE_FAST_ELTWISE_LAYER_HPP_

#include <vector>

#include "caffe/layers/eltwise_layer.hpp"

namespace caffe {

/// Sum, product or maximum of all bottoms in one pass, and all their gradients
/// in another. In place, SUM and MAX are right, too, whatever the top
/// overwrites.
template <typename Dtype>
class FastEltwiseLayer : public EltwiseLayer<Dtype> {
 public:
  using EltwiseLayer<Dtype>::EltwiseLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FAST_ELTWISE_LAYER_HPP_

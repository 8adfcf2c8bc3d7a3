#ifndef UL2Q_FLOAT_ENGINE_FAST_RELU_LAYER_HPP_
#define UL2Q_FLOAT_ENGINE_FAST_RELU_LAYER_HPP_

#include <vector>

#include "caffe/layers/relu_layer.hpp"

namespace caffe {

/// ReLU, vectorised and on several threads.
template <typename Dtype>
class FastReLULayer : public ReLULayer<Dtype> {
 public:
  using ReLULayer<Dtype>::ReLULayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FAST_RELU_LAYER_HPP_

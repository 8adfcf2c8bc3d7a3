#ifndef UL2Q_FLOAT_ENGINE_FAST_DROPOUT_LAYER_HPP_
#define UL2Q_FLOAT_ENGINE_FAST_DROPOUT_LAYER_HPP_

#include <vector>

#include "caffe/layers/dropout_layer.hpp"

namespace caffe {

/// Dropout that draws the same mask as BVLC's from the same random numbers.
template <typename Dtype>
class FastDropoutLayer : public DropoutLayer<Dtype> {
 public:
  using DropoutLayer<Dtype>::DropoutLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FAST_DROPOUT_LAYER_HPP_

#ifndef UL2Q_FLOAT_ENGINE_FAST_POOLING_LAYER_HPP_
#define UL2Q_FLOAT_ENGINE_FAST_POOLING_LAYER_HPP_

#include <vector>

#include "caffe/layers/pooling_layer.hpp"
#include "ul2q/float_engine/parts.hpp"
#include "ul2q/float_engine/pooling_loops.hpp"

namespace caffe {

/// MAX and AVE pooling, vectorised and on several threads. Of each maximum two
/// bytes are kept for the backward pass, BVLC's keeps four.
template <typename Dtype>
class FastPoolingLayer : public PoolingLayer<Dtype> {
 public:
  using PoolingLayer<Dtype>::PoolingLayer;

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  bool IsMax() const;
  /// Whether the layer is pooled here, not by BVLC's.
  bool IsOwn() const;
  ul2q::PoolingWindows Windows() const;
  /// The second top: the index of each maximum within its plane, or -1.
  void WriteMask(const ul2q::PoolingWindows& windows, Blob<Dtype>* mask) const;
  void MaxBackwardByMask(const vector<Blob<Dtype>*>& top,
                         Blob<Dtype>* bottom) const;

  vector<int> bottom_shape_;
  std::vector<ul2q::WindowOffset> offsets_;  // of the maxima, one a window
  ul2q::Scratch<Dtype> scratch_;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FAST_POOLING_LAYER_HPP_

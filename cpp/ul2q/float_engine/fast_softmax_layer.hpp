#ifndef UL2Q_FLOAT_ENGINE_FAST_SOFTMAX_LAYER_HPP_
#define UL2Q_FLOAT_ENGINE_FAST_SOFTMAX_LAYER_HPP_

#include <vector>

#include "caffe/layers/softmax_layer.hpp"

namespace caffe {

/// Softmax without a BLAS call a row, vectorised and on several threads; the
/// one within SoftmaxWithLoss and other losses, too.
template <typename Dtype>
class FastSoftmaxLayer : public SoftmaxLayer<Dtype> {
 public:
  using SoftmaxLayer<Dtype>::SoftmaxLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  /// Calls body(offset, columns) for each block of columns of a blob.
  template <typename Body>
  void ForEachBlock(const Blob<Dtype>& blob, const Body& body) const;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FAST_SOFTMAX_LAYER_HPP_

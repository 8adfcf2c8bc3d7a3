#ifndef UL2Q_FLOAT_ENGINE_INNER_PRODUCT_HPP_
#define UL2Q_FLOAT_ENGINE_INNER_PRODUCT_HPP_

#include <vector>

#include "caffe/layers/inner_product_layer.hpp"
#include "ul2q/float_engine/few_vectors.hpp"

namespace caffe {

/**
 * @brief BVLC's inner product, which reads the weights but once where there are
 *        a few images only, and multiplies matrices for more of them.
 */
template <typename Dtype>
class FastInnerProductLayer : public InnerProductLayer<Dtype> {
 public:
  using InnerProductLayer<Dtype>::InnerProductLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  /// As they are stored.
  ul2q::MatrixShape WeightsShape() const;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_INNER_PRODUCT_HPP_

#ifndef UL2Q_LAYERS_QUANTIZED_INNER_PRODUCT_LAYER_HPP_
#define UL2Q_LAYERS_QUANTIZED_INNER_PRODUCT_LAYER_HPP_

#include <cstdint>
#include <vector>

#include "ul2q/core/code_product.hpp"
#include "ul2q/float_engine/inner_product.hpp"
#include "ul2q/layers/quantized_layer.hpp"

namespace caffe {

/**
 * @brief The quantised inner product, which tests a few images with the codes
 *        of the weights in place of their values.
 *
 * That is limited by how fast the weights come from memory, and codes have a
 * quarter of the bytes. It takes weights that stay as they are for more than
 * one pass; the first pass after a change is the float layer's, by the values.
 */
template <typename Dtype>
class QuantizedInnerProductLayer
    : public QuantizedLayer<FastInnerProductLayer, Dtype> {
 public:
  using QuantizedLayer<FastInnerProductLayer, Dtype>::QuantizedLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;

 private:
  bool IsForCodes() const;
  void ForwardByCodes(const Blob<Dtype>& bottom, Blob<Dtype>* top);

  ul2q::CodeProduct product_;
  std::uint64_t version_ = 0;  ///< of the master that product_ has encoded
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_QUANTIZED_INNER_PRODUCT_LAYER_HPP_

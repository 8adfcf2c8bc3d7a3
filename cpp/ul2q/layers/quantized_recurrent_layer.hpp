#ifndef UL2Q_LAYERS_QUANTIZED_RECURRENT_LAYER_HPP_
#define UL2Q_LAYERS_QUANTIZED_RECURRENT_LAYER_HPP_

#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "ul2q/layers/quantized_blob.hpp"

namespace caffe {

/**
 * @brief A recurrent layer, LSTM or RNN, that computes with quantised weights.
 *
 * Such a layer unrolls in time into a net of its own. Here the inner product
 * layers of that net are QuantizedInnerProduct layers, which all take this
 * layer's quantization_param (`bias` where they have one). Each of the layer's
 * weight blobs is quantised by itself; what the time steps share they share
 * quantised. Everything else, blobs_ too, is as in `Base`.
 */
template <template <typename> class Base, typename Dtype>
class QuantizedRecurrentLayer : public Base<Dtype>,
                                public HasQuantizedBlobs<Dtype> {
 public:
  explicit QuantizedRecurrentLayer(const LayerParameter& param)
      : Base<Dtype>(param) {}

  const char* type() const override {
    return this->layer_param_.type().c_str();
  }

  vector<QuantizedBlob<Dtype>> quantized_blobs() const override;

 protected:
  void FillUnrolledNet(NetParameter* net_param) const override;
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_QUANTIZED_RECURRENT_LAYER_HPP_

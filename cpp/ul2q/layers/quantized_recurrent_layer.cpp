#include "ul2q/layers/quantized_recurrent_layer.hpp"

#include <algorithm>

#include "caffe/layers/lstm_layer.hpp"
#include "caffe/layers/rnn_layer.hpp"
#include "caffe/net.hpp"

namespace caffe {

template <template <typename> class Base, typename Dtype>
void QuantizedRecurrentLayer<Base, Dtype>::FillUnrolledNet(
    NetParameter* net_param) const {
  Base<Dtype>::FillUnrolledNet(net_param);
  // Stochastic rounding asks for it; the float layers of the net do not.
  net_param->mutable_state()->set_phase(this->phase_);
  for (LayerParameter& layer : *net_param->mutable_layer()) {
    if (layer.type() == "InnerProduct") {
      layer.set_type("QuantizedInnerProduct");
      *layer.mutable_quantization_param() =
          this->layer_param_.quantization_param();
      if (!layer.inner_product_param().bias_term()) {
        layer.mutable_quantization_param()->clear_bias();
      }
    }
  }
}

template <template <typename> class Base, typename Dtype>
vector<QuantizedBlob<Dtype>>
QuantizedRecurrentLayer<Base, Dtype>::quantized_blobs() const {
  vector<QuantizedBlob<Dtype>> blobs;
  for (const auto& layer : this->unrolled_net_->layers()) {
    const auto* quantized =
        dynamic_cast<const HasQuantizedBlobs<Dtype>*>(layer.get());
    if (quantized == nullptr) {
      continue;
    }
    for (const QuantizedBlob<Dtype>& blob : quantized->quantized_blobs()) {
      // The blobs of the later time steps are views of these.
      const bool is_own = std::any_of(
          this->blobs_.begin(), this->blobs_.end(),
          [&](const auto& own) { return own.get() == blob.master; });
      if (is_own) {
        blobs.push_back(blob);
      }
    }
  }
  return blobs;
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> GetQuantizedLSTMLayer(const LayerParameter& param) {
  return shared_ptr<Layer<Dtype>>(
      new QuantizedRecurrentLayer<LSTMLayer, Dtype>(param));
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> GetQuantizedRNNLayer(const LayerParameter& param) {
  return shared_ptr<Layer<Dtype>>(
      new QuantizedRecurrentLayer<RNNLayer, Dtype>(param));
}

REGISTER_LAYER_CREATOR(QuantizedLSTM, GetQuantizedLSTMLayer);
REGISTER_LAYER_CREATOR(QuantizedRNN, GetQuantizedRNNLayer);

}  // namespace caffe

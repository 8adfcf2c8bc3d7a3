// Quantised nets beside their float ones.
#ifndef UL2Q_TESTS_NETS_HPP_
#define UL2Q_TESTS_NETS_HPP_

#include <string>

#include "caffe/net.hpp"
#include "caffe/proto/caffe.pb.h"
#include "core/reference.hpp"
#include "support.hpp"

namespace ul2q {

/// The same net with BVLC's layers.
inline caffe::NetParameter FloatNet(caffe::NetParameter net) {
  const std::string prefix = "Quantized";
  for (caffe::LayerParameter& layer : *net.mutable_layer()) {
    if (layer.has_quantization_param()) {
      layer.set_type(layer.type().substr(prefix.size()));
      layer.clear_quantization_param();
    }
  }
  return net;
}

/// Quantises the weights (not the biases) of one net into the other.
template <typename Dtype>
void QuantizeWeights(const caffe::Net<Dtype>& from, int bits,
                     caffe::Net<Dtype>* to) {
  for (std::size_t i = 0; i < from.layers().size(); ++i) {
    const auto& source = from.layers()[i]->blobs();
    const auto& target = to->layers()[i]->blobs();
    for (std::size_t j = 0; j < source.size(); ++j) {
      const auto values = Data(*source[j]);
      SetData(j == 0 ? PlainQuantize(values, bits, Fit::kExact) : values,
              target[j].get());
    }
  }
}

template <typename Dtype>
void SetInputs(caffe::Net<Dtype>* net) {
  for (std::size_t i = 0; i < net->input_blobs().size(); ++i) {
    FillNormal(40 + i, net->input_blobs()[i]);
  }
}

}  // namespace ul2q

#endif  // UL2Q_TESTS_NETS_HPP_

#ifndef UL2Q_FLOAT_ENGINE_PLAIN_LAYER_HPP_
#define UL2Q_FLOAT_ENGINE_PLAIN_LAYER_HPP_

#include <typeinfo>

#include "caffe/net.hpp"

namespace caffe {

/// Layer i of a net, if it is a `Own` itself and no subclass, from one blob to
/// another and no loss; else null.
template <typename Own, typename Dtype>
shared_ptr<Own> PlainLayer(const Net<Dtype>& net, int i) {
  if (i >= static_cast<int>(net.layers().size())) {
    return nullptr;
  }
  const Layer<Dtype>& layer = *net.layers()[i];
  if (typeid(layer) != typeid(Own) || net.bottom_vecs()[i].size() != 1 ||
      net.top_vecs()[i].size() != 1 ||
      layer.layer_param().loss_weight_size() > 0) {
    return nullptr;
  }
  return boost::static_pointer_cast<Own>(net.layers()[i]);
}

/// Whether plain layer i goes on where the one before it ends.
template <typename Dtype>
bool Follows(const Net<Dtype>& net, int i) {
  return net.bottom_vecs()[i][0] == net.top_vecs()[i - 1][0];
}

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_PLAIN_LAYER_HPP_

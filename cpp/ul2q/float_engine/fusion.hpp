#ifndef UL2Q_FLOAT_ENGINE_FUSION_HPP_
#define UL2Q_FLOAT_ENGINE_FUSION_HPP_

#include <memory>
#include <vector>

#include "caffe/net.hpp"
#include "support/layer_groups.hpp"

namespace caffe {

/// The neighbours in a net that run as one pass over memory: BatchNorm, Scale
/// and a ReLU, if one follows; when testing, a convolution and a ReLU in place.
/// Their blobs are those that the layers would make one by one, to rounding.
/// Only fast layers are fused.
template <typename Dtype>
typename ul2q::LayerGroups<Dtype>::Groups FindLayerGroups(
    const Net<Dtype>& net);

/// The fusion of each kind that begins at layer `first`; null if there is none.
template <typename Dtype>
std::shared_ptr<ul2q::LayerGroup<Dtype>> FuseBatchNorm(const Net<Dtype>& net,
                                                       int first);
template <typename Dtype>
std::shared_ptr<ul2q::LayerGroup<Dtype>> FuseConvolution(const Net<Dtype>& net,
                                                         int first);

// What a fusion asks of its layers, which offer it as a second base class.

/// A layer that can run the ReLU behind it in its own pass. A subclass that
/// computes by this layer's Forward_cpu, as a quantised one does, can as well.
template <typename Dtype>
class ForwardAndRelu {
 public:
  /// Forward, and a ReLU in place on the top; false, and nothing is done, where
  /// the layer does not do both.
  virtual bool ForwardWithRelu(const vector<Blob<Dtype>*>& bottom,
                               const vector<Blob<Dtype>*>& top,
                               float negative_slope) = 0;

 protected:
  ~ForwardAndRelu() = default;
};

/// A ReLU that another layer may do in its own pass.
template <typename Dtype>
class FusibleRelu {
 public:
  virtual float negative_slope() const = 0;

 protected:
  ~FusibleRelu() = default;
};

/// Layer i of a net as an `Interface`, or as a class, if it is one and goes
/// from one blob to another and is no loss; else null.
template <typename Interface, typename Dtype>
shared_ptr<Interface> FusibleLayer(const Net<Dtype>& net, int i) {
  if (i >= static_cast<int>(net.layers().size()) ||
      net.bottom_vecs()[i].size() != 1 || net.top_vecs()[i].size() != 1 ||
      net.layers()[i]->layer_param().loss_weight_size() > 0) {
    return nullptr;
  }
  return boost::dynamic_pointer_cast<Interface>(net.layers()[i]);
}

/// Whether fusible layer i goes on where the one before it ends.
template <typename Dtype>
bool Follows(const Net<Dtype>& net, int i) {
  return net.bottom_vecs()[i][0] == net.top_vecs()[i - 1][0];
}

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FUSION_HPP_

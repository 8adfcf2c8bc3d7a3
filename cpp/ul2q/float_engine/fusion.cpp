#include "ul2q/float_engine/fusion.hpp"

#include <memory>

#include "ul2q/float_engine/fused_batch_norm.hpp"
#include "ul2q/float_engine/fused_convolution.hpp"

namespace caffe {

template <typename Dtype>
typename ul2q::LayerGroups<Dtype>::Groups FindLayerGroups(
    const Net<Dtype>& net) {
  typename ul2q::LayerGroups<Dtype>::Groups groups;
  const int layers = static_cast<int>(net.layers().size());
  for (int layer = 0; layer < layers; ++layer) {
    std::shared_ptr<ul2q::LayerGroup<Dtype>> group =
        FusedBatchNorm<Dtype>::At(net, layer);
    if (!group) {
      group = FuseConvolution(net, layer);
    }
    if (group) {
      layer = group->last();
      groups.push_back(group);
    }
  }
  return groups;
}

template ul2q::LayerGroups<float>::Groups FindLayerGroups(const Net<float>&);
template ul2q::LayerGroups<double>::Groups FindLayerGroups(const Net<double>&);

namespace {

template <typename Dtype>
bool Register() {
  ul2q::LayerGroups<Dtype>::SetFinder(&FindLayerGroups<Dtype>);
  return true;
}

[[maybe_unused]] const bool registered =
    Register<float>() && Register<double>();

}  // namespace
}  // namespace caffe

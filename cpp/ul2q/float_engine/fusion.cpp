#include "ul2q/float_engine/fusion.hpp"

namespace caffe {

template <typename Dtype>
typename ul2q::LayerGroups<Dtype>::Groups FindLayerGroups(
    const Net<Dtype>& net) {
  typename ul2q::LayerGroups<Dtype>::Groups groups;
  const int layers = static_cast<int>(net.layers().size());
  for (int layer = 0; layer < layers; ++layer) {
    for (const auto fuse : {&FuseBatchNorm<Dtype>, &FuseConvolution<Dtype>}) {
      if (const auto group = fuse(net, layer)) {
        layer = group->last();
        groups.push_back(group);
        break;
      }
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

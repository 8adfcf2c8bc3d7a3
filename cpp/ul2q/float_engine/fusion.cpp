#include "ul2q/float_engine/fusion.hpp"

#include <string>
#include <vector>

#include "ul2q/float_engine/engine.hpp"

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

/// What happens to a net of any program, once its layers are there.
template <typename Dtype>
typename ul2q::LayerGroups<Dtype>::Groups FinishNet(const Net<Dtype>& net) {
  const vector<std::string> slow = LayersWithEngineCaffe(net);
  if (!slow.empty() && Caffe::mode() == Caffe::CPU) {
    const std::string others =
        slow.size() == 1
            ? " has"
            : " and " + std::to_string(slow.size() - 1) + " others have";
    LOG(WARNING) << "net '" << net.name() << "': layer '" << slow[0] << "'"
                 << others
                 << " engine: CAFFE, which asks for BVLC's own layers, and "
                    "these are slower on a CPU. If it was meant as \"not "
                    "cuDNN\", leave it out, or set the environment variable "
                    "UL2Q_ENGINE=FAST";
  }
  return FindLayerGroups(net);
}

template <typename Dtype>
bool Register() {
  ul2q::LayerGroups<Dtype>::SetFinder(&FinishNet<Dtype>);
  return true;
}

[[maybe_unused]] const bool registered =
    Register<float>() && Register<double>();

}  // namespace
}  // namespace caffe

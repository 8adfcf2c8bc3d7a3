#ifndef UL2Q_FLOAT_ENGINE_FUSION_HPP_
#define UL2Q_FLOAT_ENGINE_FUSION_HPP_

#include "caffe/net.hpp"
#include "support/layer_groups.hpp"

namespace caffe {

/// The neighbours in a net that ul2q's engine runs as one pass over memory:
/// BatchNorm, Scale and a ReLU, if one follows; when testing, a convolution and
/// a ReLU in place. Their blobs are those that the layers would make one by
/// one, to rounding. Only layers of the engine itself are fused.
template <typename Dtype>
typename ul2q::LayerGroups<Dtype>::Groups FindLayerGroups(
    const Net<Dtype>& net);

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FUSION_HPP_

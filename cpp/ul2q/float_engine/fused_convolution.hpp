#ifndef UL2Q_FLOAT_ENGINE_FUSED_CONVOLUTION_HPP_
#define UL2Q_FLOAT_ENGINE_FUSED_CONVOLUTION_HPP_

#include <memory>

#include "caffe/net.hpp"
#include "support/layer_groups.hpp"

namespace caffe {

/// When testing, a convolution or deconvolution, quantised or not, that begins
/// at layer `first`, and a ReLU in place behind it: oneDNN rectifies what it
/// stores. Null if there is no such group.
template <typename Dtype>
std::shared_ptr<ul2q::LayerGroup<Dtype>> FuseConvolution(const Net<Dtype>& net,
                                                         int first);

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FUSED_CONVOLUTION_HPP_

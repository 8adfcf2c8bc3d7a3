#ifndef UL2Q_FLOAT_ENGINE_ONEDNN_PRIMITIVES_HPP_
#define UL2Q_FLOAT_ENGINE_ONEDNN_PRIMITIVES_HPP_

#include <dnnl.hpp>

namespace ul2q {

/// Names for both kinds of layer.
struct Convolution {
  using Forward = dnnl::convolution_forward;
  using BackwardData = dnnl::convolution_backward_data;
  using BackwardWeights = dnnl::convolution_backward_weights;
  static constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;
};

struct Deconvolution {
  using Forward = dnnl::deconvolution_forward;
  using BackwardData = dnnl::deconvolution_backward_data;
  using BackwardWeights = dnnl::deconvolution_backward_weights;
  static constexpr auto kAlgorithm = dnnl::algorithm::deconvolution_direct;
};

/// The processor.
const dnnl::engine& Cpu();

/// How oneDNN 2 or 3 would compute a forward pass of these options: those that
/// both versions take, in the same order.
template <class Primitive, class... Options>
typename Primitive::primitive_desc Describe(const dnnl::primitive_attr& attr,
                                            const Options&... options) {
#if DNNL_VERSION_MAJOR >= 3
  return {Cpu(), options..., attr};
#else
  return {{options...}, attr, Cpu()};
#endif
}

/// The same for a backward pass.
template <class Primitive, class Forward, class... Options>
typename Primitive::primitive_desc DescribeBackward(
    const dnnl::primitive_attr& attr, const Forward& forward,
    const Options&... options) {
#if DNNL_VERSION_MAJOR >= 3
  return {Cpu(), options..., forward, attr};
#else
  return {{options...}, attr, Cpu(), forward};
#endif
}

/// Adds a ReLU to what a primitive does to its result.
inline void AppendRelu(float negative_slope, dnnl::post_ops* post_ops) {
  constexpr auto kRelu = dnnl::algorithm::eltwise_relu;
#if DNNL_VERSION_MAJOR >= 3
  post_ops->append_eltwise(kRelu, negative_slope, 0);
#else
  post_ops->append_eltwise(1, kRelu, negative_slope, 0);
#endif
}

}  // namespace ul2q

#endif  // UL2Q_FLOAT_ENGINE_ONEDNN_PRIMITIVES_HPP_

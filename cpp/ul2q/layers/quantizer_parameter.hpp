#ifndef UL2Q_LAYERS_QUANTIZER_PARAMETER_HPP_
#define UL2Q_LAYERS_QUANTIZER_PARAMETER_HPP_

#include <memory>
#include <string>

#include "caffe/proto/caffe.pb.h"
#include "ul2q/core/method.hpp"

namespace caffe {

/// The quantizer that `parameter`, quantization_param's `field`, describes.
/// Throws a CaffeError that names the field where it is not valid.
template <typename Dtype>
std::unique_ptr<ul2q::Quantizer<Dtype>> MakeQuantizer(
    const QuantizerParameter& parameter, const std::string& field);

}  // namespace caffe

#endif  // UL2Q_LAYERS_QUANTIZER_PARAMETER_HPP_

#ifndef UL2Q_SUPPORT_LAYER_CHECK_HPP_
#define UL2Q_SUPPORT_LAYER_CHECK_HPP_

#include <string>
#include <vector>

namespace caffe {
class LayerParameter;
}

namespace ul2q {

/// Throws CaffeError if `param` carries a quantization_param that its layer
/// type would ignore. The types that read it begin with "Quantized";
/// `known_types` serves to name the one that was meant.
void CheckQuantizationIsUsed(const caffe::LayerParameter& param,
                             const std::vector<std::string>& known_types);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_LAYER_CHECK_HPP_

#include "support/layer_check.hpp"

#include <glog/logging.h>

#include <algorithm>

#include "caffe/proto/caffe.pb.h"

namespace ul2q {

void CheckQuantizationIsUsed(const caffe::LayerParameter& param,
                             const std::vector<std::string>& known_types) {
  static const std::string kPrefix = "Quantized";
  const std::string& type = param.type();
  if (!param.has_quantization_param() ||
      type.compare(0, kPrefix.size(), kPrefix) == 0) {
    return;
  }
  const std::string quantized = kPrefix + type;
  const bool known = std::find(known_types.begin(), known_types.end(),
                               quantized) != known_types.end();
  LOG(FATAL) << "type \"" << type << "\" does not read quantization_param; "
             << (known ? "use type: \"" + quantized + "\""
                       : "remove it (no quantised layer of this type exists)");
}

}  // namespace ul2q

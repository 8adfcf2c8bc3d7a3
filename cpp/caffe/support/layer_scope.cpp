#include "support/layer_scope.hpp"

#include "caffe/proto/caffe.pb.h"

namespace ul2q {
namespace {

thread_local const LayerScope* innermost = nullptr;

}  // namespace

LayerScope::LayerScope(const caffe::LayerParameter& layer)
    : layer_(layer), around_(innermost) {
  innermost = this;
}

LayerScope::~LayerScope() { innermost = around_; }

std::string LayerScope::Describe(const std::string& message) {
  std::string described = message;
  for (const LayerScope* scope = innermost; scope != nullptr;
       scope = scope->around_) {
    const std::string& name = scope->layer_.name();
    if (scope->around_ != nullptr && scope->around_->layer_.name() == name) {
      continue;
    }
    const std::string prefix =
        "Layer '" + name + "' (" + scope->layer_.type() + "): ";
    if (described.compare(0, prefix.size(), prefix) != 0) {
      described.insert(0, prefix);
    }
  }
  return described;
}

}  // namespace ul2q

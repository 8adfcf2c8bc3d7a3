#include "ul2q/float_engine/engine.hpp"

#include <cstdlib>

namespace caffe {
namespace {

bool WantsBvlcsEverywhere() {
  const char* engine = std::getenv("UL2Q_ENGINE");
  if (engine == nullptr || std::string(engine).empty()) {
    return false;
  }
  if (std::string(engine) == "CAFFE") {
    return true;
  }
  LOG(FATAL) << "the environment variable UL2Q_ENGINE is \"" << engine
             << "\"; must be CAFFE, for BVLC's own layers, or unset";
  return false;  // not reached
}

/// The `engine` in the options of its type; 0, DEFAULT, for types without.
int EngineOf(const LayerParameter& param) {
  const int engines[] = {
      param.convolution_param().engine(), param.pooling_param().engine(),
      param.relu_param().engine(),        param.lrn_param().engine(),
      param.softmax_param().engine(),     param.sigmoid_param().engine(),
      param.tanh_param().engine()};
  for (const int engine : engines) {
    if (engine != 0) {
      return engine;
    }
  }
  return 0;
}

}  // namespace

bool UsesOwnEngine(const LayerParameter& param) {
  static const bool bvlcs_everywhere = WantsBvlcsEverywhere();
  return !bvlcs_everywhere && EngineOf(param) == 0;
}

}  // namespace caffe

#include "ul2q/float_engine/engine.hpp"

#include <cstdlib>
#include <map>
#include <stdexcept>

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

template <typename Dtype>
struct Creators {
  typename LayerRegistry<Dtype>::Creator fast, bvlc;
};

/// The engine table: who makes the layers of each type that has a fast one.
template <typename Dtype>
std::map<std::string, Creators<Dtype>>& EngineTable() {
  // In a function: the layers' files may be loaded before this one.
  static std::map<std::string, Creators<Dtype>> table;
  return table;
}

template <typename Dtype>
shared_ptr<Layer<Dtype>> CreateByTable(const LayerParameter& param) {
  const Creators<Dtype>& creators = EngineTable<Dtype>().at(param.type());
  return (UsesFastEngine(param) ? creators.fast : creators.bvlc)(param);
}

}  // namespace

bool UsesFastEngine(const LayerParameter& param) {
  static const bool bvlcs_everywhere = WantsBvlcsEverywhere();
  return !bvlcs_everywhere && EngineOf(param) == 0;
}

template <typename Dtype>
void AddFastLayer(const std::string& type,
                  typename LayerRegistry<Dtype>::Creator fast) {
  auto& creator = LayerRegistry<Dtype>::Registry().at(type);
  if (!EngineTable<Dtype>()
           .emplace(type, Creators<Dtype>{fast, creator})
           .second) {
    throw std::logic_error("there are two fast layers of type " + type);
  }
  creator = &CreateByTable<Dtype>;
}

template void AddFastLayer<float>(const std::string&,
                                  LayerRegistry<float>::Creator);
template void AddFastLayer<double>(const std::string&,
                                   LayerRegistry<double>::Creator);

}  // namespace caffe

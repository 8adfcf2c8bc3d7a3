#include "ul2q/float_engine/engine.hpp"

#include <cstdlib>
#include <map>
#include <stdexcept>

namespace caffe {
namespace {

/// Who makes a layer that has a fast one.
enum class Choice { kByLayer, kBvlcs, kFast };

/// That of the environment variable UL2Q_ENGINE.
Choice ReadChoice() {
  const char* variable = std::getenv("UL2Q_ENGINE");
  const std::string engine = variable == nullptr ? "" : variable;
  if (engine.empty()) {
    return Choice::kByLayer;
  }
  if (engine == "CAFFE") {
    return Choice::kBvlcs;
  }
  if (engine == "FAST") {
    return Choice::kFast;
  }
  LOG(FATAL) << "the environment variable UL2Q_ENGINE is \"" << engine
             << "\"; must be CAFFE, for BVLC's own layers, FAST, for fast "
                "ones where a layer says engine: CAFFE, too, or unset";
  return Choice::kByLayer;  // not reached
}

Choice TheChoice() {
  static const Choice choice = ReadChoice();
  return choice;
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
  return TheChoice() == Choice::kFast ||
         (TheChoice() == Choice::kByLayer && EngineOf(param) == 0);
}

template <typename Dtype>
vector<std::string> LayersWithEngineCaffe(const Net<Dtype>& net) {
  vector<std::string> names;
  if (TheChoice() != Choice::kByLayer) {
    return names;
  }
  for (const auto& layer : net.layers()) {
    const LayerParameter& param = layer->layer_param();
    // Quantised layers are made from those of the table.
    const std::string type = param.type();
    const std::string prefix = "Quantized";
    const std::string base =
        type.rfind(prefix, 0) == 0 ? type.substr(prefix.size()) : type;
    if (EngineOf(param) == ConvolutionParameter::CAFFE &&
        EngineTable<Dtype>().count(base) > 0) {
      names.push_back(param.name());
    }
  }
  return names;
}

template vector<std::string> LayersWithEngineCaffe(const Net<float>&);
template vector<std::string> LayersWithEngineCaffe(const Net<double>&);

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

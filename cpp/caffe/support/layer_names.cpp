#include "support/layer_names.hpp"

#include <glog/logging.h>

#include <algorithm>
#include <map>

#include "caffe/net.hpp"

namespace ul2q {
namespace {

template <typename Dtype>
bool HaveTheSameBlobs(caffe::Layer<Dtype>* a, caffe::Layer<Dtype>* b) {
  if (a->blobs().size() != b->blobs().size()) {
    return false;
  }
  for (std::size_t i = 0; i < a->blobs().size(); ++i) {
    if (a->blobs()[i]->data() != b->blobs()[i]->data()) {
      return false;
    }
  }
  return true;
}

bool HaveEqualBlobs(const caffe::LayerParameter& a,
                    const caffe::LayerParameter& b) {
  return std::equal(a.blobs().begin(), a.blobs().end(), b.blobs().begin(),
                    b.blobs().end(),
                    [](const caffe::BlobProto& x, const caffe::BlobProto& y) {
                      return x.SerializeAsString() == y.SerializeAsString();
                    });
}

std::string Describe(const caffe::LayerParameter& layer) {
  std::string text = layer.type();
  const char* separator = " that makes '";
  for (const std::string& top : layer.top()) {
    text += separator + top + "'";
    separator = ", '";
  }
  return text;
}

}  // namespace

template <typename Dtype>
void CheckNamesOfLayersWithBlobs(const caffe::Net<Dtype>& net) {
  std::map<std::string, caffe::Layer<Dtype>*> seen;
  for (const auto& layer : net.layers()) {
    if (layer->blobs().empty()) {
      continue;
    }
    const std::string& name = layer->layer_param().name();
    const auto [first, is_new] = seen.emplace(name, layer.get());
    CHECK(is_new || HaveTheSameBlobs(first->second, layer.get()))
        << "two layers with weights are named '" << name << "', the "
        << Describe(first->second->layer_param()) << " and the "
        << Describe(layer->layer_param())
        << ": files of weights know layers by their names, so give each a name "
           "of its own";
  }
}

void CheckNamesInWeights(const caffe::NetParameter& weights) {
  std::map<std::string, const caffe::LayerParameter*> seen;
  for (const caffe::LayerParameter& layer : weights.layer()) {
    if (layer.blobs().empty()) {
      continue;
    }
    const auto [first, is_new] = seen.emplace(layer.name(), &layer);
    CHECK(is_new || HaveEqualBlobs(*first->second, layer))
        << "the weights are of two layers named '" << layer.name() << "', the "
        << Describe(*first->second) << " and the " << Describe(layer)
        << ": which are whose cannot be told; give each a name of its own "
           "where the weights come from";
  }
}

template <typename Dtype>
int FindLayer(const caffe::Net<Dtype>& net, const std::string& name,
              std::size_t blobs) {
  int found = -1;
  for (std::size_t i = 0; i < net.layers().size(); ++i) {
    if (net.layer_names()[i] == name) {
      if (net.layers()[i]->blobs().size() == blobs) {
        return static_cast<int>(i);
      }
      found = found < 0 ? static_cast<int>(i) : found;
    }
  }
  return found;
}

template void CheckNamesOfLayersWithBlobs(const caffe::Net<float>&);
template void CheckNamesOfLayersWithBlobs(const caffe::Net<double>&);
template int FindLayer(const caffe::Net<float>&, const std::string&,
                       std::size_t);
template int FindLayer(const caffe::Net<double>&, const std::string&,
                       std::size_t);

}  // namespace ul2q

#include "ul2q/layers/packed_net.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "support/caffe_error.hpp"
#include "support/layer_scope.hpp"
#include "support/packed_blob.hpp"
#include "ul2q/layers/packed_values.hpp"
#include "ul2q/layers/quantized_blob.hpp"

namespace caffe {
namespace {

using Values = std::shared_ptr<const PackedValues>;

/// The blobs of a layer, by index, as it quantises them; none for those that
/// cannot be packed.
std::map<int, Values> ValuesOf(Layer<float>* layer, bool compress) {
  std::map<int, Values> values;
  const auto* quantized = dynamic_cast<const HasQuantizedBlobs<float>*>(layer);
  if (quantized == nullptr) {
    return values;
  }
  const ul2q::LayerScope scope(layer->layer_param());
  for (const QuantizedBlob<float>& blob : quantized->quantized_blobs()) {
    int index = 0;
    while (layer->blobs()[index].get() != blob.master) {
      ++index;
    }
    if (blob.master->count() == 0) {
      continue;
    }
    try {
      values[index] = PackedValues::Of(blob, compress);
    } catch (const ul2q::NonFiniteError& error) {
      LOG(FATAL) << "the " << blob.field << " blob " << error.what();
    } catch (const ul2q::CaffeError& error) {
      LOG(WARNING) << "Layer '" << layer->layer_param().name() << "': blob "
                   << index << " stays float: " << error.message();
    }
  }
  return values;
}

}  // namespace

NetParameter PackedNet(const Net<float>& net, bool compress) {
  std::vector<std::map<int, Values>> packed;
  // What each memory of parameters is for the layers that use it.
  std::map<const SyncedMemory*, std::vector<Values>> uses;
  for (const auto& layer : net.layers()) {
    packed.push_back(ValuesOf(layer.get(), compress));
    for (std::size_t i = 0; i < layer->blobs().size(); ++i) {
      if (layer->blobs()[i]->count() > 0) {
        const auto found = packed.back().find(static_cast<int>(i));
        uses[layer->blobs()[i]->data().get()].push_back(
            found == packed.back().end() ? nullptr : found->second);
      }
    }
  }
  const auto are_alike = [](const std::vector<Values>& values) {
    for (const Values& one : values) {
      if (one == nullptr ||
          !one->IsFor(values.front()->options(), values.front()->layout())) {
        return false;
      }
    }
    return true;
  };
  NetParameter param;
  net.ToProto(&param, false);
  for (int i = 0; i < param.layer_size(); ++i) {
    const auto& layer = net.layers()[i];
    for (int j = 0; j < param.layer(i).blobs_size(); ++j) {
      BlobProto* blob = param.mutable_layer(i)->mutable_blobs(j);
      blob->clear_packed();
      const auto found = packed[i].find(j);
      if (found != packed[i].end() &&
          are_alike(uses[layer->blobs()[j]->data().get()])) {
        blob->clear_data();
        found->second->Write(blob);
      }
    }
  }
  return param;
}

void UnpackNet(NetParameter* param) {
  for (LayerParameter& layer : *param->mutable_layer()) {
    for (int i = 0; i < layer.blobs_size(); ++i) {
      BlobProto* proto = layer.mutable_blobs(i);
      if (proto->has_packed()) {
        ul2q::NamingBlob(layer.name(), i, [&] {
          Blob<float> blob;
          blob.FromProto(*proto, true);
          blob.ToProto(proto, false);
        });
      }
    }
  }
}

}  // namespace caffe

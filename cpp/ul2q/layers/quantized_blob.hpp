#ifndef UL2Q_LAYERS_QUANTIZED_BLOB_HPP_
#define UL2Q_LAYERS_QUANTIZED_BLOB_HPP_

#include <memory>
#include <optional>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/proto/caffe.pb.h"
#include "ul2q/core/channels.hpp"
#include "ul2q/core/quantizer.hpp"

namespace caffe {

class PackedValues;

/// A parameter blob and how its layer quantises it.
template <typename Dtype>
struct QuantizedBlob {
  const char* field;          ///< of quantization_param: "weight" or "bias"
  const Blob<Dtype>* master;  ///< the float values
  const QuantizerParameter* options;
  const ul2q::Quantizer<Dtype>* quantizer;
  ul2q::ChannelLayout layout;
  /// Of a packed file, which the layer takes for what it would compute of the
  /// master; null if the master is of no such file, or has changed since.
  std::shared_ptr<const PackedValues> packed;
};

/// What a layer with quantised parameters offers to scripts and exports, which
/// find it by dynamic_cast.
template <typename Dtype>
class HasQuantizedBlobs {
 public:
  /// Valid as long as the layer and its blobs keep their shapes.
  virtual std::vector<QuantizedBlob<Dtype>> quantized_blobs() const = 0;

 protected:
  ~HasQuantizedBlobs() = default;
};

/// How a layer quantised its top in its last forward pass.
template <typename Dtype>
struct QuantizedActivation {
  ul2q::ScaleShift<Dtype> fit;
  ul2q::Levels<Dtype> levels;  ///< the outermost
  int bits;                    ///< a code
};

template <typename Dtype>
class HasQuantizedActivation {
 public:
  /// That of the last forward pass; absent where there has been none.
  virtual std::optional<QuantizedActivation<Dtype>> quantized_activation()
      const = 0;

 protected:
  ~HasQuantizedActivation() = default;
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_QUANTIZED_BLOB_HPP_

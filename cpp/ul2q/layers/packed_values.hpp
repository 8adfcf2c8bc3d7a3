#ifndef UL2Q_LAYERS_PACKED_VALUES_HPP_
#define UL2Q_LAYERS_PACKED_VALUES_HPP_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/proto/caffe.pb.h"
#include "support/packed_blob.hpp"
#include "ul2q/core/channels.hpp"
#include "ul2q/core/quantizer.hpp"
#include "ul2q/layers/quantized_blob.hpp"

namespace caffe {

/// The values of a blob as codes with scales and shifts: the message PackedBlob
/// of quantization.proto, read and checked.
class PackedValues final : public ul2q::BlobCodes {
 public:
  using Fits = std::vector<ul2q::ScaleShift<float>>;

  /// Those of BlobProto's field packed, for a blob of `count` values. Throws
  /// CaffeError, before it takes memory that the message does not account for,
  /// if a number is out of its range, a size does not fit, or the checksum is
  /// another.
  static std::shared_ptr<const PackedValues> Read(const BlobProto& proto,
                                                  std::int64_t count);

  /// Those that a layer quantises a blob to. `compress`: by zlib, where that
  /// saves 3 % of the codes. Throws NonFiniteError, and CaffeError where levels
  /// overflow.
  static std::shared_ptr<const PackedValues> Of(
      const QuantizedBlob<float>& blob, bool compress);

  /// Those that the values of `master` were decoded from, if they have not
  /// changed since and are codes of a quantizer with these options; else null.
  template <typename Dtype>
  static std::shared_ptr<const PackedValues> Behind(
      const Blob<Dtype>& master, const QuantizerParameter& options,
      const ul2q::ChannelLayout& layout);

  std::int64_t count() const override { return layout_.size(); }
  void Decode(float* values) const override;
  void Write(BlobProto* proto) const override;

  /// The `n` codes from the one of index `begin`.
  void Codes(std::int64_t begin, std::int64_t n, std::int32_t* codes) const;
  const Fits& fits() const { return fits_; }
  /// Method, bits, granularity and shift.
  const QuantizerParameter& options() const { return message_.quantizer(); }
  const ul2q::ChannelLayout& layout() const { return layout_; }

  /// The codes of a quantizer with the same options mean the same.
  bool IsFor(const QuantizerParameter& options,
             const ul2q::ChannelLayout& layout) const;

 private:
  PackedValues() = default;
  /// The bytes of PLAIN.
  const std::string& plain() const {
    return message_.coding() == PackedBlob::PLAIN ? message_.codes() : plain_;
  }
  void ReadQuantizer();
  void ReadLayout(std::int64_t count);
  void ReadFits();
  void ReadCodes();
  std::uint32_t Checksum() const;

  PackedBlob message_;
  std::unique_ptr<ul2q::Quantizer<float>> quantizer_;
  ul2q::ChannelLayout layout_;
  Fits fits_;
  std::string plain_;  ///< if they stand otherwise in the message
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_PACKED_VALUES_HPP_

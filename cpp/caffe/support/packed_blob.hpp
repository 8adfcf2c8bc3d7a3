#ifndef UL2Q_SUPPORT_PACKED_BLOB_HPP_
#define UL2Q_SUPPORT_PACKED_BLOB_HPP_

#include <boost/shared_ptr.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace caffe {
template <typename Dtype>
class Blob;
class BlobProto;
}  // namespace caffe

namespace ul2q {

/// The codes that the values of a blob were decoded from. What they mean is
/// known to the library that has registered itself as their reader.
class BlobCodes {
 public:
  virtual ~BlobCodes() = default;
  virtual std::int64_t count() const = 0;
  /// Writes `count` values.
  virtual void Decode(float* values) const = 0;
  /// Writes the field packed of a blob's message.
  virtual void Write(caffe::BlobProto* proto) const = 0;
};

/// Reads `proto.packed`, of a blob of `count` values. Takes no memory but of
/// codes that are there, and throws CaffeError where they are damaged.
using CodesReader = std::shared_ptr<const BlobCodes> (*)(
    const caffe::BlobProto& proto, std::int64_t count);

/// Adds the reader while its file is loaded, as Caffe's layers are added.
class CodesReaderRegistration {
 public:
  explicit CodesReaderRegistration(CodesReader reader);
};

/// The codes in a message; null if it has none. Throws CaffeError where they
/// are damaged, or nobody can read them.
std::shared_ptr<const BlobCodes> ReadCodes(const caffe::BlobProto& proto,
                                           std::int64_t count);

/// The values, as `codes` has them or widened.
template <typename Dtype>
void Decode(const BlobCodes& codes, Dtype* values);

/// The codes that the blob's values were decoded from, if nobody has written
/// others since; else null, and the blob's memory forgets them.
template <typename Dtype>
std::shared_ptr<const BlobCodes> CodesOf(const caffe::Blob<Dtype>& blob);

/// Adds CodesOf(blob) to the blob's message.
template <typename Dtype>
void AddCodes(const caffe::Blob<Dtype>& blob, caffe::BlobProto* proto);

/// Runs `read`, which reads a blob of a layer: a CaffeError of it names both.
void NamingBlob(const std::string& layer, int index,
                const std::function<void()>& read);

/// Warns that the file `path`, which holds values alone, loses the codes of
/// these parameters, if they have any.
template <typename Dtype>
void WarnOfCodes(
    const std::vector<boost::shared_ptr<caffe::Blob<Dtype>>>& parameters,
    const std::string& path);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_PACKED_BLOB_HPP_

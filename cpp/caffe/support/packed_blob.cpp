#include "support/packed_blob.hpp"

#include <glog/logging.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "caffe/blob.hpp"
#include "caffe/proto/caffe.pb.h"
#include "support/caffe_error.hpp"

namespace ul2q {
namespace {

CodesReader& Reader() {
  static CodesReader reader = nullptr;
  return reader;
}

}  // namespace

CodesReaderRegistration::CodesReaderRegistration(CodesReader reader) {
  Reader() = reader;
}

std::shared_ptr<const BlobCodes> ReadCodes(const caffe::BlobProto& proto,
                                           std::int64_t count) {
  if (!proto.has_packed()) {
    return nullptr;
  }
  CHECK(Reader() != nullptr)
      << "the values are codes (packed), which the library libul2q decodes; "
      << "this program does not load it";
  return Reader()(proto, count);
}

template <typename Dtype>
void Decode(const BlobCodes& codes, Dtype* values) {
  if constexpr (std::is_same_v<Dtype, float>) {
    codes.Decode(values);
  } else {
    std::vector<float> decoded(static_cast<std::size_t>(codes.count()));
    codes.Decode(decoded.data());
    std::transform(decoded.begin(), decoded.end(), values,
                   [](float value) { return static_cast<Dtype>(value); });
  }
}

template <typename Dtype>
std::shared_ptr<const BlobCodes> CodesOf(const caffe::Blob<Dtype>& blob) {
  if (blob.count() == 0) {
    return nullptr;
  }
  MemoryOrigin& origin = blob.data()->origin();
  std::shared_ptr<const BlobCodes> codes = origin.get();
  if (codes == nullptr) {
    return nullptr;
  }
  if (codes->count() == blob.count()) {
    std::vector<Dtype> values(static_cast<std::size_t>(blob.count()));
    Decode(*codes, values.data());
    // By their bits, as 0 and -0 are not the same.
    if (std::memcmp(values.data(), blob.cpu_data(),
                    values.size() * sizeof(Dtype)) == 0) {
      return codes;
    }
  }
  origin.set(nullptr);
  return nullptr;
}

template <typename Dtype>
void AddCodes(const caffe::Blob<Dtype>& blob, caffe::BlobProto* proto) {
  proto->clear_packed();
  if (const auto codes = CodesOf(blob)) {
    codes->Write(proto);
  }
}

void NamingBlob(const std::string& layer, int index,
                const std::function<void()>& read) {
  try {
    read();
  } catch (const CaffeError& error) {
    throw error.In("layer '" + layer + "', blob " + std::to_string(index));
  }
}

template <typename Dtype>
void WarnOfCodes(
    const std::vector<boost::shared_ptr<caffe::Blob<Dtype>>>& parameters,
    const std::string& path) {
  const bool has_codes =
      std::any_of(parameters.begin(), parameters.end(),
                  [](const auto& blob) { return CodesOf(*blob) != nullptr; });
  if (has_codes) {
    LOG(WARNING) << path << ": HDF5 holds values alone. Quantised layers that "
                 << "load them fit scales and shifts anew; a .caffemodel keeps "
                 << "those of the packed file that they are of";
  }
}

#define UL2Q_INSTANTIATE(Dtype)                                         \
  template void Decode(const BlobCodes&, Dtype*);                       \
  template std::shared_ptr<const BlobCodes> CodesOf(                    \
      const caffe::Blob<Dtype>&);                                       \
  template void AddCodes(const caffe::Blob<Dtype>&, caffe::BlobProto*); \
  template void WarnOfCodes(                                            \
      const std::vector<boost::shared_ptr<caffe::Blob<Dtype>>>&,        \
      const std::string&)

UL2Q_INSTANTIATE(float);
UL2Q_INSTANTIATE(double);
template void Decode(const BlobCodes&, int*);
template void Decode(const BlobCodes&, unsigned int*);

#undef UL2Q_INSTANTIATE

}  // namespace ul2q

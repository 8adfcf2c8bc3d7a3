#ifndef UL2Q_SUPPORT_BLOB_VALUES_HPP_
#define UL2Q_SUPPORT_BLOB_VALUES_HPP_

namespace caffe {
class BlobProto;
class Datum;
}  // namespace caffe

namespace ul2q {

/// Throws CaffeError unless a blob of a file has as many values (or codes), and
/// gradients if any, as its shape says. Before memory is taken: a shape costs a
/// few bytes and may claim gigabytes.
void CheckBlobValues(const caffe::BlobProto& blob);

/// The same of the pixels of a record that is not encoded.
void CheckPixels(const caffe::Datum& record);

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_BLOB_VALUES_HPP_

#include "support/blob_values.hpp"

#include <glog/logging.h>

#include <cstdint>
#include <string>
#include <vector>

#include "caffe/proto/caffe.pb.h"
#include "support/packed_blob.hpp"
#include "support/sizes.hpp"

namespace ul2q {
namespace {

std::vector<std::int64_t> ShapeOf(const caffe::BlobProto& blob) {
  if (blob.has_num() || blob.has_channels() || blob.has_height() ||
      blob.has_width()) {
    return {blob.num(), blob.channels(), blob.height(), blob.width()};
  }
  return {blob.shape().dim().begin(), blob.shape().dim().end()};
}

}  // namespace

void CheckBlobValues(const caffe::BlobProto& blob) {
  int count = 1;
  std::string words;
  for (const std::int64_t extent : ShapeOf(blob)) {
    count = CheckedProduct(count, CheckedSize(extent));
    words += (words.empty() ? "" : " x ") + std::to_string(extent);
  }
  const int data =
      blob.double_data_size() > 0 ? blob.double_data_size() : blob.data_size();
  words = words.empty() ? "()" : words;
  const bool has_codes = ReadCodes(blob, count) != nullptr;
  CHECK(data == count || (data == 0 && has_codes))
      << "a blob of shape " << words << " has " << data
      << " values; it is damaged";
  const int diff =
      blob.double_diff_size() > 0 ? blob.double_diff_size() : blob.diff_size();
  CHECK(diff == 0 || diff == count) << "a blob of shape " << words << " has "
                                    << diff << " gradients; it is damaged";
}

void CheckPixels(const caffe::Datum& record) {
  const std::int64_t pixels =
      record.data().empty() ? record.float_data_size() : record.data().size();
  const int plane =
      CheckedProduct(CheckedSize(record.height()), CheckedSize(record.width()));
  CHECK_EQ(std::int64_t{record.channels()} * plane, pixels)
      << "A Datum is damaged: channels * height * width is not the number of "
         "its pixels";
}

}  // namespace ul2q

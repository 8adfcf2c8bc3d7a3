// What tests of Caffe's nets and layers share.
#ifndef UL2Q_TESTS_SUPPORT_HPP_
#define UL2Q_TESTS_SUPPORT_HPP_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "core/support.hpp"
#include "support/caffe_error.hpp"

namespace ul2q {

/// A message from its prototxt; std::invalid_argument if it does not parse.
template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  if (!google::protobuf::TextFormat::ParseFromString(text, &message)) {
    throw std::invalid_argument("the test's prototxt does not parse: " + text);
  }
  return message;
}

template <typename Dtype>
std::vector<Dtype> Data(const caffe::Blob<Dtype>& blob) {
  return {blob.cpu_data(), blob.cpu_data() + blob.count()};
}

template <typename Dtype>
std::vector<Dtype> Diff(const caffe::Blob<Dtype>& blob) {
  return {blob.cpu_diff(), blob.cpu_diff() + blob.count()};
}

template <typename Dtype>
void SetData(const std::vector<Dtype>& values, caffe::Blob<Dtype>* blob) {
  ASSERT_EQ(values.size(), static_cast<std::size_t>(blob->count()));
  if (!values.empty()) {  // an empty blob may have no memory
    std::copy(values.begin(), values.end(), blob->mutable_cpu_data());
  }
}

template <typename Dtype>
void SetDiff(const std::vector<Dtype>& values, caffe::Blob<Dtype>* blob) {
  ASSERT_EQ(values.size(), static_cast<std::size_t>(blob->count()));
  if (!values.empty()) {
    std::copy(values.begin(), values.end(), blob->mutable_cpu_diff());
  }
}

template <typename Dtype>
void FillNormal(unsigned seed, caffe::Blob<Dtype>* blob, double mean = 0,
                double sigma = 1) {
  SetData(Normal<Dtype>(blob->count(), seed, mean, sigma), blob);
}

/// A temporary folder, which is removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "ul2q_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
      throw std::runtime_error("cannot make a folder like " + pattern);
    }
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string operator/(const std::string& name) const {
    return (path_ / name).string();
  }

 private:
  std::filesystem::path path_;
};

}  // namespace ul2q

#endif  // UL2Q_TESTS_SUPPORT_HPP_

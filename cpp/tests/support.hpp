#ifndef UL2Q_TESTS_SUPPORT_HPP_
#define UL2Q_TESTS_SUPPORT_HPP_

#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "support/caffe_error.hpp"
#include "ul2q/core/quantizer.hpp"

namespace ul2q {

using Dtypes = ::testing::Types<float, double>;

/// `n` normal values, the same for the same seed.
template <typename Dtype>
std::vector<Dtype> Normal(std::int64_t n, unsigned seed, double mean = 0,
                          double sigma = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> distribution(mean, sigma);
  std::vector<Dtype> values(n);
  for (Dtype& value : values) {
    value = static_cast<Dtype>(distribution(engine));
  }
  return values;
}

/// The message of the `Error` that `action` throws; a test failure and "" if it
/// throws none.
template <typename Error, typename Action>
std::string MessageOf(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

inline void ExpectWords(const std::string& text,
                        const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    EXPECT_NE(text.find(word), std::string::npos)
        << "no \"" << word << "\" in: " << text;
  }
}

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

/// Equal to a few roundings of the largest element: what is left when the same
/// sums run over the same values.
template <typename Dtype>
void ExpectClose(const std::vector<Dtype>& expected,
                 const std::vector<Dtype>& actual, const char* what) {
  ASSERT_EQ(expected.size(), actual.size()) << what;
  Dtype largest = 0;
  for (const Dtype value : expected) {
    largest = std::max(largest, std::abs(value));
  }
  const Dtype tolerance =
      32 * std::numeric_limits<Dtype>::epsilon() * std::max(largest, Dtype(1));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(expected[i], actual[i], tolerance) << what << " at " << i;
  }
}

/// A folder that goes with the object.
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

#include "support/shape_guard.hpp"

#include <glog/logging.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

#include "caffe/proto/caffe.pb.h"

namespace ul2q {
namespace {

/// Their LayerSetUp gives the same whenever it runs, but for sizes that follow
/// the bottoms, and keeps the parameters.
constexpr std::string_view kSetUpAgain[] = {
    "ArgMax", "ContrastiveLoss", "Crop", "Im2col", "PReLU", "SPP",
};

std::string InWords(const std::vector<int>& shape) {
  std::string words;
  for (const int extent : shape) {
    words += (words.empty() ? "" : " x ") + std::to_string(extent);
  }
  return words.empty() ? "() of one number" : words;
}

}  // namespace

bool ShapeGuard::SetsUpAgain(const caffe::LayerParameter& layer) {
  return std::find(std::begin(kSetUpAgain), std::end(kSetUpAgain),
                   layer.type()) != std::end(kSetUpAgain);
}

bool ShapeGuard::OwnsItsParameters(const caffe::LayerParameter& layer) {
  return layer.type() == "Python";
}

void ShapeGuard::RequireCount(const char* kind, std::size_t count,
                              std::size_t wanted) {
  CHECK_EQ(count, wanted) << "the layer is given " << count << " " << kind
                          << " blobs; it was made with " << wanted;
}

void ShapeGuard::RefuseShape(const char* kind, std::size_t index,
                             const Shape& now, const Shape& then) {
  LOG(FATAL) << kind << " " << index << " has the shape " << InWords(now)
             << "; the layer was made with " << InWords(then)
             << ": give it that shape, or make another net";
}

void ShapeGuard::RefusePass(const char* kind, std::size_t index,
                            const Shape& now, const Shape& then) {
  LOG(FATAL) << kind << " " << index << " has the shape " << InWords(now)
             << "; it had " << InWords(then)
             << " in the last forward pass: go forward before backward";
}

void ShapeGuard::RefuseReshaped() {
  LOG(FATAL) << "the layer has been reshaped since the last forward pass: go "
                "forward before backward";
}

}  // namespace ul2q

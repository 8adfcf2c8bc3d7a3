// DetectionOutput, of SSD: the boxes of what is in images, from locations,
// confidences and priors. It computes on the CPU.

#include <algorithm>
#include <limits>
#include <vector>

#include "layers_of_forks/boxes.hpp"
#include "layers_of_forks/fork_layer.hpp"
#include "support/sizes.hpp"

namespace caffe {
namespace {

template <typename Dtype>
struct Detection {
  int image, label;
  Dtype confidence;
  ul2q::Box<Dtype> box;
};

/// Bottoms: locations, N × 4·priors (× classes, unless these share them);
/// confidences, N × priors·classes; priors, 1 × 2 × 4·priors. Top: 1 × 1 ×
/// detections × 7: image, class, confidence, xmin, ymin, xmax, ymax. Where
/// there is none, a row for each image has its number, and −1 else.
template <typename Dtype>
class DetectionOutputLayer : public Layer<Dtype> {
 public:
  using Layer<Dtype>::Layer;

  const char* type() const override { return "DetectionOutput"; }
  int MinBottomBlobs() const override { return 3; }
  int MaxBottomBlobs() const override { return 4; }
  int ExactNumTopBlobs() const override { return 1; }
  bool AllowForceBackward(int /*bottom*/) const override { return false; }

  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& /*top*/) override {
    const DetectionOutputParameter& param = Param();
    CHECK_LT(bottom.size(), 4u)
        << "a fourth bottom is RefineDet's; give locations, confidences and "
           "priors";
    CHECK_GT(param.num_classes(), 0u)
        << "detection_output_param.num_classes must be given, and positive";
    CHECK_GE(param.nms_param().nms_threshold(), 0)
        << "detection_output_param.nms_param.nms_threshold must not be "
           "negative";
    CHECK(param.nms_param().eta() > 0 && param.nms_param().eta() <= 1)
        << "detection_output_param.nms_param.eta must be above 0 and at most "
           "1";
  }

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override {
    CHECK(bottom[2]->num_axes() >= 3 && bottom[2]->shape(1) == 2 &&
          bottom[2]->shape(2) % 4 == 0)
        << "the third bottom, " << bottom[2]->shape_string()
        << ", must be priors, 1 x 2 x 4·priors";
    priors_ = bottom[2]->shape(2) / 4;
    classes_ = ul2q::CheckedSize(Param().num_classes());
    locations_ = Param().share_location() ? 1 : classes_;
    CHECK_EQ(bottom[0]->count(1), int64_t{4} * priors_ * locations_)
        << "the first bottom, " << bottom[0]->shape_string()
        << ", must have 4 numbers for each of " << priors_ << " priors"
        << (locations_ > 1 ? " and each class" : "");
    CHECK_EQ(bottom[1]->count(1), int64_t{priors_} * classes_)
        << "the second bottom, " << bottom[1]->shape_string()
        << ", must have a confidence for each of " << priors_ << " priors and "
        << classes_ << " classes";
    CHECK_EQ(bottom[0]->shape(0), bottom[1]->shape(0))
        << "locations and confidences are of unequal numbers of images";
    top[0]->Reshape({1, 1, 1, 7});  // till a pass knows how many there are
  }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    vector<Detection<Dtype>> detections;
    const int images = bottom[0]->shape(0);
    for (int image = 0; image < images; ++image) {
      const vector<Detection<Dtype>> found = DetectionsOf(bottom, image);
      detections.insert(detections.end(), found.begin(), found.end());
    }
    if (detections.empty()) {
      for (int image = 0; image < images; ++image) {
        detections.push_back({image, -1, -1, {-1, -1, -1, -1}});
      }
    }
    top[0]->Reshape({1, 1, static_cast<int>(detections.size()), 7});
    Dtype* row = top[0]->mutable_cpu_data();
    for (const Detection<Dtype>& detection : detections) {
      const ul2q::Box<Dtype>& box = detection.box;
      for (const Dtype value :
           {Dtype(detection.image), Dtype(detection.label),
            detection.confidence, box.xmin, box.ymin, box.xmax, box.ymax}) {
        *row++ = value;
      }
    }
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& /*top*/,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& /*bottom*/) override {
    CHECK(std::find(propagate_down.begin(), propagate_down.end(), true) ==
          propagate_down.end())
        << "the layer has no gradient; train by MultiBoxLoss";
  }

 private:
  const DetectionOutputParameter& Param() const {
    return this->layer_param_.detection_output_param();
  }

  /// Of an image, by class, and those of a class by their confidence.
  vector<Detection<Dtype>> DetectionsOf(const vector<Blob<Dtype>*>& bottom,
                                        int image) const {
    const DetectionOutputParameter& param = Param();
    const Dtype* codes = bottom[0]->cpu_data() + image * bottom[0]->count(1);
    const Dtype* confidences =
        bottom[1]->cpu_data() + image * bottom[1]->count(1);
    const ul2q::Priors<Dtype> priors(bottom[2]->cpu_data(), priors_);
    const ul2q::BoxCode code{param.code_type(),
                             !param.variance_encoded_in_target()};
    const Dtype least = param.has_confidence_threshold()
                            ? Dtype(param.confidence_threshold())
                            : std::numeric_limits<Dtype>::lowest();
    vector<ul2q::Box<Dtype>> boxes;
    vector<Dtype> scores(priors_);
    vector<Detection<Dtype>> detections;
    for (int label = 0; label < classes_; ++label) {
      if (label == param.background_label_id()) {
        continue;
      }
      const int location = locations_ == 1 ? 0 : label;
      if (boxes.empty() || locations_ > 1) {
        boxes.clear();
        for (int i = 0; i < priors_; ++i) {
          boxes.push_back(
              code.Decode(priors, i, codes + 4 * (i * locations_ + location)));
        }
      }
      for (int i = 0; i < priors_; ++i) {
        scores[i] = confidences[i * classes_ + label];
      }
      for (const int i :
           ul2q::SuppressNonMaximum(boxes, scores, least, param.nms_param())) {
        detections.push_back({image, label, scores[i], boxes[i]});
      }
    }
    const int most = param.keep_top_k();
    if (most >= 0 && static_cast<int>(detections.size()) > most) {
      std::stable_sort(detections.begin(), detections.end(),
                       [](const auto& a, const auto& b) {
                         return a.confidence > b.confidence;
                       });
      detections.resize(most);
      std::stable_sort(
          detections.begin(), detections.end(),
          [](const auto& a, const auto& b) { return a.label < b.label; });
    }
    return detections;
  }

  int priors_ = 0, classes_ = 0;
  int locations_ = 0;  ///< of a prior
};

const ForkLayer<DetectionOutputLayer> registration("DetectionOutput");

}  // namespace
}  // namespace caffe

// PriorBox, of SSD: the boxes that detections are told in terms of. They depend
// on shapes alone, so that CPU and GPU compute them on the CPU.

#include <algorithm>
#include <climits>
#include <cmath>
#include <vector>

#include "layers_of_forks/fork_layer.hpp"

namespace caffe {
namespace {

/// Bottoms: features, one cell an element, and the images, unless the options
/// give their size. Top: 1 × 2 × 4·boxes: corners by the images' sides, and
/// variances.
template <typename Dtype>
class PriorBoxLayer : public Layer<Dtype> {
 public:
  using Layer<Dtype>::Layer;

  const char* type() const override { return "PriorBox"; }
  int MinBottomBlobs() const override { return 1; }
  int MaxBottomBlobs() const override { return 2; }
  int ExactNumTopBlobs() const override { return 1; }

  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& /*top*/) override {
    const PriorBoxParameter& param = this->layer_param_.prior_box_param();
    SetSizes(param);
    CHECK(param.variance_size() <= 1 || param.variance_size() == 4)
        << "prior_box_param.variance must be given once, or four times; it is "
           "given "
        << param.variance_size() << " times";
    for (int i = 0; i < 4; ++i) {
      variances_[i] = param.variance_size() == 0
                          ? 0.1f
                          : param.variance(param.variance_size() == 1 ? 0 : i);
      CHECK_GT(variances_[i], 0) << "prior_box_param.variance must be positive";
    }
    CHECK(!(param.has_img_size() && (param.has_img_h() || param.has_img_w())))
        << "prior_box_param has img_size, and img_h or img_w; give one or the "
           "others";
    CHECK(!(param.has_step() && (param.has_step_h() || param.has_step_w())))
        << "prior_box_param has step, and step_h or step_w; give one or the "
           "others";
    CHECK(param.has_img_h() == param.has_img_w() &&
          param.has_step_h() == param.has_step_w())
        << "prior_box_param must have both of img_h and img_w, and of step_h "
           "and step_w, or none";
    CHECK(bottom.size() == 2 || param.img_size() > 0 ||
          (param.img_h() > 0 && param.img_w() > 0))
        << "the layer needs the images as its second bottom, or "
           "prior_box_param.img_size";
  }

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override {
    for (const Blob<Dtype>* blob : bottom) {
      CHECK_EQ(blob->num_axes(), 4)
          << "the bottoms must be N x C x H x W; one is "
          << blob->shape_string();
    }
    const int64_t boxes = static_cast<int64_t>(shapes_.size()) *
                          bottom[0]->shape(2) * bottom[0]->shape(3);
    CHECK_GT(boxes, 0) << "the first bottom has no cells";
    CHECK_LE(boxes, INT_MAX / 8) << "there are too many boxes";
    top[0]->Reshape({1, 2, static_cast<int>(4 * boxes)});
  }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    const PriorBoxParameter& param = this->layer_param_.prior_box_param();
    const int rows = bottom[0]->shape(2), columns = bottom[0]->shape(3);
    int height = param.has_img_h() ? param.img_h() : param.img_size();
    int width = param.has_img_w() ? param.img_w() : param.img_size();
    if (height == 0 || width == 0) {
      height = bottom[1]->shape(2);
      width = bottom[1]->shape(3);
    }
    float step_h = param.has_step_h() ? param.step_h() : param.step();
    float step_w = param.has_step_w() ? param.step_w() : param.step();
    if (step_h == 0 || step_w == 0) {
      step_h = static_cast<float>(height) / static_cast<float>(rows);
      step_w = static_cast<float>(width) / static_cast<float>(columns);
    }
    Dtype* corner = top[0]->mutable_cpu_data();
    Dtype* variance = corner + top[0]->count(2);
    const auto add = [&](float pixels, int size) {
      const Dtype at = pixels / static_cast<float>(size);
      *corner++ = param.clip() ? std::clamp(at, Dtype(0), Dtype(1)) : at;
    };
    for (int h = 0; h < rows; ++h) {
      for (int w = 0; w < columns; ++w) {
        const float x = (static_cast<float>(w) + param.offset()) * step_w;
        const float y = (static_cast<float>(h) + param.offset()) * step_h;
        for (const Shape& shape : shapes_) {
          add(x - shape.width / 2, width);
          add(y - shape.height / 2, height);
          add(x + shape.width / 2, width);
          add(y + shape.height / 2, height);
          variance = std::copy_n(variances_, 4, variance);
        }
      }
    }
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& /*top*/,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    for (size_t i = 0; i < bottom.size(); ++i) {
      if (propagate_down[i]) {  // the boxes do not depend on the values
        std::fill_n(bottom[i]->mutable_cpu_diff(), bottom[i]->count(),
                    Dtype(0));
      }
    }
  }

 private:
  struct Shape {
    float width, height;  ///< in pixels
  };

  /// The shapes of a cell's boxes, in SSD's order.
  void SetSizes(const PriorBoxParameter& param) {
    CHECK_GT(param.min_size_size(), 0)
        << "prior_box_param.min_size must be given";
    CHECK(param.max_size_size() == 0 ||
          param.max_size_size() == param.min_size_size())
        << "prior_box_param.max_size is given " << param.max_size_size()
        << " times; must be given as often as min_size, "
        << param.min_size_size() << " times, or not at all";
    const vector<float> ratios = Ratios(param);
    shapes_.clear();
    for (int i = 0; i < param.min_size_size(); ++i) {
      CHECK_GT(param.min_size(i), 0)
          << "prior_box_param.min_size must be positive";
      const float least = std::trunc(param.min_size(i));
      shapes_.push_back({least, least});
      if (param.max_size_size() > 0) {
        CHECK_GT(param.max_size(i), param.min_size(i))
            << "prior_box_param.max_size must be above its min_size";
        const float mean = std::sqrt(least * std::trunc(param.max_size(i)));
        shapes_.push_back({mean, mean});
      }
      for (const float ratio : ratios) {
        const float root = std::sqrt(ratio);
        shapes_.push_back({least * root, least / root});
      }
    }
  }

  /// Without 1, which each size has anyway, and without a ratio twice.
  static vector<float> Ratios(const PriorBoxParameter& param) {
    vector<float> ratios;
    for (const float ratio : param.aspect_ratio()) {
      CHECK_GT(ratio, 0) << "prior_box_param.aspect_ratio must be positive";
      const auto is_same = [=](float other) {
        return std::fabs(ratio - other) < 1e-6f;
      };
      if (!is_same(1) && std::none_of(ratios.begin(), ratios.end(), is_same)) {
        ratios.push_back(ratio);
        if (param.flip()) {
          ratios.push_back(1 / ratio);
        }
      }
    }
    return ratios;
  }

  vector<Shape> shapes_;
  float variances_[4] = {};
};

const ForkLayer<PriorBoxLayer> registration("PriorBox");

}  // namespace
}  // namespace caffe

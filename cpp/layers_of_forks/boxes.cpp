#include "layers_of_forks/boxes.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ul2q {

using caffe::PriorBoxParameter;

template <typename Dtype>
Dtype Overlap(const Box<Dtype>& a, const Box<Dtype>& b) {
  const Dtype width = std::min(a.xmax, b.xmax) - std::max(a.xmin, b.xmin);
  const Dtype height = std::min(a.ymax, b.ymax) - std::max(a.ymin, b.ymin);
  if (!(width > 0 && height > 0)) {
    return 0;
  }
  const Dtype shared = width * height;
  return shared / (a.area() + b.area() - shared);
}

template <typename Dtype>
Box<Dtype> BoxCode::Decode(const Priors<Dtype>& priors, int prior,
                           const Dtype* code) const {
  const Box<Dtype> p = priors.box(prior);
  Dtype v[4] = {1, 1, 1, 1};
  if (with_variance) {
    std::copy_n(priors.variance(prior), 4, v);
  }
  switch (type) {
    case PriorBoxParameter::CENTER_SIZE: {
      const Dtype x = (p.xmin + p.xmax) / 2 + v[0] * code[0] * p.width();
      const Dtype y = (p.ymin + p.ymax) / 2 + v[1] * code[1] * p.height();
      const Dtype half_width = std::exp(v[2] * code[2]) * p.width() / 2;
      const Dtype half_height = std::exp(v[3] * code[3]) * p.height() / 2;
      return {x - half_width, y - half_height, x + half_width, y + half_height};
    }
    case PriorBoxParameter::CORNER_SIZE:
      return {p.xmin + v[0] * code[0] * p.width(),
              p.ymin + v[1] * code[1] * p.height(),
              p.xmax + v[2] * code[2] * p.width(),
              p.ymax + v[3] * code[3] * p.height()};
    default:
      return {p.xmin + v[0] * code[0], p.ymin + v[1] * code[1],
              p.xmax + v[2] * code[2], p.ymax + v[3] * code[3]};
  }
}

template <typename Dtype>
void BoxCode::Encode(const Priors<Dtype>& priors, int prior,
                     const Box<Dtype>& box, Dtype* code) const {
  const Box<Dtype> p = priors.box(prior);
  switch (type) {
    case PriorBoxParameter::CENTER_SIZE:
      code[0] = (box.xmin + box.xmax - p.xmin - p.xmax) / 2 / p.width();
      code[1] = (box.ymin + box.ymax - p.ymin - p.ymax) / 2 / p.height();
      code[2] = std::log(box.width() / p.width());
      code[3] = std::log(box.height() / p.height());
      break;
    case PriorBoxParameter::CORNER_SIZE:
      code[0] = (box.xmin - p.xmin) / p.width();
      code[1] = (box.ymin - p.ymin) / p.height();
      code[2] = (box.xmax - p.xmax) / p.width();
      code[3] = (box.ymax - p.ymax) / p.height();
      break;
    default:
      code[0] = box.xmin - p.xmin;
      code[1] = box.ymin - p.ymin;
      code[2] = box.xmax - p.xmax;
      code[3] = box.ymax - p.ymax;
  }
  for (int i = 0; with_variance && i < 4; ++i) {
    code[i] /= priors.variance(prior)[i];
  }
}

template <typename Dtype>
std::vector<int> SuppressNonMaximum(
    const std::vector<Box<Dtype>>& boxes, const std::vector<Dtype>& scores,
    Dtype least, const caffe::NonMaximumSuppressionParameter& param) {
  std::vector<int> candidates;
  for (int i = 0; i < static_cast<int>(scores.size()); ++i) {
    if (scores[i] > least) {
      candidates.push_back(i);
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](int a, int b) { return scores[a] > scores[b]; });
  if (param.has_top_k() && param.top_k() >= 0 &&
      static_cast<std::size_t>(param.top_k()) < candidates.size()) {
    candidates.resize(param.top_k());
  }
  std::vector<int> kept;
  float threshold = param.nms_threshold();
  for (const int candidate : candidates) {
    const bool is_new = std::all_of(kept.begin(), kept.end(), [&](int other) {
      return Overlap(boxes[candidate], boxes[other]) <= threshold;
    });
    if (is_new) {
      kept.push_back(candidate);
      if (threshold > 0.5f) {
        threshold *= param.eta();
      }
    }
  }
  return kept;
}

#define UL2Q_INSTANTIATE(Dtype)                                                \
  template Dtype Overlap(const Box<Dtype>&, const Box<Dtype>&);                \
  template Box<Dtype> BoxCode::Decode(const Priors<Dtype>&, int, const Dtype*) \
      const;                                                                   \
  template void BoxCode::Encode(const Priors<Dtype>&, int, const Box<Dtype>&,  \
                                Dtype*) const;                                 \
  template std::vector<int> SuppressNonMaximum(                                \
      const std::vector<Box<Dtype>>&, const std::vector<Dtype>&, Dtype,        \
      const caffe::NonMaximumSuppressionParameter&)

UL2Q_INSTANTIATE(float);
UL2Q_INSTANTIATE(double);

}  // namespace ul2q

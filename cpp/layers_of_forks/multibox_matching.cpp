#include "layers_of_forks/multibox_matching.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace ul2q {

using caffe::MultiBoxLossParameter;

namespace {

/// Boxes that overlap by less are apart.
constexpr float kApart = 1e-6F;

template <typename Dtype>
bool CrossesBorder(const Box<Dtype>& box) {
  const auto [least, largest] =
      std::minmax({box.xmin, box.ymin, box.xmax, box.ymax});
  return least < 0 || largest > 1;
}

/// The overlap of each box with each object; 0 with those that do not count.
template <typename Dtype>
using Overlaps = std::vector<std::vector<Dtype>>;

template <typename Dtype>
void MatchEachObject(const Overlaps<Dtype>& overlaps, int objects,
                     Matches<Dtype>* matches) {
  const int boxes = static_cast<int>(overlaps.size());
  std::vector<bool> is_matched(objects, false);
  for (int round = 0; round < objects; ++round) {
    int best_box = -1, best_object = -1;
    Dtype best = kApart;
    for (int i = 0; i < boxes; ++i) {
      if (matches->object[i] != Matches<Dtype>::kNone) {
        continue;
      }
      for (int k = 0; k < objects; ++k) {
        if (!is_matched[k] && overlaps[i][k] > best) {
          best = overlaps[i][k];
          best_box = i;
          best_object = k;
        }
      }
    }
    if (best_box < 0) {
      return;
    }
    matches->object[best_box] = best_object;
    is_matched[best_object] = true;
  }
}

template <typename Dtype>
void MatchOtherBoxes(const Overlaps<Dtype>& overlaps, Dtype threshold,
                     Matches<Dtype>* matches) {
  for (std::size_t i = 0; i < overlaps.size(); ++i) {
    if (matches->object[i] != Matches<Dtype>::kNone || overlaps[i].empty()) {
      continue;
    }
    const auto best = std::max_element(overlaps[i].begin(), overlaps[i].end());
    if (*best > Dtype(kApart) && *best >= threshold) {
      matches->object[i] = static_cast<int>(best - overlaps[i].begin());
    }
  }
}

}  // namespace

template <typename Dtype>
Matches<Dtype> Match(const std::vector<Box<Dtype>>& boxes,
                     const std::vector<Object<Dtype>>& objects, int label,
                     const MultiBoxLossParameter& param) {
  const int count = static_cast<int>(boxes.size());
  Matches<Dtype> matches(count);
  Overlaps<Dtype> overlaps(count, std::vector<Dtype>(objects.size(), Dtype(0)));
  for (int i = 0; i < count; ++i) {
    if (param.ignore_cross_boundary_bbox() && CrossesBorder(boxes[i])) {
      matches.object[i] = Matches<Dtype>::kIgnored;
      continue;
    }
    for (std::size_t k = 0; k < objects.size(); ++k) {
      if (label == kAnyLabel || objects[k].label == label) {
        overlaps[i][k] = Overlap(boxes[i], objects[k].box);
        matches.overlap[i] = std::max(matches.overlap[i], overlaps[i][k]);
      }
    }
  }
  MatchEachObject(overlaps, static_cast<int>(objects.size()), &matches);
  if (param.match_type() == MultiBoxLossParameter::PER_PREDICTION) {
    MatchOtherBoxes(overlaps, Dtype(param.overlap_threshold()), &matches);
  }
  return matches;
}

template <typename Dtype>
std::vector<int> Mine(const Matches<Dtype>& matches,
                      const std::vector<Dtype>& losses,
                      const std::vector<Box<Dtype>>& boxes,
                      const MultiBoxLossParameter& param) {
  const bool takes_all =
      param.mining_type() == MultiBoxLossParameter::HARD_EXAMPLE;
  std::vector<int> candidates;
  int64_t positives = 0;
  for (int i = 0; i < static_cast<int>(matches.object.size()); ++i) {
    positives += matches.object[i] >= 0;
    if (takes_all || (matches.object[i] == Matches<Dtype>::kNone &&
                      matches.overlap[i] < Dtype(param.neg_overlap()))) {
      candidates.push_back(i);
    }
  }
  const auto wanted =
      takes_all ? static_cast<std::size_t>(param.sample_size())
                : static_cast<std::size_t>(static_cast<float>(positives) *
                                           param.neg_pos_ratio());
  std::vector<int> order;  // of the candidates
  if (param.has_nms_param() && param.nms_param().nms_threshold() > 0) {
    std::vector<Box<Dtype>> compared;
    std::vector<Dtype> scores;
    for (const int i : candidates) {
      compared.push_back(boxes[i]);
      scores.push_back(losses[i]);
    }
    for (const int k : SuppressNonMaximum(compared, scores,
                                          -std::numeric_limits<Dtype>::max(),
                                          param.nms_param())) {
      order.push_back(candidates[k]);
    }
  } else {
    order = candidates;
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return losses[a] > losses[b]; });
  }
  order.resize(std::min(order.size(), wanted));
  return order;
}

#define UL2Q_INSTANTIATE(Dtype)                                         \
  template Matches<Dtype> Match(const std::vector<Box<Dtype>>&,         \
                                const std::vector<Object<Dtype>>&, int, \
                                const MultiBoxLossParameter&);          \
  template std::vector<int> Mine(                                       \
      const Matches<Dtype>&, const std::vector<Dtype>&,                 \
      const std::vector<Box<Dtype>>&, const MultiBoxLossParameter&)

UL2Q_INSTANTIATE(float);
UL2Q_INSTANTIATE(double);

}  // namespace ul2q

// MultiBoxLoss, of SSD: the loss of locations and confidences. Priors are
// matched with the objects of an image; those that are not matched count as
// background where they are taken most for objects. It computes on the CPU.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "layers_of_forks/boxes.hpp"
#include "layers_of_forks/fork_layer.hpp"
#include "layers_of_forks/multibox_matching.hpp"
#include "layers_of_forks/smooth_l1.hpp"

namespace caffe {
namespace {

/// Bottoms: locations, N × 4·priors, or N × priors·classes·4 where each class
/// has its own; confidences, N × priors·classes; priors, 1
/// × 2 × 4·priors; objects, 1 × 1 × objects × 8: image, class, instance, xmin,
/// ymin, xmax, ymax, difficult (image −1: none).
template <typename Dtype>
class MultiBoxLossLayer : public LossLayer<Dtype> {
 public:
  using LossLayer<Dtype>::LossLayer;

  const char* type() const override { return "MultiBoxLoss"; }
  int ExactNumBottomBlobs() const override { return 4; }
  bool AllowForceBackward(int bottom) const override { return bottom < 2; }

  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& top) override {
    LossLayer<Dtype>::LayerSetUp(bottom, top);
    const MultiBoxLossParameter& param = Param();
    CHECK_GT(param.num_classes(), 0u)
        << "multibox_loss_param.num_classes must be given, and positive";
    CHECK_LT(param.background_label_id(), param.num_classes())
        << "multibox_loss_param.background_label_id must be below num_classes, "
        << param.num_classes();
    CHECK(param.share_location() || !Mines())
        << "multibox_loss_param.share_location is false; this needs "
           "mining_type: NONE";
    CHECK(!param.map_object_to_agnostic() ||
          (param.num_classes() == 2 && param.background_label_id() == 0))
        << "multibox_loss_param.map_object_to_agnostic needs num_classes: 2 "
           "and background_label_id: 0";
    CHECK(param.mining_type() != MultiBoxLossParameter::HARD_EXAMPLE ||
          param.sample_size() > 0)
        << "multibox_loss_param.sample_size must be positive; it is "
        << param.sample_size();
    CHECK(!param.has_do_neg_mining() || param.do_neg_mining() == Mines())
        << "multibox_loss_param.do_neg_mining and mining_type contradict each "
           "other; give mining_type";
    CHECK_GE(param.neg_pos_ratio(), 0)
        << "multibox_loss_param.neg_pos_ratio must not be negative";
  }

  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override {
    LossLayer<Dtype>::Reshape(bottom, top);
    CHECK(bottom[2]->num_axes() >= 3 && bottom[2]->shape(1) == 2 &&
          bottom[2]->shape(2) % 4 == 0)
        << "the third bottom, " << bottom[2]->shape_string()
        << ", must be priors, 1 x 2 x 4·priors";
    priors_ = bottom[2]->shape(2) / 4;
    classes_ = static_cast<int>(Param().num_classes());
    locations_ = Param().share_location() ? 1 : classes_;
    CHECK_EQ(bottom[0]->count(1), priors_ * locations_ * 4)
        << "the first bottom, " << bottom[0]->shape_string()
        << ", must have 4 numbers for each of " << priors_ << " priors and "
        << locations_ << " classes (1 by share_location)";
    CHECK_EQ(bottom[1]->count(1), priors_ * classes_)
        << "the second bottom, " << bottom[1]->shape_string()
        << ", must have a confidence for each of " << priors_ << " priors and "
        << classes_ << " classes";
    CHECK_EQ(bottom[3]->count() % 8, 0)
        << "the fourth bottom, " << bottom[3]->shape_string()
        << ", must be objects, of 8 numbers each";
    location_gradient_.ReshapeLike(*bottom[0]);
    confidence_gradient_.ReshapeLike(*bottom[1]);
  }

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override {
    const int images = bottom[0]->shape(0);
    const vector<vector<Object>> objects = ObjectsOf(*bottom[3], images);
    const ul2q::Priors<Dtype> priors(bottom[2]->cpu_data(), priors_);
    Dtype* location_gradient = location_gradient_.mutable_cpu_data();
    Dtype* confidence_gradient = confidence_gradient_.mutable_cpu_data();
    std::fill_n(location_gradient, location_gradient_.count(), Dtype(0));
    std::fill_n(confidence_gradient, confidence_gradient_.count(), Dtype(0));
    double location_loss = 0, confidence_loss = 0;
    int64_t matched = 0;
    for (int image = 0; image < images; ++image) {
      const Predictions predictions{
          bottom[0]->cpu_data() + image * priors_ * locations_ * 4,
          bottom[1]->cpu_data() + image * priors_ * classes_};
      vector<Match> found = MatchesOf(priors, objects[image], predictions);
      const vector<int> counted =
          MineOf(priors, objects[image], predictions, &found);
      for (const Match& match : found) {
        const int at = match.prior * locations_ + match.location;
        location_loss += LocationLoss(
            priors, match, objects[image][match.object].box,
            predictions.locations,
            location_gradient + 4 * (image * priors_ * locations_ + at));
      }
      matched += static_cast<int64_t>(found.size());
      const vector<vector<int>> labels = LabelsOf(found, objects[image]);
      for (const int i : counted) {
        confidence_loss += ConfidenceLoss(
            predictions.confidences + i * classes_, labels[i],
            confidence_gradient + (image * priors_ + i) * classes_);
      }
    }
    factor_ = 1 / Normalizer(images, matched);
    top[0]->mutable_cpu_data()[0] = static_cast<Dtype>(
        factor_ * (Param().loc_weight() * location_loss + confidence_loss));
  }

  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override {
    CHECK(!propagate_down[2] && !propagate_down[3])
        << "priors and objects have no gradient";
    const Dtype weight = factor_ * top[0]->cpu_diff()[0];
    const Blob<Dtype>* gradients[] = {&location_gradient_,
                                      &confidence_gradient_};
    const Dtype weights[] = {weight * Param().loc_weight(), weight};
    for (int i = 0; i < 2; ++i) {
      if (propagate_down[i]) {
        const Dtype* gradient = gradients[i]->cpu_data();
        std::transform(gradient, gradient + gradients[i]->count(),
                       bottom[i]->mutable_cpu_diff(),
                       [&](Dtype value) { return weights[i] * value; });
      }
    }
  }

 private:
  using Box = ul2q::Box<Dtype>;
  using Object = ul2q::Object<Dtype>;
  using Matches = ul2q::Matches<Dtype>;

  /// A prior that stands for an object, and which of its locations does.
  struct Match {
    int prior, location, object;
  };

  /// What the net says of an image.
  struct Predictions {
    const Dtype* locations;    ///< priors × locations × 4
    const Dtype* confidences;  ///< priors × classes
  };

  const MultiBoxLossParameter& Param() const {
    return this->layer_param_.multibox_loss_param();
  }
  bool Mines() const {
    return Param().mining_type() != MultiBoxLossParameter::NONE;
  }
  ul2q::BoxCode Code() const {
    return {Param().code_type(), !Param().encode_variance_in_target()};
  }

  /// The objects of each image.
  vector<vector<Object>> ObjectsOf(const Blob<Dtype>& blob, int images) const {
    const MultiBoxLossParameter& param = Param();
    const int background = static_cast<int>(param.background_label_id());
    vector<vector<Object>> objects(images);
    const Dtype* row = blob.cpu_data();
    for (int i = 0; i < blob.count() / 8; ++i, row += 8) {
      if (row[0] == -1 || (row[7] != 0 && !param.use_difficult_gt())) {
        continue;
      }
      CHECK(row[0] >= 0 && row[0] < images)
          << "object " << i << " is of image " << row[0] << "; there are "
          << images;
      CHECK(param.map_object_to_agnostic() ||
            (row[1] >= 0 && row[1] < classes_ &&
             static_cast<int>(row[1]) != background))
          << "object " << i << " has the class " << row[1]
          << "; must be one of the " << classes_ << " but " << background
          << ", the background";
      CHECK(row[5] > row[3] && row[6] > row[4])
          << "object " << i << " has a box without area";
      objects[static_cast<int>(row[0])].push_back(
          {param.map_object_to_agnostic() ? background + 1
                                          : static_cast<int>(row[1]),
           Box::From(row + 3)});
    }
    return objects;
  }

  /// The boxes that an image's priors are compared by; `location` says which
  /// of the predicted ones.
  vector<Box> BoxesOf(const ul2q::Priors<Dtype>& priors, const Dtype* locations,
                      int location, bool are_priors) const {
    vector<Box> boxes;
    boxes.reserve(priors_);
    for (int i = 0; i < priors_; ++i) {
      boxes.push_back(
          are_priors
              ? priors.box(i)
              : Code().Decode(priors, i,
                              locations + 4 * (i * locations_ + location)));
    }
    return boxes;
  }

  /// The matches of an image. With a location a class, the boxes that these
  /// tell are matched with the objects of the class alone; priors, with all.
  vector<Match> MatchesOf(const ul2q::Priors<Dtype>& priors,
                          const vector<Object>& objects,
                          const Predictions& predictions) {
    const MultiBoxLossParameter& param = Param();
    const int background = static_cast<int>(param.background_label_id());
    const bool by_class = locations_ > 1 && !param.use_prior_for_matching();
    vector<Match> found;
    for (int location = 0; location < (by_class ? classes_ : 1); ++location) {
      if (by_class && location == background) {
        continue;
      }
      matches_ =
          ul2q::Match(BoxesOf(priors, predictions.locations, location,
                              param.use_prior_for_matching()),
                      objects, by_class ? location : ul2q::kAnyLabel, param);
      for (int i = 0; i < priors_; ++i) {
        if (const int k = matches_.object[i]; k >= 0) {
          found.push_back({i, locations_ > 1 ? objects[k].label : 0, k});
        }
      }
    }
    return found;
  }

  /// The priors whose confidences count. HARD_EXAMPLE takes away the matches of
  /// those that do not.
  vector<int> MineOf(const ul2q::Priors<Dtype>& priors,
                     const vector<Object>& objects,
                     const Predictions& predictions,
                     vector<Match>* found) const {
    vector<int> counted;
    if (!Mines()) {
      counted.resize(priors_);
      std::iota(counted.begin(), counted.end(), 0);
      return counted;
    }
    if (objects.empty()) {
      return counted;
    }
    const vector<vector<int>> labels = LabelsOf(*found, objects);
    vector<Dtype> losses(priors_);
    for (int i = 0; i < priors_; ++i) {
      losses[i] = ConfidenceLoss(predictions.confidences + i * classes_,
                                 labels[i], nullptr);
    }
    const bool takes_all =
        Param().mining_type() == MultiBoxLossParameter::HARD_EXAMPLE;
    if (takes_all) {
      for (const Match& match : *found) {
        losses[match.prior] +=
            LocationLoss(priors, match, objects[match.object].box,
                         predictions.locations, nullptr);
      }
    }
    vector<bool> is_mined(priors_, false);
    for (const int i : ul2q::Mine(matches_, losses,
                                  BoxesOf(priors, predictions.locations, 0,
                                          Param().use_prior_for_nms()),
                                  Param())) {
      is_mined[i] = true;
    }
    if (takes_all) {
      const auto is_left_out = [&](const Match& match) {
        return !is_mined[match.prior];
      };
      found->erase(std::remove_if(found->begin(), found->end(), is_left_out),
                   found->end());
    }
    for (const Match& match : *found) {
      counted.push_back(match.prior);
    }
    for (int i = 0; i < priors_; ++i) {
      if (is_mined[i] && matches_.object[i] == Matches::kNone) {
        counted.push_back(i);
      }
    }
    return counted;
  }

  /// The labels of each prior of an image. One that is not matched is of the
  /// background; but by SSD's rule of no class with LOGISTIC and without
  /// mining.
  vector<vector<int>> LabelsOf(const vector<Match>& found,
                               const vector<Object>& objects) const {
    vector<vector<int>> labels(priors_);
    for (const Match& match : found) {
      labels[match.prior].push_back(objects[match.object].label);
    }
    if (Mines() || Param().conf_loss_type() == MultiBoxLossParameter::SOFTMAX) {
      for (vector<int>& own : labels) {
        if (own.empty()) {
          own.push_back(static_cast<int>(Param().background_label_id()));
        }
      }
    }
    return labels;
  }

  /// The loss of a match's location; its gradient, unless that is null.
  Dtype LocationLoss(const ul2q::Priors<Dtype>& priors, const Match& match,
                     const Box& object, const Dtype* locations,
                     Dtype* gradient) const {
    const MultiBoxLossParameter& param = Param();
    const int prior = match.prior;
    const Dtype* location =
        locations + 4 * (prior * locations_ + match.location);
    Dtype target[4];
    Code().Encode(priors, prior, object, target);
    const Box matched = param.use_prior_for_matching()
                            ? priors.box(prior)
                            : Code().Decode(priors, prior, location);
    const Dtype corners[] = {matched.xmin, matched.ymin, matched.xmax,
                             matched.ymax};
    Dtype loss = 0;
    for (int i = 0; i < 4; ++i) {
      if (param.bp_inside() && (corners[i] < 0 || corners[i] > 1)) {
        continue;
      }
      // Targets that are not by the variances are compared by them.
      const Dtype unit = param.encode_variance_in_target()
                             ? 1 / priors.variance(prior)[i]
                             : Dtype(1);
      const Dtype d = unit * (location[i] - target[i]);
      const bool is_l2 = param.loc_loss_type() == MultiBoxLossParameter::L2;
      loss += is_l2 ? d * d / 2 : ul2q::SmoothL1(d, Dtype(1));
      if (gradient != nullptr) {
        gradient[i] =
            unit * (is_l2 ? d : ul2q::SmoothL1Derivative(d, Dtype(1)));
      }
    }
    return loss;
  }

  /// The loss of a prior's confidences; its gradient, unless that is null. Of
  /// several labels, LOGISTIC takes all and SOFTMAX the last.
  Dtype ConfidenceLoss(const Dtype* confidences, const vector<int>& labels,
                       Dtype* gradient) const {
    Dtype loss = 0;
    if (Param().conf_loss_type() == MultiBoxLossParameter::LOGISTIC) {
      for (int i = 0; i < classes_; ++i) {
        const Dtype x = confidences[i];
        const Dtype target =
            std::find(labels.begin(), labels.end(), i) != labels.end() ? 1 : 0;
        loss += std::max(x, Dtype(0)) - x * target +
                std::log1p(std::exp(-std::abs(x)));
        if (gradient != nullptr) {
          gradient[i] = 1 / (1 + std::exp(-x)) - target;
        }
      }
      return loss;
    }
    const int label = labels.back();
    const Dtype largest =
        *std::max_element(confidences, confidences + classes_);
    Dtype sum = 0;
    for (int i = 0; i < classes_; ++i) {
      sum += std::exp(confidences[i] - largest);
    }
    if (gradient != nullptr) {
      for (int i = 0; i < classes_; ++i) {
        gradient[i] = std::exp(confidences[i] - largest) / sum - (i == label);
      }
    }
    return std::log(sum) + largest - confidences[label];
  }

  /// What the loss is divided by.
  Dtype Normalizer(int images, int64_t matched) const {
    const LossParameter& loss = this->layer_param_.loss_param();
    LossParameter::NormalizationMode mode = loss.normalization();
    if (!loss.has_normalization() && loss.has_normalize()) {
      mode =
          loss.normalize() ? LossParameter::VALID : LossParameter::BATCH_SIZE;
    }
    int64_t divisor = 1;
    switch (mode) {
      case LossParameter::FULL:
        divisor = int64_t{images} * priors_;
        break;
      case LossParameter::VALID:
        divisor = matched;
        break;
      case LossParameter::BATCH_SIZE:
        divisor = images;
        break;
      default:
        break;
    }
    return static_cast<Dtype>(std::max<int64_t>(divisor, 1));
  }

  int priors_ = 0, classes_ = 0;
  int locations_ = 1;  ///< of a prior
  Matches matches_{0};
  Dtype factor_ = 1;  ///< of the loss
  // Of the last forward pass's losses, before factors.
  Blob<Dtype> location_gradient_, confidence_gradient_;
};

const ForkLayer<MultiBoxLossLayer> registration("MultiBoxLoss");

}  // namespace
}  // namespace caffe

// MultiBoxLoss, of SSD: the loss of locations and confidences. Priors are
// matched with the objects of an image; those that are not matched count as
// background where they are taken most for objects. It computes on the CPU.

#include <algorithm>
#include <cmath>
#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "layers_of_forks/boxes.hpp"
#include "layers_of_forks/fork_layer.hpp"
#include "layers_of_forks/smooth_l1.hpp"
#include "support/sizes.hpp"

namespace caffe {
namespace {

template <typename Dtype>
struct Object {
  int label;
  ul2q::Box<Dtype> box;
};

/// What the priors of an image stand for.
template <typename Dtype>
struct Matches {
  explicit Matches(int priors)
      : object(priors, kNone), overlap(priors, Dtype(0)) {}

  static constexpr int kNone = -1;
  static constexpr int kIgnored = -2;  ///< neither object nor background

  vector<int> object;     ///< its index, or one of the above
  vector<Dtype> overlap;  ///< the largest one with any object
};

/// Bottoms: locations, N × 4·priors; confidences, N × priors·classes; priors, 1
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
    CHECK(param.share_location())
        << "multibox_loss_param.share_location is false; this layer has one "
           "location a prior";
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
    classes_ = ul2q::CheckedSize(Param().num_classes());
    CHECK_EQ(bottom[0]->count(1), 4 * priors_)
        << "the first bottom, " << bottom[0]->shape_string()
        << ", must have 4 numbers for each of " << priors_ << " priors";
    CHECK_EQ(bottom[1]->count(1), int64_t{priors_} * classes_)
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
    const vector<vector<Object<Dtype>>> objects = ObjectsOf(*bottom[3], images);
    const ul2q::Priors<Dtype> priors(bottom[2]->cpu_data(), priors_);
    Dtype* location_gradient = location_gradient_.mutable_cpu_data();
    Dtype* confidence_gradient = confidence_gradient_.mutable_cpu_data();
    std::fill_n(location_gradient, location_gradient_.count(), Dtype(0));
    std::fill_n(confidence_gradient, confidence_gradient_.count(), Dtype(0));
    double location_loss = 0, confidence_loss = 0;
    int64_t matched = 0;
    for (int image = 0; image < images; ++image) {
      const Dtype* locations = bottom[0]->cpu_data() + image * 4 * priors_;
      const Dtype* confidences =
          bottom[1]->cpu_data() + image * priors_ * classes_;
      const Matches<Dtype> matches =
          MatchesOf(priors, objects[image], locations);
      for (int i = 0; i < priors_; ++i) {
        if (matches.object[i] >= 0) {
          ++matched;
          location_loss += LocationLoss(
              priors, i, objects[image][matches.object[i]].box,
              locations + 4 * i, location_gradient + 4 * (image * priors_ + i));
        }
      }
      for (const int i : CountedOf(matches, objects[image], confidences)) {
        confidence_loss += ConfidenceLoss(
            confidences + i * classes_, LabelOf(matches, objects[image], i),
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
  vector<vector<Object<Dtype>>> ObjectsOf(const Blob<Dtype>& blob,
                                          int images) const {
    const MultiBoxLossParameter& param = Param();
    const int background = static_cast<int>(param.background_label_id());
    vector<vector<Object<Dtype>>> objects(images);
    const Dtype* row = blob.cpu_data();
    for (int i = 0; i < blob.count() / 8; ++i, row += 8) {
      if (row[0] == -1 || (row[7] != 0 && !param.use_difficult_gt())) {
        continue;
      }
      CHECK(row[0] >= 0 && row[0] < images)
          << "object " << i << " is of image " << row[0] << "; there are "
          << images;
      CHECK(row[1] >= 0 && row[1] < classes_ &&
            static_cast<int>(row[1]) != background)
          << "object " << i << " has the class " << row[1]
          << "; must be one of the " << classes_ << " but " << background
          << ", the background";
      CHECK(row[5] > row[3] && row[6] > row[4])
          << "object " << i << " has a box without area";
      objects[static_cast<int>(row[0])].push_back(
          {static_cast<int>(row[1]), Box::From(row + 3)});
    }
    return objects;
  }

  Matches<Dtype> MatchesOf(const ul2q::Priors<Dtype>& priors,
                           const vector<Object<Dtype>>& objects,
                           const Dtype* locations) const {
    const MultiBoxLossParameter& param = Param();
    Matches<Dtype> matches(priors_);
    vector<vector<Dtype>> overlaps(priors_);
    for (int i = 0; i < priors_; ++i) {
      const Box prior = priors.box(i);
      if (param.ignore_cross_boundary_bbox() &&
          std::min({prior.xmin, prior.ymin, prior.xmax, prior.ymax}) < 0) {
        matches.object[i] = Matches<Dtype>::kIgnored;
      } else if (param.ignore_cross_boundary_bbox() &&
                 std::max({prior.xmin, prior.ymin, prior.xmax, prior.ymax}) >
                     1) {
        matches.object[i] = Matches<Dtype>::kIgnored;
      }
      const Box box = param.use_prior_for_matching()
                          ? prior
                          : Code().Decode(priors, i, locations + 4 * i);
      for (const Object<Dtype>& object : objects) {
        overlaps[i].push_back(ul2q::Overlap(box, object.box));
        matches.overlap[i] = std::max(matches.overlap[i], overlaps[i].back());
      }
    }
    MatchEachObject(overlaps, static_cast<int>(objects.size()), &matches);
    if (param.match_type() == MultiBoxLossParameter::PER_PREDICTION) {
      MatchOtherPriors(overlaps, &matches);
    }
    return matches;
  }

  /// The largest overlap first, each object gets a prior that overlaps it.
  void MatchEachObject(const vector<vector<Dtype>>& overlaps, int objects,
                       Matches<Dtype>* matches) const {
    vector<bool> is_matched(objects, false);
    for (int round = 0; round < objects; ++round) {
      int best_prior = -1, best_object = -1;
      Dtype best = 1e-6;
      for (int i = 0; i < priors_; ++i) {
        if (matches->object[i] != Matches<Dtype>::kNone) {
          continue;
        }
        for (int k = 0; k < objects; ++k) {
          if (!is_matched[k] && overlaps[i][k] > best) {
            best = overlaps[i][k];
            best_prior = i;
            best_object = k;
          }
        }
      }
      if (best_prior < 0) {
        return;
      }
      matches->object[best_prior] = best_object;
      is_matched[best_object] = true;
    }
  }

  void MatchOtherPriors(const vector<vector<Dtype>>& overlaps,
                        Matches<Dtype>* matches) const {
    for (int i = 0; i < priors_; ++i) {
      if (matches->object[i] != Matches<Dtype>::kNone || overlaps[i].empty()) {
        continue;
      }
      const auto best =
          std::max_element(overlaps[i].begin(), overlaps[i].end());
      if (*best > Dtype(1e-6) && *best >= Dtype(Param().overlap_threshold())) {
        matches->object[i] = static_cast<int>(best - overlaps[i].begin());
      }
    }
  }

  int LabelOf(const Matches<Dtype>& matches,
              const vector<Object<Dtype>>& objects, int prior) const {
    return matches.object[prior] >= 0
               ? objects[matches.object[prior]].label
               : static_cast<int>(Param().background_label_id());
  }

  /// The priors whose confidences count.
  vector<int> CountedOf(const Matches<Dtype>& matches,
                        const vector<Object<Dtype>>& objects,
                        const Dtype* confidences) const {
    vector<int> counted, negatives;
    for (int i = 0; i < priors_; ++i) {
      const bool is_negative =
          matches.object[i] == Matches<Dtype>::kNone &&
          matches.overlap[i] < Dtype(Param().neg_overlap());
      if (matches.object[i] >= 0 || !Mines()) {
        counted.push_back(i);
      } else if (is_negative) {
        negatives.push_back(i);
      }
    }
    if (!Mines()) {
      return counted;
    }
    vector<Dtype> losses(priors_);
    for (const int i : negatives) {
      losses[i] = ConfidenceLoss(confidences + i * classes_,
                                 LabelOf(matches, objects, i), nullptr);
    }
    std::stable_sort(negatives.begin(), negatives.end(),
                     [&](int a, int b) { return losses[a] > losses[b]; });
    const auto wanted = static_cast<size_t>(static_cast<float>(counted.size()) *
                                            Param().neg_pos_ratio());
    negatives.resize(std::min(negatives.size(), wanted));
    counted.insert(counted.end(), negatives.begin(), negatives.end());
    return counted;
  }

  /// The loss of a prior's location, and its gradient.
  Dtype LocationLoss(const ul2q::Priors<Dtype>& priors, int prior,
                     const Box& object, const Dtype* location,
                     Dtype* gradient) const {
    const MultiBoxLossParameter& param = Param();
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
      if (param.loc_loss_type() == MultiBoxLossParameter::L2) {
        loss += d * d / 2;
        gradient[i] = unit * d;
      } else {
        loss += ul2q::SmoothL1(d, Dtype(1));
        gradient[i] = unit * ul2q::SmoothL1Derivative(d, Dtype(1));
      }
    }
    return loss;
  }

  /// The loss of a prior's confidences; its gradient, unless that is null.
  Dtype ConfidenceLoss(const Dtype* confidences, int label,
                       Dtype* gradient) const {
    Dtype loss = 0;
    if (Param().conf_loss_type() == MultiBoxLossParameter::LOGISTIC) {
      for (int i = 0; i < classes_; ++i) {
        const Dtype x = confidences[i], target = i == label ? 1 : 0;
        loss += std::max(x, Dtype(0)) - x * target +
                std::log1p(std::exp(-std::abs(x)));
        if (gradient != nullptr) {
          gradient[i] = 1 / (1 + std::exp(-x)) - target;
        }
      }
      return loss;
    }
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
  Dtype factor_ = 1;  ///< of the loss
  // Of the last forward pass's losses, before factors.
  Blob<Dtype> location_gradient_, confidence_gradient_;
};

const ForkLayer<MultiBoxLossLayer> registration("MultiBoxLoss");

}  // namespace
}  // namespace caffe

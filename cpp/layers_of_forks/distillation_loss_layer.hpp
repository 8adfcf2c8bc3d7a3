#ifndef UL2Q_LAYERS_OF_FORKS_DISTILLATION_LOSS_LAYER_HPP_
#define UL2Q_LAYERS_OF_FORKS_DISTILLATION_LOSS_LAYER_HPP_

#include <cmath>
#include <cstdint>
#include <vector>

#include "caffe/layers/loss_layer.hpp"
#include "layers_of_forks/fork_layer.hpp"

namespace ul2q {

/// log Σ exp(z_c/T − m) with m = max z_c/T, over classes `stride` apart
template <typename Dtype>
struct SoftenedNormalizer {
  double largest, log_sum;

  UL2Q_HOST_DEVICE SoftenedNormalizer(const Dtype* z, std::int64_t classes,
                                      std::int64_t stride, double temperature)
      : largest(z[0]), log_sum(0) {
    for (std::int64_t c = 1; c < classes; ++c) {
      const double value = z[c * stride];
      largest = value > largest ? value : largest;
    }
    for (std::int64_t c = 0; c < classes; ++c) {
      log_sum += exp((z[c * stride] - largest) / temperature);
    }
    log_sum = log(log_sum);
  }

  /// The logarithm of softmax(z/T) at an element: at most 0, and finite for
  /// finite logits.
  UL2Q_HOST_DEVICE double LogShare(Dtype z, double temperature) const {
    return (z - largest) / temperature - log_sum;
  }
};

/// loss = KL(p‖q) = Σ_c p_c·(log p_c − log q_c) of each position, and the
/// difference q − p, with p = softmax(teacher/T), q = softmax(student/T). In
/// double throughout: where q is close to p, the terms cancel. Of positions
/// whose label is ignored, both are 0.
template <typename Dtype>
struct DivergenceOfPositions {
  std::int64_t classes, inner;
  double temperature;
  const Dtype* student;
  const Dtype* teacher;
  const Dtype* label;  ///< null: none is ignored
  int ignore_label;
  Dtype* difference;
  Dtype* losses;
  Dtype* counted;  ///< 1, or 0 where the label is ignored

  /// i: a position, of outer × inner
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    const std::int64_t begin = i / inner * classes * inner + i % inner;
    const Dtype* s = student + begin;
    const Dtype* t = teacher + begin;
    Dtype* d = difference + begin;
    const bool counts =
        label == nullptr || static_cast<int>(label[i]) != ignore_label;
    counted[i] = counts ? 1 : 0;
    double loss = 0;
    if (counts) {
      const SoftenedNormalizer<Dtype> of_s(s, classes, inner, temperature);
      const SoftenedNormalizer<Dtype> of_t(t, classes, inner, temperature);
      for (std::int64_t c = 0; c < classes; ++c) {
        const double log_q = of_s.LogShare(s[c * inner], temperature);
        const double log_p = of_t.LogShare(t[c * inner], temperature);
        const double p = exp(log_p);
        loss += p * (log_p - log_q);
        d[c * inner] = static_cast<Dtype>(exp(log_q) - p);
      }
    } else {
      for (std::int64_t c = 0; c < classes; ++c) {
        d[c * inner] = 0;
      }
    }
    losses[i] = static_cast<Dtype>(loss);
  }
};

/// Sums of every `parts`-th position: of the losses, then of those counted.
template <typename Dtype>
struct DivergenceSums {
  std::int64_t positions, parts;
  const Dtype* losses;
  const Dtype* counted;
  Dtype* sums;  ///< 2 × parts

  /// i: a part
  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    double loss = 0, count = 0;
    for (std::int64_t k = i; k < positions; k += parts) {
      loss += losses[k];
      count += counted[k];
    }
    sums[i] = static_cast<Dtype>(loss);
    sums[parts + i] = static_cast<Dtype>(count);
  }
};

/// loss = T²·Σ sums / normalizer; a normalizer of 0 stands for the number of
/// positions that count, at least 1.
template <typename Dtype>
struct DivergenceTotal {
  std::int64_t parts;
  double temperature, normalizer;
  const Dtype* sums;
  Dtype* loss;
  Dtype* share;  ///< 1/normalizer, for the backward pass

  UL2Q_HOST_DEVICE void operator()(std::int64_t) const {
    double total = 0, count = 0;
    for (std::int64_t i = 0; i < parts; ++i) {
      total += sums[i];
      count += sums[parts + i];
    }
    const double valid = count > 1 ? count : 1;
    const double divisor = normalizer > 0 ? normalizer : valid;
    *loss = static_cast<Dtype>(temperature * temperature * total / divisor);
    *share = static_cast<Dtype>(1 / divisor);
  }
};

/// dstudent = dloss·T·(q − p)/normalizer: of T², the softmax's 1/T takes one.
template <typename Dtype>
struct DivergenceBackward {
  Dtype temperature;
  const Dtype* loss_diff;
  const Dtype* share;
  const Dtype* difference;
  Dtype* dx;

  UL2Q_HOST_DEVICE void operator()(std::int64_t i) const {
    dx[i] = *loss_diff * temperature * *share * difference[i];
  }
};

}  // namespace ul2q

namespace caffe {

/// DistillationLoss (Hinton et al., 2015): T²·KL(softmax(teacher/T) ‖
/// softmax(student/T)), normalized as SoftmaxWithLoss is. Bottoms: the logits
/// of the student and, of the same shape, of the teacher; and, with
/// loss_param.ignore_label, the labels, one a position. Only the student has a
/// gradient.
///
/// distillation_loss_param.temperature: T; softmax_param.axis: that of the
/// classes; loss_param: ignore_label, normalization, normalize.
template <typename Dtype>
class DistillationLossLayer : public LossLayer<Dtype> {
 public:
  using LossLayer<Dtype>::LossLayer;

  const char* type() const override { return "DistillationLoss"; }
  int ExactNumBottomBlobs() const override { return -1; }
  int MinBottomBlobs() const override { return 2; }
  int MaxBottomBlobs() const override { return 3; }
  bool AllowForceBackward(int bottom) const override { return bottom == 0; }
  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;

 protected:
  template <typename Device>
  void ForwardOn(const vector<Blob<Dtype>*>& bottom,
                 const vector<Blob<Dtype>*>& top) {
    const int64_t positions = losses_.count();
    const bool has_labels = bottom.size() > 2;
    Device::ForEach(
        positions, int64_t{kWorkOfElement} * bottom[0]->count(),
        ul2q::DivergenceOfPositions<Dtype>{
            bottom[0]->shape(axis_), bottom[0]->count(axis_ + 1), Temperature(),
            Device::Data(*bottom[0]), Device::Data(*bottom[1]),
            has_labels ? Device::Data(*bottom[2]) : nullptr,
            this->layer_param_.loss_param().ignore_label(),
            Device::MutableData(&difference_), Device::MutableData(&losses_),
            Device::MutableData(&counted_)});
    Device::ForEach(kParts, positions,
                    ul2q::DivergenceSums<Dtype>{
                        positions, kParts, Device::Data(losses_),
                        Device::Data(counted_), Device::MutableData(&sums_)});
    Device::ForEach(
        1, 1,
        ul2q::DivergenceTotal<Dtype>{
            kParts, Temperature(), Normalizer(*bottom[0]), Device::Data(sums_),
            Device::MutableData(top[0]), Device::MutableData(&share_)});
  }
  template <typename Device>
  void BackwardOn(const vector<Blob<Dtype>*>& top,
                  const vector<bool>& propagate_down,
                  const vector<Blob<Dtype>*>& bottom) {
    CheckOnlyStudentLearns(propagate_down);
    if (propagate_down[0]) {
      const int64_t n = bottom[0]->count();
      Device::ForEach(
          n, n,
          ul2q::DivergenceBackward<Dtype>{
              static_cast<Dtype>(Temperature()), Device::Diff(*top[0]),
              Device::Data(share_), Device::Data(difference_),
              Device::MutableDiff(bottom[0])});
    }
  }
  UL2Q_DECLARE_PASSES();

 private:
  static constexpr int kParts = 256;
  /// Four exponentials an element, in additions.
  static constexpr int kWorkOfElement = 64;

  void CheckOnlyStudentLearns(const vector<bool>& propagate_down) const;
  double Temperature() const {
    return this->layer_param_.distillation_loss_param().temperature();
  }
  /// 0: the number of positions that count
  double Normalizer(const Blob<Dtype>& student) const;

  int axis_ = 1;
  Blob<Dtype> difference_;        ///< q − p
  Blob<Dtype> losses_, counted_;  ///< of each position
  Blob<Dtype> sums_, share_;
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_OF_FORKS_DISTILLATION_LOSS_LAYER_HPP_

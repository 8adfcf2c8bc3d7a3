#ifndef UL2Q_LAYERS_OF_FORKS_BOXES_HPP_
#define UL2Q_LAYERS_OF_FORKS_BOXES_HPP_

#include <cstdint>
#include <vector>

#include "caffe/proto/caffe.pb.h"

namespace ul2q {

/// A box in an image, whose sides are 1.
template <typename Dtype>
struct Box {
  Dtype xmin, ymin, xmax, ymax;

  static Box From(const Dtype* corners) {
    return {corners[0], corners[1], corners[2], corners[3]};
  }
  Dtype width() const { return xmax - xmin; }
  Dtype height() const { return ymax - ymin; }
  Dtype area() const {
    return xmax < xmin || ymax < ymin ? Dtype(0) : width() * height();
  }
};

/// The area that two boxes share, by the area that either covers (Jaccard).
template <typename Dtype>
Dtype Overlap(const Box<Dtype>& a, const Box<Dtype>& b);

/// Boxes that others are told in terms of, as PriorBox makes them: 4 corners,
/// and 4 variances, each.
template <typename Dtype>
class Priors {
 public:
  /// `data`: 2 × 4·count, corners and variances, which must live on.
  Priors(const Dtype* data, int count) : data_(data), count_(count) {}

  int count() const { return count_; }
  Box<Dtype> box(int i) const { return Box<Dtype>::From(data_ + 4 * i); }
  const Dtype* variance(int i) const { return data_ + 4 * (count_ + i); }

 private:
  const Dtype* data_;
  int count_;
};

/// How a box is told in terms of a prior.
struct BoxCode {
  caffe::PriorBoxParameter::CodeType type;
  bool with_variance;  ///< whether the numbers are by the prior's variances

  /// The box that 4 numbers of `code` tell.
  template <typename Dtype>
  Box<Dtype> Decode(const Priors<Dtype>& priors, int prior,
                    const Dtype* code) const;

  /// The numbers that tell a box.
  template <typename Dtype>
  void Encode(const Priors<Dtype>& priors, int prior, const Box<Dtype>& box,
              Dtype* code) const;
};

/// Of the boxes whose scores are above `least`, those that are kept, in the
/// order of their scores; of equal ones the first comes first. `param` says how
/// many are looked at, and what overlap makes two boxes one.
template <typename Dtype>
std::vector<int> SuppressNonMaximum(
    const std::vector<Box<Dtype>>& boxes, const std::vector<Dtype>& scores,
    Dtype least, const caffe::NonMaximumSuppressionParameter& param);

}  // namespace ul2q

#endif  // UL2Q_LAYERS_OF_FORKS_BOXES_HPP_

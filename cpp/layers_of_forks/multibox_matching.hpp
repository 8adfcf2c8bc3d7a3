#ifndef UL2Q_LAYERS_OF_FORKS_MULTIBOX_MATCHING_HPP_
#define UL2Q_LAYERS_OF_FORKS_MULTIBOX_MATCHING_HPP_

#include <vector>

#include "caffe/proto/caffe.pb.h"
#include "layers_of_forks/boxes.hpp"

namespace ul2q {

/// An object of an image, as the data tell it.
template <typename Dtype>
struct Object {
  int label;
  Box<Dtype> box;
};

/// What the priors of an image stand for.
template <typename Dtype>
struct Matches {
  explicit Matches(int priors)
      : object(priors, kNone), overlap(priors, Dtype(0)) {}

  static constexpr int kNone = -1;
  static constexpr int kIgnored = -2;  ///< neither object nor background

  std::vector<int> object;     ///< its index, or one of the above
  std::vector<Dtype> overlap;  ///< the largest one with any object
};

constexpr int kAnyLabel = -1;

/// Matches the boxes of an image's priors with its objects of one label, or of
/// any: the largest overlap first, each object gets a box, and by
/// PER_PREDICTION each other box gets the object that it overlaps most.
template <typename Dtype>
Matches<Dtype> Match(const std::vector<Box<Dtype>>& boxes,
                     const std::vector<Object<Dtype>>& objects, int label,
                     const caffe::MultiBoxLossParameter& param);

/// Of the priors that mining may take, those that it takes. `losses` has one
/// for each prior; `boxes` are what non-maximum suppression compares.
template <typename Dtype>
std::vector<int> Mine(const Matches<Dtype>& matches,
                      const std::vector<Dtype>& losses,
                      const std::vector<Box<Dtype>>& boxes,
                      const caffe::MultiBoxLossParameter& param);

}  // namespace ul2q

#endif  // UL2Q_LAYERS_OF_FORKS_MULTIBOX_MATCHING_HPP_

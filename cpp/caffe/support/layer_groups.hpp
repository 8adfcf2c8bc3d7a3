#ifndef UL2Q_SUPPORT_LAYER_GROUPS_HPP_
#define UL2Q_SUPPORT_LAYER_GROUPS_HPP_

#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace caffe {
template <typename Dtype>
class Net;
}

namespace ul2q {

/// Neighbouring layers of a net, `first` to `last`, that can run as one.
template <typename Dtype>
class LayerGroup {
 public:
  LayerGroup(int first, int last) : first_(first), last_(last) {}
  virtual ~LayerGroup() = default;
  LayerGroup(const LayerGroup&) = delete;
  LayerGroup& operator=(const LayerGroup&) = delete;

  int first() const { return first_; }
  int last() const { return last_; }

  /// Does what the layers' Forward or Backward would do one after the other.
  /// False, and nothing is done, if this time they have to run one by one.
  virtual bool Forward() = 0;
  virtual bool Backward() = 0;

 private:
  const int first_, last_;
};

/// The groups of a net; no layer is in two.
template <typename Dtype>
class LayerGroups {
 public:
  using Groups = std::vector<std::shared_ptr<LayerGroup<Dtype>>>;
  using Finder = Groups (*)(const caffe::Net<Dtype>& net);

  /// Who finds the groups of the nets that are made from here on; null: nobody,
  /// as before the first call. Returns who did.
  static Finder SetFinder(Finder finder) {
    std::swap(finder, TheFinder());
    return finder;
  }

  LayerGroups() = default;
  explicit LayerGroups(const caffe::Net<Dtype>& net) {
    if (TheFinder() == nullptr) {
      return;
    }
    for (const auto& group : TheFinder()(net)) {
      by_first_[group->first()] = group;
      by_last_[group->last()] = group;
    }
  }

  /// Runs the group that begins at *layer and ends at `end` or before, and sets
  /// *layer to its last layer; false if there is none, or it does not run.
  bool Forward(int* layer, int end) const {
    const auto at = by_first_.find(*layer);
    if (at == by_first_.end() || at->second->last() > end ||
        !at->second->Forward()) {
      return false;
    }
    *layer = at->second->last();
    return true;
  }

  /// The same backwards: the group ends at *layer and begins at `end` or after.
  bool Backward(int* layer, int end) const {
    const auto at = by_last_.find(*layer);
    if (at == by_last_.end() || at->second->first() < end ||
        !at->second->Backward()) {
      return false;
    }
    *layer = at->second->first();
    return true;
  }

 private:
  static Finder& TheFinder() {
    static Finder finder = nullptr;
    return finder;
  }

  std::map<int, std::shared_ptr<LayerGroup<Dtype>>> by_first_, by_last_;
};

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_LAYER_GROUPS_HPP_

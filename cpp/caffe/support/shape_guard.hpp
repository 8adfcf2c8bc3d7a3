#ifndef UL2Q_SUPPORT_SHAPE_GUARD_HPP_
#define UL2Q_SUPPORT_SHAPE_GUARD_HPP_

#include <cstddef>
#include <string>
#include <vector>

namespace caffe {
class LayerParameter;
}

namespace ul2q {

/// Knows the shapes of the blobs that a layer was set up with and of those of
/// its last pass, and refuses a call with others that the layer's buffers are
/// not made for.
///
/// A layer shapes its tops and buffers in Reshape, but much of it in
/// LayerSetUp, which runs once; and its backward pass takes what the forward
/// pass has left. Both go past the end of memory where shapes have changed
/// since. A layer that was never set up is not guarded.
class ShapeGuard {
 public:
  /// Whether LayerSetUp may run for these bottoms: as it did, or for the first
  /// time, or for others where the type takes them. Throws CaffeError if not.
  template <typename Bottoms>
  void CheckLayerSetUp(const caffe::LayerParameter& layer,
                       const Bottoms& bottoms) {
    if (SetsUpAgain(layer)) {
      bottoms_.clear();  // till it has been done
    } else if (is_set_up_) {
      RequireSame("bottom", bottoms, bottoms_);
    }
  }

  /// After LayerSetUp for these bottoms.
  template <typename Bottoms>
  void NoteLayerSetUp(const Bottoms& bottoms) {
    Note(bottoms, &bottoms_);
  }

  /// After the whole set-up.
  template <typename Blobs, typename Parameters>
  void NoteSetUp(const Blobs& bottoms, const Blobs& tops,
                 const Parameters& parameters) {
    Note(bottoms, &bottoms_);
    Note(parameters, &parameters_);
    NotePass(bottoms, tops);
    is_set_up_ = true;
  }

  /// Before a Reshape: throws CaffeError unless there are as many bottoms and
  /// tops as at set-up, and the parameters have the shapes that they had.
  /// Returns whether LayerSetUp has to run again for these bottoms.
  template <typename Blobs, typename Parameters>
  bool CheckReshape(const caffe::LayerParameter& layer, const Blobs& bottoms,
                    const Blobs& tops, const Parameters& parameters) const {
    if (!is_set_up_) {
      return false;
    }
    RequireCount("bottom", bottoms.size(), pass_bottoms_.size());
    RequireCount("top", tops.size(), pass_tops_.size());
    if (!OwnsItsParameters(layer)) {
      RequireCount("parameter", parameters.size(), parameters_.size());
      RequireSame("parameter", parameters, parameters_);
    }
    return !AreSame(bottoms, bottoms_) && SetsUpAgain(layer);
  }

  /// After a Reshape for these bottoms.
  template <typename Bottoms>
  void NoteReshape(const Bottoms& bottoms) {
    is_of_pass_ = AreSame(bottoms, pass_bottoms_);
  }

  /// After a forward pass.
  template <typename Blobs>
  void NotePass(const Blobs& bottoms, const Blobs& tops) {
    Note(bottoms, &pass_bottoms_);
    Note(tops, &pass_tops_);
    is_of_pass_ = true;
  }

  /// Before a backward pass: throws CaffeError unless the shapes are those of
  /// the last forward pass or, before one, of the set-up.
  template <typename Blobs>
  void CheckBackward(const Blobs& bottoms, const Blobs& tops) const {
    if (is_set_up_) {
      RequireCount("bottom", bottoms.size(), pass_bottoms_.size());
      RequireCount("top", tops.size(), pass_tops_.size());
      RequirePass("bottom", bottoms, pass_bottoms_);
      RequirePass("top", tops, pass_tops_);
      if (!is_of_pass_) {
        RefuseReshaped();
      }
    }
  }

 private:
  using Shape = std::vector<int>;
  using Shapes = std::vector<Shape>;

  /// Whether LayerSetUp derives sizes from the bottoms, and runs again where
  /// these have changed; Reshape of any other type derives all or refuses.
  static bool SetsUpAgain(const caffe::LayerParameter& layer);
  /// Whether the layer shapes its parameters itself at any time.
  static bool OwnsItsParameters(const caffe::LayerParameter& layer);

  template <typename Blobs>
  static void Note(const Blobs& blobs, Shapes* shapes) {
    shapes->resize(blobs.size());
    for (std::size_t i = 0; i < blobs.size(); ++i) {
      (*shapes)[i] = blobs[i]->shape();
    }
  }

  template <typename Blobs>
  static bool AreSame(const Blobs& blobs, const Shapes& shapes) {
    if (blobs.size() != shapes.size()) {
      return false;
    }
    for (std::size_t i = 0; i < blobs.size(); ++i) {
      if (blobs[i]->shape() != shapes[i]) {
        return false;
      }
    }
    return true;
  }

  template <typename Blobs>
  static void RequireSame(const char* kind, const Blobs& blobs,
                          const Shapes& shapes) {
    RequireCount(kind, blobs.size(), shapes.size());
    for (std::size_t i = 0; i < blobs.size(); ++i) {
      if (blobs[i]->shape() != shapes[i]) {
        RefuseShape(kind, i, blobs[i]->shape(), shapes[i]);
      }
    }
  }

  template <typename Blobs>
  static void RequirePass(const char* kind, const Blobs& blobs,
                          const Shapes& shapes) {
    for (std::size_t i = 0; i < blobs.size(); ++i) {
      if (blobs[i]->shape() != shapes[i]) {
        RefusePass(kind, i, blobs[i]->shape(), shapes[i]);
      }
    }
  }

  static void RequireCount(const char* kind, std::size_t count,
                           std::size_t wanted);
  static void RefuseShape(const char* kind, std::size_t index, const Shape& now,
                          const Shape& then);
  static void RefusePass(const char* kind, std::size_t index, const Shape& now,
                         const Shape& then);
  static void RefuseReshaped();

  bool is_set_up_ = false;
  bool is_of_pass_ = false;  ///< whether the last Reshape is the last pass's
  Shapes bottoms_;           ///< of the last LayerSetUp
  Shapes parameters_;        ///< of the set-up
  Shapes pass_bottoms_, pass_tops_;
};

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_SHAPE_GUARD_HPP_

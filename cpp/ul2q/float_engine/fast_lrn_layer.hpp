#ifndef UL2Q_FLOAT_ENGINE_FAST_LRN_LAYER_HPP_
#define UL2Q_FLOAT_ENGINE_FAST_LRN_LAYER_HPP_

#include <vector>

#include "caffe/layers/lrn_layer.hpp"
#include "ul2q/float_engine/lrn_loops.hpp"
#include "ul2q/float_engine/parts.hpp"

namespace caffe {

/// LRN in one pass forward and one backward, vectorised and on several
/// threads. It keeps nothing for the backward pass, where BVLC's keeps a copy
/// of the blob (ACROSS_CHANNELS) or several (WITHIN_CHANNEL). In place it is
/// BVLC's.
template <typename Dtype>
class FastLRNLayer : public LRNLayer<Dtype> {
 public:
  using LRNLayer<Dtype>::LRNLayer;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;

 private:
  bool IsAcrossChannels() const;
  /// The slices of the blob that are normalised by themselves: its planes, or
  /// blocks of positions with all channels. Calls body(response, offset) for
  /// each; the slice begins at `offset`.
  template <typename Body>
  void ForEachSlice(const Body& body) const;
  /// The largest slice.
  ul2q::LocalResponse<Dtype> Response() const;

  ul2q::Scratch<Dtype> scratch_;
};

}  // namespace caffe

#endif  // UL2Q_FLOAT_ENGINE_FAST_LRN_LAYER_HPP_

#ifndef UL2Q_LAYERS_QUANTIZED_LAYER_HPP_
#define UL2Q_LAYERS_QUANTIZED_LAYER_HPP_

#include <cstdint>
#include <memory>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "ul2q/core/channels.hpp"
#include "ul2q/core/quantizer.hpp"
#include "ul2q/layers/packed_values.hpp"
#include "ul2q/layers/quantized_blob.hpp"
#ifndef CPU_ONLY
#include "ul2q/gpu/device_quantizer.hpp"
#endif

namespace caffe {

/**
 * @brief A float layer that computes with quantised parameters and trains by
 *        the straight-through estimator.
 *
 * `Base` is any layer that keeps its weights in blobs_[0] and its biases, if
 * it has them, in blobs_[1]. The layer takes all options of Base, and
 *
 *   quantization_param {
 *     weight { bits: 2 }  // required
 *     bias { bits: 8 }    // absent: float biases
 *   }
 *
 * (QuantizerParameter lists the further options.)
 *
 * blobs_ hold the float master parameters: what fillers fill, the solver
 * updates and a snapshot stores. Each forward pass quantises them into copies
 * that stand in their place for the length of Base's own forward and backward
 * call. A copy shares the *diff* of its master, so the gradient with respect
 * to the quantised parameter arrives, unchanged, as that of the master; with
 * `gradient: CLIPPED` it has a diff of its own, of which the master gets what
 * belongs to values within the outermost levels. The gradient to the bottom
 * uses the copy of the last forward pass.
 *
 * Where a master holds the values of a packed file (PackedValues) and nobody
 * has written others, they are their own copy, with the file's scales and
 * shifts: a fit to values that are quantised would give others.
 *
 * A copy is made anew when its master may have been written to since. In GPU
 * mode the device makes it, with its scales and shifts, and nothing waits for
 * the device; so values that are not finite are reported by a later pass.
 */
template <template <typename> class Base, typename Dtype>
class QuantizedLayer : public Base<Dtype>, public HasQuantizedBlobs<Dtype> {
 public:
  explicit QuantizedLayer(const LayerParameter& param) : Base<Dtype>(param) {}

  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& top) override;

  const char* type() const override {
    return this->layer_param_.type().c_str();
  }

  vector<QuantizedBlob<Dtype>> quantized_blobs() const override;

 protected:
  void Forward_cpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_cpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
#ifndef CPU_ONLY
  void Forward_gpu(const vector<Blob<Dtype>*>& bottom,
                   const vector<Blob<Dtype>*>& top) override;
  void Backward_gpu(const vector<Blob<Dtype>*>& top,
                    const vector<bool>& propagate_down,
                    const vector<Blob<Dtype>*>& bottom) override;
#endif

  /// Puts the quantised copies in the place of their masters while it lives.
  class Loan {
   public:
    explicit Loan(QuantizedLayer* layer) : layer_(layer) { Swap(); }
    ~Loan() { Swap(); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

   private:
    void Swap() {
      for (Parameter& parameter : layer_->quantized_) {
        layer_->blobs_[parameter.index].swap(parameter.copy);
      }
    }
    QuantizedLayer* layer_;
  };

  /// A parameter blob that is quantised.
  struct Parameter {
    const char* field;  ///< of quantization_param
    int index;          ///< in blobs_
    QuantizerParameter options;
    std::unique_ptr<ul2q::Quantizer<Dtype>> quantizer;
    shared_ptr<Blob<Dtype>> copy;  ///< the quantised values; null before use
    /// Of the copy's channels; in GPU mode the device has them.
    vector<ul2q::ScaleShift<Dtype>> fits;
    /// That the copy was made of; null where it was made of the master.
    std::shared_ptr<const PackedValues> packed;
#ifndef CPU_ONLY
    std::unique_ptr<ul2q::DeviceQuantizer<Dtype>> device;  ///< null before use
#endif
    /// Of the master's memory when the copy was made; 0: not known.
    std::uint64_t version = 0;
    Caffe::Brew mode = Caffe::CPU;  ///< in which the copy was made

    bool is_clipped() const {
      return options.gradient() == QuantizerParameter::CLIPPED;
    }
    bool is_stochastic() const {
      return options.rounding() == QuantizerParameter::STOCHASTIC;
    }
  };

  /// Whether the copy is what its master would be quantised to.
  bool IsUpToDate(const Parameter& parameter) const;
  /// Brings the copies up to date.
  void QuantizeParameters();

  vector<Parameter> quantized_;  ///< the weights, then the biases

 private:
  void AddParameter(int index, const char* field,
                    const QuantizerParameter& options);
  ul2q::ChannelLayout LayoutOf(const Parameter& parameter) const;
  void Quantize(Parameter* parameter);
  /// The copy of a master that holds the values of `parameter->packed`.
  void TakePacked(Parameter* parameter);
  void QuantizeWithFits(Parameter* parameter, ul2q::ChannelLayout layout,
                        typename ul2q::Quantizer<Dtype>::Seed seed);
  /// For a backward pass without a forward pass, or in another mode, before it.
  void QuantizeForBackward();
  /// A backward pass in either mode: Base's is `pass`; a clipped parameter's
  /// copy has a diff of its own, which `zero_diff` clears and `add_gradient`
  /// brings to the master.
  template <typename ZeroDiff, typename Pass, typename AddGradient>
  void BackwardBy(const ZeroDiff& zero_diff, const Pass& pass,
                  const AddGradient& add_gradient);

  bool copies_are_set_ = false;  ///< false after a pass that failed
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_QUANTIZED_LAYER_HPP_

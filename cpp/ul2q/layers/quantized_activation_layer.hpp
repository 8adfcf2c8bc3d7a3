#ifndef UL2Q_LAYERS_QUANTIZED_ACTIVATION_LAYER_HPP_
#define UL2Q_LAYERS_QUANTIZED_ACTIVATION_LAYER_HPP_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/layers/neuron_layer.hpp"
#include "caffe/proto/caffe.pb.h"
#include "ul2q/core/quantizer.hpp"
#include "ul2q/layers/quantized_blob.hpp"
#ifndef CPU_ONLY
#include "ul2q/gpu/device_quantizer.hpp"
#endif

namespace caffe {

/**
 * @brief Quantises its bottom, of any shape, by one scale and shift that are
 *        averaged while training.
 *
 *   layer {
 *     name: "relu1_q" type: "QuantizedActivation"
 *     bottom: "relu1" top: "relu1_q"
 *     quantization_param { activation { bits: 8 signed: false } }
 *   }
 *
 * (QuantizerParameter lists the further options.)
 *
 * blobs_[0], of shape (3), holds the moving averages of scale, shift and
 * threshold, as they are used; blobs_[1], of shape (1), their weight, which is
 * 0 before the first training pass and tends to 1. With
 * f = moving_average_fraction, a training pass whose batch has the fit b does
 *
 *   weight  <- f weight + (1 - f)
 *   average <- average + (1 - f) / weight (b - average)
 *
 * so that the first batch counts in full, and n batches by f^(n-1), ..., f, 1.
 * The solver leaves both blobs alone: their lr_mult is 0.
 *
 * A training pass quantises with the average that it has just updated, not with
 * its batch's own fit: training then sees the function that is tested, one odd
 * batch does not move the levels, and the gradient, which takes scale and shift
 * for constants, is nearly right. The price is that they lag some 1 / (1 - f)
 * batches behind activations that grow or shrink. What is used is the fit
 * nearest to the average that the method can have; FIXED_POINT's is a power of
 * two.
 *
 * Phase TEST uses the averages and leaves them, unless `gather_averages(true)`
 * asks it to average as a training pass does: a net can so gather averages of
 * what testing sees, without dropout and with BatchNorm's own averages. Where
 * there are none yet, each batch is quantised by a fit of its own, which is not
 * kept, and the layer warns once.
 *
 * The gradient passes where the bottom lay within the outermost levels
 * (`gradient: CLIPPED`, the default here), or everywhere (IDENTITY).
 *
 * In place, the layer keeps a copy of its bottom, and its backward pass puts
 * that back into the blob: a layer below that works in place as well, like a
 * ReLU, looks there for its own output, and would find zeros where small values
 * were quantised. After a backward pass the blob therefore holds the values
 * that are not quantised.
 *
 * In GPU mode the device fits, averages and quantises, and no training pass
 * waits for it; so values that are not finite are reported by a later pass.
 * They never enter the averages.
 */
template <typename Dtype>
class QuantizedActivationLayer : public NeuronLayer<Dtype>,
                                 public HasQuantizedActivation<Dtype> {
 public:
  explicit QuantizedActivationLayer(const LayerParameter& param)
      : NeuronLayer<Dtype>(param) {}

  void LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                  const vector<Blob<Dtype>*>& top) override;
  void Reshape(const vector<Blob<Dtype>*>& bottom,
               const vector<Blob<Dtype>*>& top) override;

  const char* type() const override { return "QuantizedActivation"; }

  std::optional<QuantizedActivation<Dtype>> quantized_activation()
      const override;

  /// Whether passes in phase TEST, too, add what fits their batch to the
  /// averages; they round to the nearest all the same.
  void gather_averages(bool on) { is_gathering_ = on; }

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

 private:
  using Fit = ul2q::ScaleShift<Dtype>;

  void SetUpAverages();
  /// Lets no solver touch the averages.
  void FixAverages();
  /// Whether a forward pass adds what fits its batch to the averages.
  bool averages() const { return this->phase_ == TRAIN || is_gathering_; }
  /// How the `n` values x are to be quantised; averages what fits them, where
  /// that is asked for. Throws CaffeError where they are not finite.
  Fit FitFor(const Dtype* x, int n);
  Fit Average() const;
  void AddToAverage(const Fit& batch);
  /// Whether each batch is quantised by its own fit, which it warns of.
  bool LacksAverage();
  typename ul2q::Quantizer<Dtype>::Seed NewSeed() const;
  /// Throws CaffeError, since the bottom blob `what`.
  void RefuseValues(const std::string& what) const;
  bool passes_all() const {
    return options_.has_gradient() &&
           options_.gradient() == QuantizerParameter::IDENTITY;
  }
  void ForgetFit();
  /// Throws CaffeError unless there is a last fit.
  void RequireFit() const;
  /// Of the last forward pass; none before it, after a failure, and after a
  /// change of shape.
  std::optional<Fit> LastFit() const;
#ifndef CPU_ONLY
  ul2q::DeviceQuantizer<Dtype>& Device();
  /// Fits to the bottom on the device, without waiting for it.
  void FitOnDevice(const Blob<Dtype>& bottom);
#endif

  QuantizerParameter options_;
  std::unique_ptr<ul2q::Quantizer<Dtype>> quantizer_;
  std::optional<Fit> fit_;  ///< of the last forward pass, if the CPU made it
#ifndef CPU_ONLY
  std::unique_ptr<ul2q::DeviceQuantizer<Dtype>> device_;  ///< null before use
  bool fit_is_on_device_ = false;
#endif
  Blob<Dtype> input_;  ///< in place: the bottom of the last forward pass
  bool has_warned_ = false;
  bool is_gathering_ = false;  ///< in phase TEST
};

}  // namespace caffe

#endif  // UL2Q_LAYERS_QUANTIZED_ACTIVATION_LAYER_HPP_

#include "ul2q/layers/quantized_activation_layer.hpp"

#include <atomic>
#include <cmath>
#include <limits>
#include <string>

#include "caffe/layer_factory.hpp"
#include "caffe/util/math_functions.hpp"
#include "caffe/util/rng.hpp"
#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/core/kernels/finite.hpp"
#include "ul2q/core/kernels/moving_average.hpp"
#include "ul2q/layers/quantizer_parameter.hpp"

namespace caffe {
namespace {

constexpr int kAverages = 0, kWeight = 1, kBlobs = 2;
constexpr int kScale = 0, kShift = 1, kThreshold = 2;

/// Throws NonFiniteError where a value is not finite, as a fit does.
template <typename Dtype>
void CheckFinite(const Dtype* x, int n) {
  std::atomic<bool> is_finite{true};
  ul2q::ForEachBlock(
      n, [&](std::int64_t, std::int64_t begin, std::int64_t end) {
        bool all = true;  // to the end of the block: an early way out is slower
        for (std::int64_t i = begin; i < end; ++i) {
          all &= std::abs(x[i]) <= std::numeric_limits<Dtype>::max();
        }
        if (!all) {
          is_finite = false;
        }
      });
  if (!is_finite) {
    ul2q::ThrowNonFinite(x, n, "range");
  }
}

}  // namespace

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::LayerSetUp(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  NeuronLayer<Dtype>::LayerSetUp(bottom, top);
  const QuantizationParameter& quantization =
      this->layer_param_.quantization_param();
  if (quantization.has_weight() || quantization.has_bias()) {
    LOG(FATAL) << "quantization_param."
               << (quantization.has_weight() ? "weight" : "bias")
               << " is for layers with weights; write quantization_param { "
               << "activation { bits: N } }";
  }
  options_ = quantization.activation();
  quantizer_ = MakeQuantizer<Dtype>(options_, "activation");
  const float fraction = options_.moving_average_fraction();
  if (!(fraction >= 0 && fraction < 1)) {
    LOG(FATAL) << "quantization_param.activation.moving_average_fraction is "
               << fraction << "; must be at least 0 and less than 1";
  }
  SetUpAverages();
  FixAverages();
  ForgetFit();
#ifndef CPU_ONLY
  device_.reset();
#endif
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::SetUpAverages() {
  const vector<int> shapes[kBlobs] = {{kThreshold + 1}, {1}};
  if (this->blobs_.empty()) {
    for (const vector<int>& shape : shapes) {
      this->blobs_.emplace_back(new Blob<Dtype>(shape));
      caffe_set(this->blobs_.back()->count(), Dtype(0),
                this->blobs_.back()->mutable_cpu_data());
    }
  }
  if (this->blobs_.size() != kBlobs ||
      this->blobs_[kAverages]->shape() != shapes[kAverages] ||
      this->blobs_[kWeight]->shape() != shapes[kWeight]) {
    LOG(FATAL) << "the layer's blobs must be two, of shape (3) and (1): the "
               << "averages of scale, shift and threshold, and their weight";
  }
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::FixAverages() {
  for (int i = 0; i < kBlobs; ++i) {
    if (i == this->layer_param_.param_size()) {
      this->layer_param_.add_param()->set_lr_mult(0);
    }
    if (this->layer_param_.param(i).lr_mult() != 0) {
      LOG(FATAL) << "param[" << i << "].lr_mult is "
                 << this->layer_param_.param(i).lr_mult()
                 << "; must be 0, since the layer's blobs are averages, which "
                 << "no solver may change";
    }
  }
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::Reshape(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  NeuronLayer<Dtype>::Reshape(bottom, top);
  if (input_.shape() != bottom[0]->shape()) {
    input_.ReshapeLike(*bottom[0]);  // takes memory only where it is used
    ForgetFit();
  }
}

template <typename Dtype>
typename QuantizedActivationLayer<Dtype>::Fit
QuantizedActivationLayer<Dtype>::Average() const {
  const Dtype* averages = this->blobs_[kAverages]->cpu_data();
  const Fit fit = {averages[kScale], averages[kShift], averages[kThreshold]};
  if (!(fit.scale >= 0 && fit.threshold >= 0 && std::isfinite(fit.scale) &&
        std::isfinite(fit.shift) && std::isfinite(fit.threshold))) {
    LOG(FATAL) << "blobs[0] holds scale " << fit.scale << ", shift "
               << fit.shift << " and threshold " << fit.threshold
               << "; they must be finite, scale and threshold at least 0";
  }
  return fit;
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::AddToAverage(const Fit& batch) {
  Average();  // which refuses what cannot be
  ul2q::MovingAverage<Dtype>{options_.moving_average_fraction(),
                             this->blobs_[kAverages]->mutable_cpu_data(),
                             this->blobs_[kWeight]->mutable_cpu_data()}
      .Add(batch);
}

template <typename Dtype>
bool QuantizedActivationLayer<Dtype>::LacksAverage() {
  if (averages() || this->blobs_[kWeight]->cpu_data()[0] != 0) {
    return false;
  }
  if (!has_warned_) {
    LOG(WARNING) << "Layer '" << this->layer_param_.name() << "' (" << type()
                 << "): no training pass has set the scale; until "
                 << "one has, each batch is quantised by its own";
    has_warned_ = true;
  }
  return true;
}

template <typename Dtype>
typename ul2q::Quantizer<Dtype>::Seed QuantizedActivationLayer<Dtype>::NewSeed()
    const {
  typename ul2q::Quantizer<Dtype>::Seed seed;
  if (this->phase_ == TRAIN &&
      options_.rounding() == QuantizerParameter::STOCHASTIC) {
    seed = caffe_rng_rand();
  }
  return seed;
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::RefuseValues(
    const std::string& what) const {
  LOG(FATAL) << "the bottom blob " << what
             << (this->phase_ == TRAIN
                     ? ": training has diverged (lower base_lr, or clip the "
                       "gradients with clip_gradients), or the data are bad"
                     : ": the data or the weights are bad");
}

template <typename Dtype>
typename QuantizedActivationLayer<Dtype>::Fit
QuantizedActivationLayer<Dtype>::FitFor(const Dtype* x, int n) {
  try {
    if (averages()) {
      AddToAverage(quantizer_->FitTo(x, n));
    } else if (LacksAverage()) {
      return quantizer_->FitTo(x, n);
    } else {
      CheckFinite(x, n);
    }
  } catch (const ul2q::NonFiniteError& error) {
    RefuseValues(error.what());
  }
  return quantizer_->Nearest(Average());
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::ForgetFit() {
  fit_.reset();
#ifndef CPU_ONLY
  fit_is_on_device_ = false;
#endif
}

template <typename Dtype>
std::optional<typename QuantizedActivationLayer<Dtype>::Fit>
QuantizedActivationLayer<Dtype>::LastFit() const {
#ifndef CPU_ONLY
  if (fit_is_on_device_) {
    return device_->fit();
  }
#endif
  return fit_;
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::RequireFit() const {
  bool has_fit = fit_.has_value();
#ifndef CPU_ONLY
  has_fit |= fit_is_on_device_;
#endif
  if (!has_fit) {
    LOG(FATAL) << "a backward pass needs a forward pass of the same shape "
               << "before it";
  }
}

template <typename Dtype>
std::optional<QuantizedActivation<Dtype>>
QuantizedActivationLayer<Dtype>::quantized_activation() const {
  const std::optional<Fit> fit = LastFit();
  if (!fit) {
    return std::nullopt;
  }
  return {{*fit, ul2q::OutermostLevels(*quantizer_, *fit),
           quantizer_->code_bits()}};
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::Forward_cpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  ForgetFit();
  const int n = bottom[0]->count();
  if (n == 0) {
    return;  // nothing to average either
  }
  const Dtype* x = bottom[0]->cpu_data();
  const Fit fit = FitFor(x, n);
  const auto seed = NewSeed();
  if (bottom[0] == top[0]) {
    caffe_copy(n, x, input_.mutable_cpu_data());
  }
  quantizer_->Quantize(fit, x, n, seed, top[0]->mutable_cpu_data());
  fit_ = fit;
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::Backward_cpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  const int n = bottom[0]->count();
  if (!propagate_down[0] || n == 0) {
    return;
  }
  RequireFit();
  if (bottom[0] == top[0]) {
    caffe_copy(n, input_.cpu_data(), bottom[0]->mutable_cpu_data());
  }
  const Dtype* top_diff = top[0]->cpu_diff();
  Dtype* bottom_diff = bottom[0]->mutable_cpu_diff();
  if (passes_all()) {
    caffe_copy(n, top_diff, bottom_diff);
    return;
  }
  const Dtype* x = bottom[0]->cpu_data();
  const ul2q::Levels<Dtype> levels =
      ul2q::OutermostLevels(*quantizer_, *LastFit());
  ul2q::ForEachBlock(n, [=](std::int64_t, std::int64_t begin,
                            std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const bool is_within = levels.lowest <= x[i] && x[i] <= levels.highest;
      bottom_diff[i] = is_within ? top_diff[i] : Dtype(0);
    }
  });
}

#ifndef CPU_ONLY
template <typename Dtype>
ul2q::DeviceQuantizer<Dtype>& QuantizedActivationLayer<Dtype>::Device() {
  if (!device_) {
    device_.reset(new ul2q::DeviceQuantizer<Dtype>(*quantizer_));
  }
  return *device_;
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::FitOnDevice(const Blob<Dtype>& bottom) {
  ul2q::DeviceQuantizer<Dtype>& device = Device();
  if (device.has_failed()) {
    device.ForgetFailure();
    RefuseValues("held NaN or infinite values in an earlier pass");
  }
  const auto layout = ul2q::ChannelLayout::Whole(bottom.count());
  if (averages()) {
    device.Fit(layout, bottom.gpu_data());
    if (this->blobs_[kAverages]->data()->head() != SyncedMemory::HEAD_AT_GPU) {
      Average();  // from a filler, a file or a script; no copy
    }
    device.AverageFit({options_.moving_average_fraction(),
                       this->blobs_[kAverages]->mutable_gpu_data(),
                       this->blobs_[kWeight]->mutable_gpu_data()});
  } else if (LacksAverage()) {
    device.Fit(layout, bottom.gpu_data());
  } else {
    device.CheckFinite(layout, bottom.gpu_data());
    device.SetFit(quantizer_->Nearest(Average()));
  }
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::Forward_gpu(
    const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  ForgetFit();
  const int n = bottom[0]->count();
  if (n == 0) {
    return;
  }
  ul2q::DeviceQuantizer<Dtype>& device = Device();
  FitOnDevice(*bottom[0]);
  const auto seed = NewSeed();
  if (bottom[0] == top[0]) {
    caffe_copy(n, bottom[0]->gpu_data(), input_.mutable_gpu_data());
  }
  device.Quantize(ul2q::ChannelLayout::Whole(n), bottom[0]->gpu_data(), seed,
                  top[0]->mutable_gpu_data());
  fit_is_on_device_ = true;
}

template <typename Dtype>
void QuantizedActivationLayer<Dtype>::Backward_gpu(
    const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,
    const vector<Blob<Dtype>*>& bottom) {
  const int n = bottom[0]->count();
  if (!propagate_down[0] || n == 0) {
    return;
  }
  RequireFit();
  if (bottom[0] == top[0]) {
    caffe_copy(n, input_.gpu_data(), bottom[0]->mutable_gpu_data());
  }
  if (passes_all()) {
    caffe_copy(n, top[0]->gpu_diff(), bottom[0]->mutable_gpu_diff());
    return;
  }
  ul2q::DeviceQuantizer<Dtype>& device = Device();
  if (!fit_is_on_device_) {
    device.SetFit(*fit_);
  }
  device.PassGradientWithinLevels(ul2q::ChannelLayout::Whole(n),
                                  bottom[0]->gpu_data(), top[0]->gpu_diff(),
                                  bottom[0]->mutable_gpu_diff());
}
#endif  // CPU_ONLY

INSTANTIATE_CLASS(QuantizedActivationLayer);
REGISTER_LAYER_CLASS(QuantizedActivation);

}  // namespace caffe

#include <glog/logging.h>

#include "ul2q/gpu/device_quantizer.hpp"
#include "ul2q/gpu/quantize_on.hpp"

namespace ul2q {
namespace {

void Check(cudaError_t error) {
  CHECK_EQ(error, cudaSuccess) << " " << cudaGetErrorString(error);
}

/// The threads of a CUDA block.
struct CudaThreads {
  template <typename Body>
  __device__ void ForEachThread(const Body& body) {
    body(static_cast<int>(threadIdx.x));
    __syncthreads();
  }
};

template <typename Kernel>
__global__ void __launch_bounds__(kDeviceThreads) Run(const Kernel kernel) {
  __shared__ typename Kernel::Shared shared;
  CudaThreads threads;
  kernel(threads, static_cast<std::int64_t>(blockIdx.x), &shared);
}

struct CudaExecutor {
  template <typename Kernel>
  void Launch(std::int64_t blocks, const Kernel& kernel) const {
    if (blocks > 0) {
      Run<<<static_cast<unsigned>(blocks), kDeviceThreads>>>(kernel);
      Check(cudaGetLastError());
    }
  }
};

}  // namespace

DeviceMemory::~DeviceMemory() { cudaFree(memory_); }

void* DeviceMemory::Reserve(std::size_t bytes) {
  if (bytes > size_) {
    Check(cudaFree(memory_));
    memory_ = nullptr;
    size_ = 0;
    Check(cudaMalloc(&memory_, bytes));
    size_ = bytes;
  }
  return memory_;
}

template <typename Dtype>
DeviceQuantizer<Dtype>::DeviceQuantizer(const Quantizer<Dtype>& quantizer)
    : recipe_(quantizer.recipe()) {
  Check(cudaHostAlloc(&status_, sizeof(*status_), cudaHostAllocMapped));
  *status_ = 0;
}

template <typename Dtype>
DeviceQuantizer<Dtype>::~DeviceQuantizer() {
  cudaFreeHost(status_);  // waits for kernels that write to it
}

template <typename Dtype>
ScaleShift<Dtype>* DeviceQuantizer<Dtype>::fits() const {
  return static_cast<ScaleShift<Dtype>*>(fits_.get());
}

template <typename Dtype>
void DeviceQuantizer<Dtype>::Fit(const ChannelLayout& layout, const Dtype* w) {
  const DeviceBlocks blocks(layout);
  if (blocks.count() == 0) {
    return;
  }
  fits_.Reserve(layout.channel_count() * sizeof(ScaleShift<Dtype>));
  FitOn(CudaExecutor(), recipe_, blocks, w,
        working_memory_.Reserve(FitMemory(recipe_, blocks).bytes()), fits(),
        status_);
}

template <typename Dtype>
void DeviceQuantizer<Dtype>::SetFits(
    const std::vector<ScaleShift<Dtype>>& fits) {
  const std::size_t bytes = fits.size() * sizeof(fits[0]);
  Check(cudaMemcpy(fits_.Reserve(bytes), fits.data(), bytes,
                   cudaMemcpyHostToDevice));
}

template <typename Dtype>
void DeviceQuantizer<Dtype>::SetFit(const ScaleShift<Dtype>& fit) {
  fits_.Reserve(sizeof(fit));
  LaunchOnce(CudaExecutor(), 1, SetFirstFit<Dtype>{fit, fits()});
}

template <typename Dtype>
void DeviceQuantizer<Dtype>::AverageFit(const MovingAverage<Dtype>& average) {
  AverageFitOn(CudaExecutor(), recipe_, average, fits(), status_);
}

template <typename Dtype>
ScaleShift<Dtype> DeviceQuantizer<Dtype>::fit() const {
  ScaleShift<Dtype> fit;
  Check(cudaMemcpy(&fit, fits(), sizeof(fit), cudaMemcpyDeviceToHost));
  return fit;
}

template <typename Dtype>
void DeviceQuantizer<Dtype>::Quantize(const ChannelLayout& layout,
                                      const Dtype* w,
                                      typename Quantizer<Dtype>::Seed seed,
                                      Dtype* values) {
  QuantizeOn(CudaExecutor(), recipe_, DeviceBlocks(layout), fits(), w, seed,
             values);
}

template <typename Dtype>
void DeviceQuantizer<Dtype>::AddGradientWithinLevels(
    const ChannelLayout& layout, const Dtype* w, const Dtype* gradient,
    Dtype* sum) {
  AddGradientWithinLevelsOn(CudaExecutor(), recipe_, DeviceBlocks(layout),
                            fits(), w, gradient, sum);
}

template <typename Dtype>
void DeviceQuantizer<Dtype>::PassGradientWithinLevels(
    const ChannelLayout& layout, const Dtype* w, const Dtype* gradient,
    Dtype* passed) {
  PassGradientWithinLevelsOn(CudaExecutor(), recipe_, DeviceBlocks(layout),
                             fits(), w, gradient, passed);
}

template <typename Dtype>
void DeviceQuantizer<Dtype>::CheckFinite(const ChannelLayout& layout,
                                         const Dtype* w) {
  CheckOn(CudaExecutor(), DeviceBlocks(layout), w, status_);
}

template <typename Dtype>
bool DeviceQuantizer<Dtype>::has_failed() const {
  return *const_cast<const volatile int*>(status_) != 0;
}

template <typename Dtype>
void DeviceQuantizer<Dtype>::ForgetFailure() {
  Check(cudaDeviceSynchronize());  // whoever is about to write has written
  *status_ = 0;
}

template class DeviceQuantizer<float>;
template class DeviceQuantizer<double>;

}  // namespace ul2q

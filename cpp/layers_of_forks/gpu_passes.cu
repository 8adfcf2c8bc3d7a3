// The layers' passes on GPUs.

#include <cuda_runtime_api.h>
#include <glog/logging.h>

#include "layers_of_forks/axpy_layer.hpp"
#include "layers_of_forks/bn_layer.hpp"
#include "layers_of_forks/distillation_loss_layer.hpp"
#include "layers_of_forks/interp_layer.hpp"
#include "layers_of_forks/normalize_layer.hpp"
#include "layers_of_forks/psroi_pooling_layer.hpp"
#include "layers_of_forks/relu6_layer.hpp"
#include "layers_of_forks/reorder_layer.hpp"
#include "layers_of_forks/roi_pooling_layer.hpp"
#include "layers_of_forks/smooth_l1_loss_layer.hpp"
#include "layers_of_forks/upsample_layer.hpp"

namespace ul2q {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 65535;

template <typename Body>
__global__ void ForEachKernel(std::int64_t n, const Body body) {
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
       i < n; i += step) {
    body(i);
  }
}

}  // namespace

template <typename Body>
void Gpu::ForEach(std::int64_t n, std::int64_t /*work*/, const Body& body) {
  if (n > 0) {
    const std::int64_t blocks = (n + kThreads - 1) / kThreads;
    const auto grid =
        static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
    ForEachKernel<<<grid, kThreads>>>(n, body);
    const cudaError_t error = cudaGetLastError();
    CHECK_EQ(error, cudaSuccess) << " " << cudaGetErrorString(error);
  }
}

}  // namespace ul2q

#define UL2Q_DEFINE_GPU_PASSES(Layer)          \
  UL2Q_DEFINE_PASSES_ON(gpu, ul2q::Gpu, Layer) \
  UL2Q_INSTANTIATE_GPU_PASSES(Layer, float)    \
  UL2Q_INSTANTIATE_GPU_PASSES(Layer, double)

#define UL2Q_INSTANTIATE_GPU_PASSES(Layer, Dtype)                             \
  template void Layer<Dtype>::Forward_gpu(const vector<Blob<Dtype>*>& bottom, \
                                          const vector<Blob<Dtype>*>& top);   \
  template void Layer<Dtype>::Backward_gpu(                                   \
      const vector<Blob<Dtype>*>& top, const vector<bool>& propagate_down,    \
      const vector<Blob<Dtype>*>& bottom);

namespace caffe {

UL2Q_DEFINE_GPU_PASSES(AxpyLayer)
UL2Q_DEFINE_GPU_PASSES(BNLayer)
UL2Q_DEFINE_GPU_PASSES(DistillationLossLayer)
UL2Q_DEFINE_GPU_PASSES(InterpLayer)
UL2Q_DEFINE_GPU_PASSES(NormalizeLayer)
UL2Q_DEFINE_GPU_PASSES(PSROIPoolingLayer)
UL2Q_DEFINE_GPU_PASSES(ReLU6Layer)
UL2Q_DEFINE_GPU_PASSES(ReorderLayer)
UL2Q_DEFINE_GPU_PASSES(ROIPoolingLayer)
UL2Q_DEFINE_GPU_PASSES(SmoothL1LossLayer)
UL2Q_DEFINE_GPU_PASSES(UpsampleLayer)

}  // namespace caffe

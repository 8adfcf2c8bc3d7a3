#include "curand.h"

#include <random>

#include "work.hpp"

struct EmulatedCurand {
  std::mt19937_64 engine;
  unsigned long long seed = 0;
};

namespace {

template <typename T, typename Distribution>
curandStatus_t Generate(curandGenerator_t generator, T* out, std::size_t n,
                        Distribution distribution) {
  const auto lock = emulated_cuda::Lock();
  if (!emulated_cuda::CheckArray("curand", out, n * sizeof(T))) {
    return CURAND_STATUS_LAUNCH_FAILURE;
  }
  emulated_cuda::Enqueue("curand", [=]() mutable {
    for (std::size_t i = 0; i < n; ++i) {
      out[i] = distribution(generator->engine);
    }
  });
  return CURAND_STATUS_SUCCESS;
}

/// In (0, 1], as cuRAND's.
template <typename T>
curandStatus_t GenerateUniform(curandGenerator_t generator, T* out,
                               std::size_t n) {
  return Generate(generator, out, n, [](std::mt19937_64& engine) {
    return 1 - std::uniform_real_distribution<T>()(engine);
  });
}

template <typename T>
curandStatus_t GenerateNormal(curandGenerator_t generator, T* out,
                              std::size_t n, T mean, T sigma) {
  if (n % 2 != 0) {
    return CURAND_STATUS_LENGTH_NOT_MULTIPLE;
  }
  return Generate(generator, out, n, std::normal_distribution<T>(mean, sigma));
}

}  // namespace

curandStatus_t curandCreateGenerator(curandGenerator_t* generator,
                                     curandRngType_t) {
  *generator = new EmulatedCurand();
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandDestroyGenerator(curandGenerator_t generator) {
  cudaDeviceSynchronize();
  delete generator;
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetPseudoRandomGeneratorSeed(curandGenerator_t generator,
                                                  unsigned long long seed) {
  const auto lock = emulated_cuda::Lock();
  generator->seed = seed;
  emulated_cuda::Enqueue("curand", [=] { generator->engine.seed(seed); });
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandSetGeneratorOffset(curandGenerator_t generator,
                                        unsigned long long offset) {
  const auto lock = emulated_cuda::Lock();
  emulated_cuda::Enqueue("curand", [=, seed = generator->seed] {
    generator->engine.seed(seed);
    generator->engine.discard(offset);
  });
  return CURAND_STATUS_SUCCESS;
}

curandStatus_t curandGenerate(curandGenerator_t generator, unsigned* out,
                              std::size_t n) {
  return Generate(generator, out, n, std::uniform_int_distribution<unsigned>());
}

curandStatus_t curandGenerateUniform(curandGenerator_t generator, float* out,
                                     std::size_t n) {
  return GenerateUniform(generator, out, n);
}

curandStatus_t curandGenerateUniformDouble(curandGenerator_t generator,
                                           double* out, std::size_t n) {
  return GenerateUniform(generator, out, n);
}

curandStatus_t curandGenerateNormal(curandGenerator_t generator, float* out,
                                    std::size_t n, float mean, float sigma) {
  return GenerateNormal(generator, out, n, mean, sigma);
}

curandStatus_t curandGenerateNormalDouble(curandGenerator_t generator,
                                          double* out, std::size_t n,
                                          double mean, double sigma) {
  return GenerateNormal(generator, out, n, mean, sigma);
}

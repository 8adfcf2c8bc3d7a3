// How fast the layers' weight transform is: fit (moments) and quantised values
// in one call, against a plain copy of the same array by the same threads.
//
// Prints a table in Markdown. Each row alternates the two for a while and gives
// medians; the ratio's is over the pairs, with the quartiles in brackets. For
// each net given, a second table has the time that all its weights take.
// `make bench-transform` runs it.

#include <hwy/targets.h>
#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "caffe/common.hpp"
#include "caffe/net.hpp"
#include "ul2q/core/channels.hpp"
#include "ul2q/core/kernels/blocks.hpp"
#include "ul2q/core/method.hpp"
#include "ul2q/layers/quantized_blob.hpp"

namespace {

constexpr std::int64_t kSizes[] = {800, 1 << 16, 1 << 20, 1 << 24, 1 << 28};
constexpr int kBits[] = {2, 8};
constexpr int kThreads[] = {1, 2};

/// The two arrays of a row, touched first by the threads that use them.
class Arrays {
 public:
  explicit Arrays(std::int64_t n) : w_(new float[n]), out_(new float[n]) {
    ul2q::ForEachBlock(
        n, [&](std::int64_t block, std::int64_t begin, std::int64_t end) {
          // Sums of four uniform values are normal enough here.
          std::uint64_t state = static_cast<std::uint64_t>(block) + 1;
          for (std::int64_t i = begin; i < end; ++i) {
            float sum = -2;
            for (int j = 0; j < 4; ++j) {
              state = state * 6364136223846793005u + 1442695040888963407u;
              sum += static_cast<float>(state >> 40) * 0x1p-24f;
            }
            w_[i] = 0.1f * sum;
            out_[i] = 0;
          }
        });
  }

  const float* w() const { return w_.get(); }
  float* out() { return out_.get(); }

 private:
  std::unique_ptr<float[]> w_, out_;
};

/// The C library's copy, a part a thread where threads pay.
void Copy(const float* from, std::int64_t n, float* to) {
  ul2q::ForEachThread(n, [&](std::int64_t begin, std::int64_t end) {
    std::memcpy(to + begin, from + begin, (end - begin) * sizeof(float));
  });
}

template <typename Action>
double SecondsOf(const Action& action, int repetitions) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < repetitions; ++i) {
    action();
  }
  const std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - begin;
  return elapsed.count() / repetitions;
}

/// The value at `place`, 0 to 1, of the sorted vector.
double Quantile(std::vector<double> values, double place) {
  const auto at =
      values.begin() + static_cast<std::ptrdiff_t>(place * (values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

/// The level that holds a thread's part of both arrays; the last is shared by
/// all threads, and on a virtual machine by the host's other guests.
const char* SmallestCacheFor(std::int64_t n, int threads) {
  const double bytes = 2.0 * static_cast<double>(n) * sizeof(float);
  if (bytes / threads <= sysconf(_SC_LEVEL1_DCACHE_SIZE)) {
    return "L1";
  }
  if (bytes / threads <= sysconf(_SC_LEVEL2_CACHE_SIZE)) {
    return "L2";
  }
  return bytes <= sysconf(_SC_LEVEL3_CACHE_SIZE) ? "L3" : "none";
}

void PrintRow(std::int64_t n, int bits, int threads) {
  omp_set_num_threads(threads);
  Arrays arrays(n);
  const auto quantizer = ul2q::MakeQuantizer<float>("ul2q", {bits});
  const auto layout = ul2q::ChannelLayout::Whole(n);
  const auto copy = [&] { Copy(arrays.w(), n, arrays.out()); };
  const auto transform = [&] {
    ul2q::QuantizeChannels(*quantizer, layout, arrays.w(), {}, arrays.out());
  };

  constexpr double kSampleSeconds = 1e-3;
  constexpr double kRowSeconds = 1.5;
  constexpr std::size_t kLeastPairs = 15;
  copy();
  const int repetitions =
      1 + static_cast<int>(kSampleSeconds / SecondsOf(transform, 3));
  std::vector<double> copies, transforms, ratios;
  double seconds = 0;
  while (seconds < kRowSeconds || ratios.size() < kLeastPairs) {
    copies.push_back(SecondsOf(copy, repetitions));
    transforms.push_back(SecondsOf(transform, repetitions));
    ratios.push_back(copies.back() / transforms.back());
    seconds += repetitions * (copies.back() + transforms.back());
  }
  const double bytes = static_cast<double>(n) * sizeof(float);
  const double median_copy = Quantile(copies, 0.5);
  const double median_transform = Quantile(transforms, 0.5);
  std::printf(
      "| %lld | %.3g | %s | %d | %d | %.1f | %.1f | %.2f (%.2f to %.2f) |\n",
      static_cast<long long>(n), bytes / 1e6, SmallestCacheFor(n, threads),
      bits, threads, bytes / median_copy / 1e9, bytes / median_transform / 1e9,
      Quantile(ratios, 0.5), Quantile(ratios, 0.25), Quantile(ratios, 0.75));
  std::fflush(stdout);
}

/// What the weights of a net add to an iteration.
void PrintNet(const char* path) {
  const caffe::Net<float> net(path, caffe::TRAIN);
  std::vector<caffe::QuantizedBlob<float>> blobs;
  for (const auto& layer : net.layers()) {
    if (const auto* quantized =
            dynamic_cast<const caffe::HasQuantizedBlobs<float>*>(layer.get())) {
      for (const auto& blob : quantized->quantized_blobs()) {
        blobs.push_back(blob);
      }
    }
  }
  std::int64_t weights = 0;
  std::vector<std::vector<float>> values;
  for (const auto& blob : blobs) {
    weights += blob.layout.size();
    values.emplace_back(blob.layout.size());
  }
  const auto transform = [&] {
    for (std::size_t i = 0; i < blobs.size(); ++i) {
      ul2q::QuantizeChannels(*blobs[i].quantizer, blobs[i].layout,
                             blobs[i].master->cpu_data(), {}, values[i].data());
    }
  };
  constexpr int kSamples = 101;
  transform();
  std::vector<double> seconds;
  for (int i = 0; i < kSamples; ++i) {
    seconds.push_back(SecondsOf(transform, 1));
  }
  std::printf("| %s | %lld | %.3f |\n", net.name().c_str(),
              static_cast<long long>(weights), 1e3 * Quantile(seconds, 0.5));
  std::fflush(stdout);
}

/// As /proc/cpuinfo calls it.
std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) {
      return line.substr(line.find(':') + 2);
    }
  }
  return "unknown processor";
}

}  // namespace

int main(int argc, char** argv) {
  FLAGS_minloglevel = google::WARNING;  // not Caffe's account of every net
  std::printf(
      "The weight transform (fit and values, method ul2q) against a copy of "
      "the "
      "same floats; `make bench-transform`.\n\n"
      "%s, %d processors, %s; caches: L1 %ld KB and L2 %ld KB a core, L3 %ld "
      "MB "
      "shared. `cache` is the smallest that holds a thread's part of both "
      "arrays.\n\n",
      ProcessorName().c_str(), omp_get_num_procs(),
      hwy::TargetName(hwy::SupportedTargets() & -hwy::SupportedTargets()),
      sysconf(_SC_LEVEL1_DCACHE_SIZE) >> 10,
      sysconf(_SC_LEVEL2_CACHE_SIZE) >> 10,
      sysconf(_SC_LEVEL3_CACHE_SIZE) >> 20);
  std::printf(
      "| elements | MB | cache | bits | threads | copy GB/s | transform GB/s | "
      "ratio |\n|--:|--:|:--|--:|--:|--:|--:|--:|\n");
  for (const std::int64_t n : kSizes) {
    for (const int threads : kThreads) {
      for (const int bits : kBits) {
        PrintRow(n, bits, threads);
      }
    }
  }
  if (argc > 1) {
    omp_set_num_threads(omp_get_num_procs());
    std::printf(
        "\nAll weights of a net at 2 bits, the last layer's at 8, %d threads; "
        "nets.md has what an iteration takes.\n\n"
        "| net | weights | ms |\n|:--|--:|--:|\n",
        omp_get_max_threads());
    std::for_each(argv + 1, argv + argc, &PrintNet);
  }
}

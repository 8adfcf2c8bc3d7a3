#ifndef UL2Q_GPU_DEVICE_BLOCKS_HPP_
#define UL2Q_GPU_DEVICE_BLOCKS_HPP_

#include <algorithm>
#include <cstdint>

#include "ul2q/core/channels.hpp"
#include "ul2q/core/kernels/host_device.hpp"

namespace ul2q {

/// Threads that work on a block.
constexpr int kDeviceThreads = 256;
/// Elements of a block.
constexpr std::int64_t kDeviceBlockSize = 32 * kDeviceThreads;

/// Where the elements of a channel lie in the array.
struct ChannelRows {
  std::int64_t first, inner, stride;

  UL2Q_HOST_DEVICE std::int64_t operator()(std::int64_t i) const {
    return stride == inner ? first + i : first + i / inner * stride + i % inner;
  }
};

/// An array's channels cut into blocks, each the work of kDeviceThreads
/// threads, which CUDA calls a block, too. They depend on the array's shape
/// alone, and so does what is computed from them.
class DeviceBlocks {
 public:
  explicit DeviceBlocks(const ChannelLayout& layout)
      : channels_(layout.channels),
        outer_(layout.outer),
        inner_(layout.inner),
        channel_count_(layout.channel_count()),
        channel_size_(layout.channel_size()),
        per_channel_((channel_size_ + kDeviceBlockSize - 1) /
                     kDeviceBlockSize) {}

  std::int64_t count() const { return channel_count_ * per_channel_; }

  UL2Q_HOST_DEVICE std::int64_t channel_count() const { return channel_count_; }
  UL2Q_HOST_DEVICE std::int64_t channel_size() const { return channel_size_; }
  UL2Q_HOST_DEVICE std::int64_t per_channel() const { return per_channel_; }

  UL2Q_HOST_DEVICE std::int64_t ChannelOf(std::int64_t block) const {
    return block / per_channel_;
  }
  /// The block's elements of its channel: from Begin to before End.
  UL2Q_HOST_DEVICE std::int64_t Begin(std::int64_t block) const {
    return block % per_channel_ * kDeviceBlockSize;
  }
  UL2Q_HOST_DEVICE std::int64_t End(std::int64_t block) const {
    return std::min(Begin(block) + kDeviceBlockSize, channel_size_);
  }

  /// Of a channel, or of the same one in a later run through all of them.
  UL2Q_HOST_DEVICE ChannelRows RowsOf(std::int64_t channel) const {
    channel %= channel_count_;
    const std::int64_t row = channel / channels_ * outer_ * channels_;
    // One row is contiguous whatever the stride.
    return {(row + channel % channels_) * inner_, inner_,
            outer_ == 1 ? inner_ : channels_ * inner_};
  }

 private:
  std::int64_t channels_, outer_, inner_;
  std::int64_t channel_count_, channel_size_, per_channel_;
};

}  // namespace ul2q

#endif  // UL2Q_GPU_DEVICE_BLOCKS_HPP_

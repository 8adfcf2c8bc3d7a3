#include "nccl.h"

#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "work.hpp"

namespace {

/// Ranks that meet for each operation: the last one to come does it for all.
class Group {
 public:
  explicit Group(int ranks) : arrays_(ranks) {}

  int ranks() const { return static_cast<int>(arrays_.size()); }

  /// Each rank's array stands in `operation`'s argument, in their order.
  void Meet(int rank, void* array,
            const std::function<void(const std::vector<void*>&)>& operation) {
    std::unique_lock lock(mutex_);
    arrays_[rank] = array;
    if (++present_ == ranks()) {
      operation(arrays_);
      present_ = 0;
      ++meetings_;
      all_met_.notify_all();
    } else {
      const int meeting = meetings_;
      all_met_.wait(lock, [&] { return meetings_ != meeting; });
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_met_;
  std::vector<void*> arrays_;
  int present_ = 0, meetings_ = 0;
};

/// Of the ranks that have the same identity.
std::shared_ptr<Group> GroupOf(const ncclUniqueId& id, int ranks) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<Group>> groups;
  const std::unique_lock lock(mutex);
  auto& known = groups[std::string(id.internal, sizeof(id.internal))];
  std::shared_ptr<Group> group = known.lock();
  if (!group) {
    group = std::make_shared<Group>(ranks);
    known = group;
  }
  return group;
}

}  // namespace

struct EmulatedNccl {
  std::shared_ptr<Group> group;
  int rank;
};

namespace {

template <typename T>
void Add(const std::vector<void*>& arrays, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    T sum = 0;
    for (void* array : arrays) {
      sum += static_cast<T*>(array)[i];
    }
    for (void* array : arrays) {
      static_cast<T*>(array)[i] = sum;
    }
  }
}

/// The operation, on the devices, once all ranks have asked for it.
ncclResult_t Meet(
    const char* what, ncclComm_t communicator, void* array, std::size_t bytes,
    const std::function<void(const std::vector<void*>&)>& operation) {
  {
    const auto lock = emulated_cuda::Lock();
    if (!emulated_cuda::CheckArray(what, array, bytes)) {
      return ncclUnhandledCudaError;
    }
  }
  communicator->group->Meet(
      communicator->rank, array, [&](const std::vector<void*>& arrays) {
        const auto lock = emulated_cuda::Lock();
        emulated_cuda::DoWorkAnd(what, [&] { operation(arrays); });
      });
  return ncclSuccess;
}

std::size_t SizeOf(ncclDataType_t type) {
  return type == ncclFloat ? sizeof(float) : sizeof(double);
}

}  // namespace

const char* ncclGetErrorString(ncclResult_t error) {
  switch (error) {
    case ncclSuccess:
      return "no error";
    case ncclUnhandledCudaError:
      return "unhandled cuda error";
    case ncclInvalidArgument:
      return "invalid argument";
  }
  return "unknown result code";
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  static std::mutex mutex;
  static int ids = 0;
  const std::unique_lock lock(mutex);
  *id = {};
  std::snprintf(id->internal, sizeof(id->internal), "%d", ++ids);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* communicator, int ranks,
                              ncclUniqueId id, int rank) {
  const auto group = GroupOf(id, ranks);
  if (rank < 0 || rank >= ranks || group->ranks() != ranks) {
    return ncclInvalidArgument;
  }
  *communicator = new EmulatedNccl{group, rank};
  group->Meet(rank, nullptr, [](const std::vector<void*>&) {});
  return ncclSuccess;
}

ncclResult_t ncclCommInitAll(ncclComm_t* communicators, int ranks,
                             const int* /*devices*/) {
  const auto group = std::make_shared<Group>(ranks);
  for (int rank = 0; rank < ranks; ++rank) {
    communicators[rank] = new EmulatedNccl{group, rank};
  }
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
  delete communicator;
  return ncclSuccess;
}

ncclResult_t ncclBcast(void* array, std::size_t count, ncclDataType_t type,
                       int root, ncclComm_t communicator, cudaStream_t) {
  const std::size_t bytes = count * SizeOf(type);
  return Meet("broadcast", communicator, array, bytes,
              [=](const std::vector<void*>& arrays) {
                for (void* other : arrays) {
                  std::memmove(other, arrays[root], bytes);
                }
              });
}

ncclResult_t ncclAllReduce(const void* own, void* sum, std::size_t count,
                           ncclDataType_t type, ncclRedOp_t,
                           ncclComm_t communicator, cudaStream_t) {
  if (own != sum) {
    return ncclInvalidArgument;  // Caffe has them the same
  }
  return Meet("sum over ranks", communicator, sum, count * SizeOf(type),
              [=](const std::vector<void*>& arrays) {
                type == ncclFloat ? Add<float>(arrays, count)
                                  : Add<double>(arrays, count);
              });
}

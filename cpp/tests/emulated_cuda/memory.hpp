// The memory of the emulated devices. Only what runs on a device may touch it:
// for the host it is closed, as it is without unified addressing.
#ifndef UL2Q_TESTS_EMULATED_CUDA_MEMORY_HPP_
#define UL2Q_TESTS_EMULATED_CUDA_MEMORY_HPP_

#include <cstddef>
#include <cstdint>

namespace emulated_cuda {

/// Memory of a device, full of NaN. An array ends at a page that is never open,
/// and no address is used twice, so that an access behind an end, or after it
/// was freed, is a segmentation fault. Null where there is no more memory.
void* AllocateOnDevice(std::size_t bytes, int device);
/// Whether it was an array's begin.
bool FreeOnDevice(void* pointer);

/// Memory of the host's that devices may use.
void* AllocatePinned(std::size_t bytes);
bool FreePinned(void* pointer);

/// What an address is to the device that runs.
enum class Place {
  kDevice,       ///< an array of the device
  kOtherDevice,  ///< an array of another one
  kGone,         ///< an array that was freed, or none
  kPinned,
  kHost,  ///< of the host alone
};
/// Where all the bytes lie; their first one's place where they are of several.
Place PlaceOf(const void* pointer, std::size_t bytes, int device);
/// The device of an array; -1 where it is none.
int DeviceOf(const void* pointer);
/// Whether the process has memory there.
bool IsMapped(std::uintptr_t address);

/// The devices' memory is open while one lives. One at a time.
class OpenMemory {
 public:
  OpenMemory();
  ~OpenMemory();
  OpenMemory(const OpenMemory&) = delete;
  OpenMemory& operator=(const OpenMemory&) = delete;
};

/// What runs on the device now, for the message of a segmentation fault.
void SetRunning(const char* what);

}  // namespace emulated_cuda

#endif  // UL2Q_TESTS_EMULATED_CUDA_MEMORY_HPP_

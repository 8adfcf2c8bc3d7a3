#include "memory.hpp"

#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>

namespace emulated_cuda {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAddresses = std::size_t{1} << 42;
constexpr std::size_t kAlignment = 8;

struct Array {
  char* pages;
  std::size_t page_bytes;
  std::size_t bytes;
  int device;
};

struct PinnedMemory {
  std::size_t bytes;
};

std::atomic<const char*> running{nullptr};
struct sigaction previous_action;

struct Memory {
  char* begin;
  char* next;
  std::map<const char*, Array> arrays;
  std::map<const char*, PinnedMemory> pinned;

  Memory();
  bool Holds(const void* pointer) const {
    const char* address = static_cast<const char*>(pointer);
    return begin <= address && address < begin + kAddresses;
  }
};

/// Never destroyed: whatever is freed as the process ends is freed after it.
Memory& TheMemory() {
  static Memory& memory = *new Memory();
  return memory;
}

void Write(const char* text) {
  [[maybe_unused]] const auto written = write(2, text, std::strlen(text));
}

void OnSegmentationFault(int signal, siginfo_t* info, void*) {
  if (TheMemory().Holds(info->si_addr)) {
    const char* kernel = running;
    Write("emulated CUDA: ");
    Write(kernel != nullptr ? kernel : "the host");
    Write(kernel != nullptr
              ? " accesses memory behind the end of an array, or freed\n"
              : " accesses memory of a device\n");
  }
  sigaction(signal, &previous_action, nullptr);  // which gets the next try
}

Memory::Memory() {
  void* const addresses =
      mmap(nullptr, kAddresses, PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (addresses == MAP_FAILED) {
    Write("emulated CUDA: no addresses for the memory of the devices\n");
    std::abort();
  }
  begin = next = static_cast<char*>(addresses);
  struct sigaction action = {};
  action.sa_sigaction = OnSegmentationFault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, &previous_action);
}

/// The entry of the map that begins at or before the address.
template <typename Map>
auto FindEntry(Map& map, const void* pointer) {
  auto entry = map.upper_bound(static_cast<const char*>(pointer));
  return entry == map.begin() ? map.end() : --entry;
}

template <typename Map>
bool Covers(const Map& map, const void* pointer, std::size_t bytes) {
  const auto entry = FindEntry(map, pointer);
  return entry != map.end() && static_cast<const char*>(pointer) + bytes <=
                                   entry->first + entry->second.bytes;
}

}  // namespace

void* AllocateOnDevice(std::size_t bytes, int device) {
  Memory& memory = TheMemory();
  const std::size_t page_bytes = (bytes + kPage - 1) / kPage * kPage;
  if (page_bytes + kPage >
      static_cast<std::size_t>(memory.begin + kAddresses - memory.next)) {
    return nullptr;
  }
  char* const pages = memory.next;
  if (mprotect(pages, page_bytes, PROT_READ | PROT_WRITE) != 0) {
    return nullptr;
  }
  std::memset(pages, 0xff, page_bytes);
  mprotect(pages, page_bytes, PROT_NONE);
  memory.next += page_bytes + kPage;
  char* const begin = pages + (page_bytes - bytes) / kAlignment * kAlignment;
  memory.arrays[begin] = {pages, page_bytes, bytes, device};
  return begin;
}

bool FreeOnDevice(void* pointer) {
  Memory& memory = TheMemory();
  const auto array = memory.arrays.find(static_cast<char*>(pointer));
  if (array == memory.arrays.end()) {
    return false;
  }
  madvise(array->second.pages, array->second.page_bytes, MADV_DONTNEED);
  memory.arrays.erase(array);
  return true;
}

void* AllocatePinned(std::size_t bytes) {
  void* const memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (memory != nullptr) {
    TheMemory().pinned[static_cast<char*>(memory)] = {bytes};
  }
  return memory;
}

bool FreePinned(void* pointer) {
  if (TheMemory().pinned.erase(static_cast<char*>(pointer)) == 0) {
    return false;
  }
  std::free(pointer);
  return true;
}

int DeviceOf(const void* pointer) {
  const auto& arrays = TheMemory().arrays;
  return Covers(arrays, pointer, 0) ? FindEntry(arrays, pointer)->second.device
                                    : -1;
}

Place PlaceOf(const void* pointer, std::size_t bytes, int device) {
  const Memory& memory = TheMemory();
  if (memory.Holds(pointer)) {
    if (!Covers(memory.arrays, pointer, bytes)) {
      return Place::kGone;
    }
    return DeviceOf(pointer) == device ? Place::kDevice : Place::kOtherDevice;
  }
  return Covers(memory.pinned, pointer, bytes) ? Place::kPinned : Place::kHost;
}

bool IsMapped(std::uintptr_t address) {
  return address < kAddresses * 32 &&
         msync(reinterpret_cast<void*>(address / kPage * kPage), kPage,
               MS_ASYNC) == 0;
}

OpenMemory::OpenMemory() {
  for (const auto& [begin, array] : TheMemory().arrays) {
    mprotect(array.pages, array.page_bytes, PROT_READ | PROT_WRITE);
  }
}

OpenMemory::~OpenMemory() {
  SetRunning(nullptr);
  for (const auto& [begin, array] : TheMemory().arrays) {
    mprotect(array.pages, array.page_bytes, PROT_NONE);
  }
}

void SetRunning(const char* what) { running = what; }

}  // namespace emulated_cuda

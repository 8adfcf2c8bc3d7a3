#include "work.hpp"

#include <cstdint>
#include <cstring>
#include <deque>
#include <utility>

#include "memory.hpp"

namespace emulated_cuda {
namespace {

struct Work {
  const char* what;
  std::function<void()> work;
};

/// More than Caffe asks for between two waits.
constexpr std::size_t kMostWork = 10000;

std::deque<Work>& Queue() {
  static auto& queue = *new std::deque<Work>();  // outlives all static objects
  return queue;
}

const char* NameOf(Place place) {
  switch (place) {
    case Place::kOtherDevice:
      return "memory of another device";
    case Place::kGone:
      return "memory behind the end of an array, or freed";
    case Place::kHost:
      return "memory of the host";
    default:
      return "memory";
  }
}

bool Check(const char* what, Place place) {
  if (place == Place::kDevice || place == Place::kPinned) {
    return true;
  }
  Fail(cudaErrorIllegalAddress,
       std::string(what) + " is given " + NameOf(place));
  return false;
}

}  // namespace

std::unique_lock<std::recursive_mutex> Lock() {
  static auto& mutex = *new std::recursive_mutex();
  return std::unique_lock(mutex);
}

void DoWorkAnd(const char* what, const std::function<void()>& last) {
  const OpenMemory open;
  while (!Queue().empty()) {
    const Work work = std::move(Queue().front());
    Queue().pop_front();
    SetRunning(work.what);
    work.work();
  }
  SetRunning(what);
  last();
}

void DoWork() {
  if (!Queue().empty()) {
    DoWorkAnd("", [] {});
  }
}

void Enqueue(const char* what, std::function<void()> work) {
  Queue().push_back({what, std::move(work)});
  if (Queue().size() > kMostWork) {
    DoWork();
  }
}

bool CheckArray(const char* what, const void* pointer, std::size_t bytes) {
  return bytes == 0 || Check(what, PlaceOf(pointer, bytes, CurrentDevice()));
}

bool CheckArgument(const char* kernel, const void* argument,
                   std::size_t bytes) {
  constexpr std::size_t kWord = sizeof(std::uintptr_t);
  for (std::size_t i = 0; i + kWord <= bytes; i += kWord) {
    std::uintptr_t word;
    std::memcpy(&word, static_cast<const char*>(argument) + i, kWord);
    const Place place =
        PlaceOf(reinterpret_cast<void*>(word), 0, CurrentDevice());
    const bool is_number = place == Place::kHost && !IsMapped(word);
    if (!is_number && !Check(kernel, place)) {
      return false;
    }
  }
  return true;
}

}  // namespace emulated_cuda

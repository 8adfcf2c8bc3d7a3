#include "support/snapshot_failure.hpp"

#include <glog/logging.h>

#include <utility>

#include "support/caffe_error.hpp"

namespace ul2q {

void SnapshotFailure::Try(int iteration,
                          const std::function<void()>& snapshot) {
  error_ = nullptr;
  try {
    snapshot();
  } catch (const CaffeError& error) {
    LOG(ERROR) << "NO SNAPSHOT after iteration " << iteration << ": "
               << error.message() << "; training goes on";
    error_ = std::current_exception();
  }
}

void SnapshotFailure::RethrowUnlessSolving() {
  if (error_ && !is_solving_) {
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
}

std::exception_ptr SnapshotFailure::DuringSolve(
    const std::function<void()>& train) {
  is_solving_ = true;
  try {
    train();
  } catch (...) {
    is_solving_ = false;
    throw;
  }
  is_solving_ = false;
  return std::exchange(error_, nullptr);
}

}  // namespace ul2q

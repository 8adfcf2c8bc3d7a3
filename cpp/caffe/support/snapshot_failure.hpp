#ifndef UL2Q_SUPPORT_SNAPSHOT_FAILURE_HPP_
#define UL2Q_SUPPORT_SNAPSHOT_FAILURE_HPP_

#include <exception>
#include <functional>

namespace ul2q {

/// What a solver keeps of a snapshot that could not be written: training goes
/// on, and fails at its end if the last snapshot could not be written.
class SnapshotFailure {
 public:
  /// Writes a snapshot. A CaffeError is logged and kept; a snapshot that can
  /// be written makes an earlier failure forgotten.
  void Try(int iteration, const std::function<void()>& snapshot);

  /// Throws the failure that is kept, and forgets it. Within DuringSolve it
  /// does nothing: Solve may still write a last snapshot.
  void RethrowUnlessSolving();

  /// Runs the training of Solver::Solve. Returns the failure that is kept then,
  /// and forgets it; null if there is none.
  std::exception_ptr DuringSolve(const std::function<void()>& train);

 private:
  std::exception_ptr error_;
  bool is_solving_ = false;
};

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_SNAPSHOT_FAILURE_HPP_

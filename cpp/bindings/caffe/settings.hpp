#ifndef UL2Q_BINDINGS_CAFFE_SETTINGS_HPP_
#define UL2Q_BINDINGS_CAFFE_SETTINGS_HPP_

#include <pybind11/pybind11.h>

#include "bindings/caffe/log.hpp"

namespace caffe {

/// Stands at the head of each call that makes Caffe work: the calling thread
/// takes over the mode and the place among parallel solvers that were set in
/// any thread (Caffe keeps them per thread), and releases the GIL meanwhile.
class __attribute__((visibility("hidden"))) CaffeCall {
 public:
  CaffeCall();

 private:
  LogLevelLookup lookup_;  // while the GIL is held
  // Python before 3.14 ends a daemon thread that wants the GIL back while the
  // process ends, by unwinding its stack, which a destructor must let pass.
  struct Release {
    PyThreadState* const thread = PyEval_SaveThread();
    ~Release() noexcept(false) { PyEval_RestoreThread(thread); }
  } release_;
};

}  // namespace caffe

#endif  // UL2Q_BINDINGS_CAFFE_SETTINGS_HPP_

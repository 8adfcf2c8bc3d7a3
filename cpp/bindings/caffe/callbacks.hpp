#ifndef UL2Q_BINDINGS_CAFFE_CALLBACKS_HPP_
#define UL2Q_BINDINGS_CAFFE_CALLBACKS_HPP_

#include <pybind11/pybind11.h>

#include <boost/shared_ptr.hpp>

namespace caffe {

/// A Python function that Caffe calls back.
///
/// The Python object of the net or solver keeps the function, where Python's
/// garbage collector sees it: functions often refer to the net that calls them.
/// Nobody can run a net whose Python object is gone, so that Caffe's side can
/// do with a weak reference.
class __attribute__((visibility("hidden"))) PythonCallback {
 public:
  /// Lets `owner` keep `function`.
  PythonCallback(const pybind11::object& owner,
                 const pybind11::function& function);

  /// Calls the function, with or without the GIL.
  template <typename... Args>
  void operator()(Args... args) const {
    const pybind11::gil_scoped_acquire acquire;
    const pybind11::object function = function_();
    if (!function.is_none()) {
      function(args...);
    }
  }

 private:
  pybind11::weakref function_;
};

/// The `T` that lives as long as `object`, a net or solver: its attachment.
template <typename T, typename Object>
T* AttachmentOf(Object* object) {
  if (!object->attachment) {
    object->attachment = boost::shared_ptr<T>(new T, [](T* attached) {
      const pybind11::gil_scoped_acquire acquire;
      delete attached;
    });
  }
  return static_cast<T*>(object->attachment.get());
}

}  // namespace caffe

#endif  // UL2Q_BINDINGS_CAFFE_CALLBACKS_HPP_

#ifndef UL2Q_BINDINGS_CAFFE_LOG_HPP_
#define UL2Q_BINDINGS_CAFFE_LOG_HPP_

namespace caffe {

/// Made with the GIL held at the head of a call into Caffe: looks up which
/// lines Python's logger "caffe" takes. While the call runs without the GIL a
/// line that it would drop costs no call of Python's.
struct LogLevelLookup {
  LogLevelLookup();
};

}  // namespace caffe

#endif  // UL2Q_BINDINGS_CAFFE_LOG_HPP_

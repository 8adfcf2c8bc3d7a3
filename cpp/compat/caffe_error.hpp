#ifndef UL2Q_COMPAT_CAFFE_ERROR_HPP_
#define UL2Q_COMPAT_CAFFE_ERROR_HPP_

#include <stdexcept>
#include <string>
#include <utility>

namespace ul2q {

/// A failed CHECK or LOG(FATAL) of Caffe's, or a layer's refusal of its input.
///
/// what() is the message followed by " [file:line]". The default visibility
/// makes it one type in every shared object that throws or catches it.
class __attribute__((visibility("default"))) CaffeError
    : public std::runtime_error {
 public:
  CaffeError(std::string message, const char* file, int line)
      : std::runtime_error(message + " [" + file + ":" + std::to_string(line) +
                           "]"),
        message_(std::move(message)) {}

  /// The message without the place.
  const std::string& message() const noexcept { return message_; }

 private:
  std::string message_;
};

}  // namespace ul2q

#endif  // UL2Q_COMPAT_CAFFE_ERROR_HPP_

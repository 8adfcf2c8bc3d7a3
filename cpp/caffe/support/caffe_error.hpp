#ifndef UL2Q_SUPPORT_CAFFE_ERROR_HPP_
#define UL2Q_SUPPORT_CAFFE_ERROR_HPP_

#include <stdexcept>
#include <string>
#include <utility>

#include "support/layer_scope.hpp"

namespace ul2q {

/// A failed CHECK or LOG(FATAL) of Caffe's, or a layer's refusal of its input.
///
/// what() is the message, which names the layer that was running (LayerScope),
/// followed by " [file:line]", or by " [file:line: check]" with the comparison
/// that did not hold. The default visibility makes it one type in every shared
/// object that throws or catches it.
class __attribute__((visibility("default"))) CaffeError
    : public std::runtime_error {
 public:
  CaffeError(const std::string& message, const char* file, int line,
             const std::string& check = "")
      : CaffeError(Described{LayerScope::Describe(message)},
                   std::string(file) + ":" + std::to_string(line) +
                       (check.empty() ? "" : ": " + check)) {}

  /// The message without the place.
  const std::string& message() const noexcept { return message_; }

  /// The same error with the name of a file in front.
  CaffeError In(const std::string& path) const {
    return CaffeError(Described{path + ": " + message_}, place_);
  }

 private:
  struct Described {
    std::string message;
  };
  CaffeError(Described described, std::string place)
      : std::runtime_error(described.message + " [" + place + "]"),
        message_(std::move(described.message)),
        place_(std::move(place)) {}

  std::string message_;
  std::string place_;
};

/// A file or folder that is not there, named by the user or inside a prototxt.
class __attribute__((visibility("default"))) FileNotFound : public CaffeError {
 public:
  FileNotFound(std::string path, const char* file, int line)
      : CaffeError("No such file or directory: " + path, file, line),
        path_(std::move(path)) {}

  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
};

}  // namespace ul2q

#endif  // UL2Q_SUPPORT_CAFFE_ERROR_HPP_

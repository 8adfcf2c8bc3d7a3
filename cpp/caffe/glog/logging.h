// Stands before glog's own header while Caffe's source and ul2q's compile.
//
// glog's LOG(FATAL) and CHECK abort the process, which for a library inside a
// Python interpreter means that a typo kills the session. Here they throw
// ul2q::CaffeError instead; all else is glog's.
#ifndef UL2Q_GLOG_LOGGING_H_
#define UL2Q_GLOG_LOGGING_H_

#include_next <glog/logging.h>

#include <cstring>
#include <exception>
#include <memory>
#include <sstream>
#include <string>
#include <utility>

#include "support/caffe_error.hpp"
#include "support/check_words.hpp"

namespace ul2q {

/// Collects the message of a failed check and throws it when the full
/// expression ends. The comparison that failed goes behind the message; where
/// there is none, CheckWords says what the comparison means.
///
/// When the check fails while another exception unwinds the stack, a second
/// one would terminate the process: the message is logged instead.
class FatalMessage {
 public:
  FatalMessage(const char* file, int line)
      : file_(file), line_(line), exceptions_(std::uncaught_exceptions()) {}
  FatalMessage(const char* file, int line, const char* condition)
      : FatalMessage(file, line) {
    check_ = condition;
  }
  FatalMessage(const char* file, int line, const google::CheckOpString& failed)
      : FatalMessage(file, line) {
    const std::unique_ptr<std::string> text(failed.str_);
    check_ = *text;
  }
  FatalMessage(const FatalMessage&) = delete;
  FatalMessage& operator=(const FatalMessage&) = delete;

  ~FatalMessage() noexcept(false) {
    if (std::uncaught_exceptions() > exceptions_) {
      return;  // composing the message threw
    }
    const char* slash = std::strrchr(file_, '/');
    std::string message = stream_.str();
    if (message.empty()) {
      message = CheckWords(check_);
    }
    if (message.empty()) {
      message = "Check failed: " + std::exchange(check_, "");
    }
    CaffeError error(message, slash ? slash + 1 : file_, line_, check_);
    if (exceptions_ > 0) {
      google::LogMessage(file_, line_, google::GLOG_ERROR).stream()
          << error.message();
      return;
    }
    throw error;
  }

  std::ostream& stream() { return stream_; }

 private:
  const char* file_;
  int line_;
  int exceptions_;
  std::string check_;  // the comparison that failed; "" for LOG(FATAL)
  std::ostringstream stream_;
};

/// CHECK_NOTNULL's value: the pointer itself.
template <typename T>
T&& CheckNotNull(const char* file, int line, const char* what, T&& pointer) {
  if (pointer == nullptr) {
    FatalMessage(file, line).stream() << what << " must be non NULL";
  }
  return std::forward<T>(pointer);
}

}  // namespace ul2q

#undef COMPACT_GOOGLE_LOG_FATAL
#define COMPACT_GOOGLE_LOG_FATAL ::ul2q::FatalMessage(__FILE__, __LINE__)
#undef CHECK
#define CHECK(condition)                                   \
  static_cast<void>(0),                                    \
      __builtin_expect(static_cast<bool>(condition), true) \
          ? static_cast<void>(0)                           \
          : google::LogMessageVoidify() &                  \
                ::ul2q::FatalMessage(__FILE__, __LINE__, #condition).stream()
#undef CHECK_OP
#define CHECK_OP(name, op, val1, val2) \
  CHECK_OP_LOG(name, op, val1, val2, ::ul2q::FatalMessage)
#undef CHECK_NOTNULL
#define CHECK_NOTNULL(val) \
  ::ul2q::CheckNotNull(__FILE__, __LINE__, "'" #val "'", (val))

#endif  // UL2Q_GLOG_LOGGING_H_

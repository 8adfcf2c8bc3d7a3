// Caffe's log. A line goes to Python's logger "caffe" and, if the user asked
// for it, to stderr or to glog's files.

#include "bindings/caffe/log.hpp"

#include <glog/logging.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "bindings/caffe/bindings.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

/// Python's logging.getLogger("caffe"); lives as long as the process.
PyObject* logger = nullptr;

/// The least severity that the logger takes, as LogLevelLookup found it.
std::atomic<int> taken{google::NUM_SEVERITIES};

/// INFO, WARNING, ERROR, FATAL -> logging.INFO, ... logging.CRITICAL.
int PythonLevel(int severity) { return 20 + 10 * severity; }

bool IsEnabledFor(int severity) {
  return py::handle(logger)
      .attr("isEnabledFor")(PythonLevel(severity))
      .cast<bool>();
}

struct Line {
  google::LogSeverity severity;
  std::string file;
  int line;
  std::string text;
};

/// Hands lines to Python's logger.
///
/// glog calls send() with its lock held, where waiting for the GIL could wait
/// for ever: a thread that holds the GIL may be waiting for glog. So the lines
/// are kept, and delivered when glog calls WaitTillSent(), without the lock.
class PythonSink final : public google::LogSink {
 public:
  void send(google::LogSeverity severity, const char* /*path*/,
            const char* file, int line, const google::LogMessageTime&,
            const char* text, size_t size) override {
    if (severity >= taken && !delivering_) {
      pending_.push_back({severity, file, line, std::string(text, size)});
    }
  }

  void WaitTillSent() override {
    if (pending_.empty() || delivering_) {
      return;
    }
    delivering_ = true;
    for (const Line& line : std::exchange(pending_, {})) {
      Deliver(line);
    }
    delivering_ = false;
  }

 private:
  static void Deliver(const Line& line) {
    const py::gil_scoped_acquire acquire;
    const py::error_scope raised;  // an exception may be on its way here
    try {
      if (!IsEnabledFor(line.severity)) {
        return;
      }
      const py::handle log(logger);
      const auto text = py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
          line.text.data(), static_cast<py::ssize_t>(line.text.size()),
          "replace"));
      log.attr("handle")(log.attr("makeRecord")(
          log.attr("name"), PythonLevel(line.severity), line.file, line.line,
          text, py::tuple(), py::none()));
    } catch (py::error_already_set& error) {
      if (error.matches(PyExc_KeyboardInterrupt)) {
        PyErr_SetInterrupt();  // for the call that can raise it
      } else {
        error.discard_as_unraisable("a handler of the logger \"caffe\"");
      }
    }
  }

  static thread_local std::vector<Line> pending_;
  // What a handler itself makes Caffe log would come back for ever.
  static thread_local bool delivering_;
};

thread_local std::vector<Line> PythonSink::pending_;
thread_local bool PythonSink::delivering_ = false;

/// glog's file of a severity, for the lines from a severity up.
class FileGate final : public google::base::Logger {
 public:
  explicit FileGate(google::base::Logger* file) : file_(file) {}

  void Write(bool flush, time_t time, const char* text, size_t size) override {
    // A formatted line begins with the first letter of its severity.
    const std::string::size_type severity =
        std::string("IWEF").find(size > 0 ? text[0] : 'I');
    if (static_cast<int>(severity) >= least_severity) {
      file_->Write(flush, time, text, size);
    }
  }
  void Flush() override { file_->Flush(); }
  google::uint32 LogSize() override { return file_->LogSize(); }

  static std::atomic<int> least_severity;

 private:
  google::base::Logger* file_;  // glog's
};

std::atomic<int> FileGate::least_severity{google::NUM_SEVERITIES};

/// Lines from `level` up go to stderr, or else to glog's files.
void InitLog(int level, bool to_stderr) {
  if (level < google::GLOG_INFO || level > google::GLOG_FATAL) {
    throw py::value_error("level is " + std::to_string(level) +
                          "; must be 0 (INFO), 1 (WARNING), 2 (ERROR) or 3 "
                          "(FATAL)");
  }
  FLAGS_stderrthreshold = to_stderr ? level : google::NUM_SEVERITIES;
  FileGate::least_severity = to_stderr ? google::NUM_SEVERITIES : level;
}

/// Quiet unless the user asks for more: GLOG_minloglevel, or init_log.
void StartQuietly() {
  const bool asked = std::getenv("GLOG_minloglevel") != nullptr;
  FLAGS_stderrthreshold = asked ? FLAGS_minloglevel : google::NUM_SEVERITIES;
  FLAGS_minloglevel = google::GLOG_INFO;  // the outputs choose for themselves
  FLAGS_logtostderr = false;
  if (!google::IsGoogleLoggingInitialized()) {
    google::InitGoogleLogging("caffe");
  }
  for (int severity = 0; severity < google::NUM_SEVERITIES; ++severity) {
    google::base::SetLogger(severity,
                            new FileGate(google::base::GetLogger(severity)));
  }
}

void StartPythonLog() {
  const py::module_ logging = py::module_::import("logging");
  py::object caffe_logger = logging.attr("getLogger")("caffe");
  // Without a handler Python prints warnings to stderr.
  caffe_logger.attr("addHandler")(logging.attr("NullHandler")());
  logger = caffe_logger.release().ptr();
  const LogLevelLookup lookup;

  static PythonSink* const sink = new PythonSink;  // glog's, till the end
  google::AddLogSink(sink);
  py::module_::import("atexit").attr("register")(py::cpp_function([] {
    const py::gil_scoped_release release;  // for lines on their way
    google::RemoveLogSink(sink);
  }));
}

}  // namespace

LogLevelLookup::LogLevelLookup() {
  int severity = google::GLOG_INFO;
  while (severity < google::NUM_SEVERITIES && !IsEnabledFor(severity)) {
    ++severity;
  }
  taken = severity;
}

void BindLog(py::module_* m) {
  StartQuietly();
  StartPythonLog();
  m->def("init_log", &InitLog, py::arg("level") = 0, py::arg("stderr") = true,
         "Shows Caffe's log on stderr from `level` up (0 INFO, 1 WARNING, 2 "
         "ERROR); with stderr=False it goes to glog's log files instead. What "
         "Python's logger \"caffe\" gets does not depend on it.");
  m->def(
      "log",
      [](const std::string& message) {
        const LogLevelLookup lookup;
        LOG(INFO) << message;
      },
      py::arg("message"), "Writes a line into Caffe's log, as INFO.");
}

}  // namespace caffe

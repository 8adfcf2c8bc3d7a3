#include <glog/logging.h>
#include <pybind11/stl.h>

#include <cstdlib>

#include "bindings/caffe/bindings.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

/// glog to stderr and never to files; `level` and above are shown.
void InitLog(int level) {
  FLAGS_logtostderr = true;
  FLAGS_minloglevel = level;
  if (!google::IsGoogleLoggingInitialized()) {
    google::InitGoogleLogging("caffe");
  }
}

void InitLogTo(int level, bool to_stderr) {
  InitLog(level);
  FLAGS_logtostderr = to_stderr;
}

/// Quiet unless the user asks for more: GLOG_minloglevel, or init_log.
void InitLogQuietly() {
  InitLog(std::getenv("GLOG_minloglevel") != nullptr ? FLAGS_minloglevel
                                                     : google::GLOG_ERROR);
}

}  // namespace

void BindCommon(py::module_* m) {
  InitLogQuietly();
  m->def(
      "init_log", [] { InitLog(google::GLOG_INFO); },
      "Shows Caffe's log on stderr from INFO up.");
  m->def("init_log", &InitLog, py::arg("level"),
         "Shows Caffe's log on stderr from `level` up (0 INFO, 1 WARNING, 2 "
         "ERROR).");
  m->def("init_log", &InitLogTo, py::arg("level"), py::arg("stderr"),
         "As init_log(level); with stderr=False into glog's log files.");
  m->def(
      "log", [](const std::string& message) { LOG(INFO) << message; },
      py::arg("message"), "Writes a line into Caffe's log.");
  m->def("has_nccl", [] { return false; }, "Whether NCCL was built in.");
  m->def(
      "set_mode_cpu", [] { Caffe::set_mode(Caffe::CPU); },
      "Computes on the CPU from here on.");
  m->def(
      "set_mode_gpu",
      [] {
#ifdef CPU_ONLY
        LOG(FATAL) << "Cannot use the GPU: this Caffe was built without CUDA";
#endif
        Caffe::set_mode(Caffe::GPU);
      },
      "Computes on the GPU from here on.");
  m->def("set_random_seed", &Caffe::set_random_seed, py::arg("seed"),
         "Seeds fillers, dropout and the random choices of data layers.");
  m->def("set_device", &Caffe::SetDevice, py::arg("device_id"),
         "Chooses the GPU.");
  m->def("solver_count", &Caffe::solver_count);
  m->def("set_solver_count", &Caffe::set_solver_count, py::arg("count"));
  m->def("solver_rank", &Caffe::solver_rank);
  m->def("set_solver_rank", &Caffe::set_solver_rank, py::arg("rank"));
  m->def("set_multiprocess", &Caffe::set_multiprocess, py::arg("value"));
  m->def("layer_type_list", &LayerRegistry<Dtype>::LayerTypeList,
         "The layer types that a prototxt can name.");

  py::class_<Timer, boost::shared_ptr<Timer>>(*m, "Timer",
                                              "Measures wall-clock time.")
      .def(py::init<>())
      .def("start", &Timer::Start)
      .def("stop", &Timer::Stop)
      .def_property_readonly("ms", &Timer::MilliSeconds, "Milliseconds.");
  // Named by pycaffe.py; BVLC's module without NCCL has an empty class, too.
  struct Nccl {};
  py::class_<Nccl>(*m, "NCCL", "Multi-GPU training; not built in.");
}

}  // namespace caffe

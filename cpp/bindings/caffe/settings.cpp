#include "bindings/caffe/settings.hpp"

#include <glog/logging.h>

#include <atomic>

#include "bindings/caffe/bindings.hpp"
#include "support/trust.hpp"
#include "ul2q/core/threads.hpp"
#ifndef CPU_ONLY
#include "support/cuda_device.hpp"
#endif

namespace py = pybind11;

namespace caffe {
namespace {

/// What holds for all threads of the process.
struct Settings {
  std::atomic<Caffe::Brew> mode{Caffe::CPU};
  std::atomic<int> solver_count{1};
  std::atomic<int> solver_rank{0};
  std::atomic<bool> multiprocess{false};
};

Settings settings;

void SetModeGpu() {
#ifdef CPU_ONLY
  LOG(FATAL) << "Cannot use the GPU: this Caffe was built without CUDA";
#else
  ul2q::RequireCudaDevice();
#endif
  settings.mode = Caffe::GPU;
}

void SetSolverCount(int count) {
  if (count < 1) {
    throw py::value_error("solver_count is " + std::to_string(count) +
                          "; must be at least 1");
  }
  settings.solver_count = count;
}

void SetSolverRank(int rank) {
  if (rank < 0) {
    throw py::value_error("solver_rank is " + std::to_string(rank) +
                          "; must be at least 0");
  }
  settings.solver_rank = rank;
}

}  // namespace

CaffeCall::CaffeCall() {
  ul2q::UseThreadsThatAreGiven();
  Caffe::set_mode(settings.mode);
  Caffe::set_solver_count(settings.solver_count);
  Caffe::set_solver_rank(settings.solver_rank);
  Caffe::set_multiprocess(settings.multiprocess);
}

void BindSettings(py::module_* m) {
  m->def(
      "set_mode_cpu", [] { settings.mode = Caffe::CPU; },
      "Computes on the CPU from here on, in all threads.");
  m->def("set_mode_gpu", &SetModeGpu,
         "Computes on the GPU from here on, in all threads. CaffeError if "
         "Caffe was built without CUDA, or there is no GPU.");
  m->def("set_device", &Caffe::SetDevice, py::arg("device_id"),
         "Chooses the GPU of the calling thread. CaffeError if Caffe was built "
         "without CUDA, or there is no such GPU.");
  m->def("set_random_seed", &Caffe::set_random_seed, py::arg("seed"),
         "Seeds fillers, dropout and the random choices of data layers, in the "
         "calling thread: each thread draws from a generator of its own.");
  m->def(
      "solver_count", [] { return settings.solver_count.load(); },
      "The number of solvers that train in parallel; 1 unless set.");
  m->def("set_solver_count", &SetSolverCount, py::arg("count"),
         "Sets solver_count(), for all threads.");
  m->def(
      "solver_rank", [] { return settings.solver_rank.load(); },
      "The place of this process among parallel solvers; 0, the root, unless "
      "set.");
  m->def("set_solver_rank", &SetSolverRank, py::arg("rank"),
         "Sets solver_rank(), for all threads. Only the root solver logs, "
         "tests and takes snapshots.");
  m->def(
      "set_multiprocess", [](bool value) { settings.multiprocess = value; },
      py::arg("value"),
      "Says whether parallel solvers run in processes of their own, for all "
      "threads.");
  m->def("set_untrusted", &ul2q::SetUntrusted, py::arg("value"),
         "Says whether nets come from people who are not trusted: a Python "
         "layer, which runs code, and an HDF5Output layer, which writes a "
         "file, raise CaffeError when a net with one is made. For all threads; "
         "at the start the variable UL2Q_UNTRUSTED=1 of the environment says "
         "so.");
  m->def("is_untrusted", &ul2q::IsUntrusted,
         "Whether nets are not trusted, as set_untrusted or UL2Q_UNTRUSTED "
         "says. CaffeError if UL2Q_UNTRUSTED is neither 0 nor 1.");
}

}  // namespace caffe

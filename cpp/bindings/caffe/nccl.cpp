#include <memory>
#include <string>

#include "bindings/caffe/bindings.hpp"
#include "bindings/caffe/settings.hpp"
#ifdef USE_NCCL
#include "caffe/parallel.hpp"
#endif

namespace py = pybind11;

namespace caffe {
namespace {

constexpr char kDoc[] =
    "Trains on several GPUs: sums the gradients of solvers in processes of "
    "their own, by NVIDIA's NCCL.";
constexpr char kMakeDoc[] =
    "Joins solver_count() solvers, one a process, of which this is "
    "solver_rank(); waits for all. The solver's parameters move into one array "
    "on the GPU. CaffeError without NCCL, and in CPU mode.";

using SolverClass = Solver<Dtype>;
using SolverPtr = boost::shared_ptr<SolverClass>;

#ifdef USE_NCCL

constexpr bool kHasNccl = true;
using Nccl = NCCL<Dtype>;
using NcclPtr = boost::shared_ptr<Nccl>;

py::bytes NewUid() {
  const auto make = [] {
    const py::gil_scoped_release no_gil;
    return Nccl::new_uid();
  };
  return make();
}

NcclPtr Make(const py::object& solver, const py::bytes& uid) {
  const auto text = uid.cast<std::string>();
  if (text.size() != NCCL_UNIQUE_ID_BYTES) {
    throw py::value_error("uid is of " + std::to_string(text.size()) +
                          " bytes; must be what NCCL.new_uid() returns");
  }
  const auto of = solver.cast<SolverPtr>();
  NcclPtr nccl;
  {
    const CaffeCall call;
    CHECK_EQ(Caffe::mode(), Caffe::GPU)
        << "Cannot use NCCL in CPU mode: call set_mode_gpu() first";
    nccl = ReleasedWithoutGil(NcclPtr(new Nccl(of, text)));
  }
  // The parameters of these lie in NCCL's memory.
  const py::capsule kept(new NcclPtr(nccl), [](void* pointer) {
    const std::unique_ptr<NcclPtr> last(static_cast<NcclPtr*>(pointer));
  });
  py::detail::keep_alive_impl(solver, kept);
  py::detail::keep_alive_impl(solver.attr("net"), kept);
  for (const py::handle net : solver.attr("test_nets")) {
    py::detail::keep_alive_impl(net, kept);
  }
  return nccl;
}

#else

/// pycaffe.py names the class; nobody can make one.
constexpr bool kHasNccl = false;
struct Nccl : SolverClass::Callback, Net<Dtype>::Callback {
  void Broadcast() {}

 protected:
  void on_start() override {}
  void on_gradients_ready() override {}
  void run(int /*layer*/) override {}
};
using NcclPtr = boost::shared_ptr<Nccl>;

NcclPtr Make(const py::object& /*solver*/, const py::object& /*uid*/) {
  LOG(FATAL) << "Cannot use NCCL: this Caffe was built without it";
  return {};
}

py::bytes NewUid() {
  Make({}, {});
  return {};
}

#endif  // USE_NCCL

}  // namespace

void BindNccl(py::module_* m) {
  m->def("has_nccl", [] { return kHasNccl; }, "Whether NCCL was built in.");
  py::class_<Nccl, NcclPtr>(*m, "NCCL", kDoc)
      .def(py::init(&Make), py::arg("solver"), py::arg("uid"), kMakeDoc)
      .def_static("new_uid", &NewUid,
                  "An identity for the processes that train together: one "
                  "makes it and hands it to all.")
      .def("bcast", &Nccl::Broadcast, py::call_guard<CaffeCall>(),
           "Gives all solvers the parameters of rank 0's. All must call it.");

  py::class_<SolverClass, SolverPtr>(m->attr("Solver"))
      .def(
          "add_callback",
          [](SolverClass* solver, Nccl* nccl) { solver->add_callback(nccl); },
          py::arg("nccl").none(false), py::keep_alive<1, 2>(),
          "Sums the gradients of all solvers before each update.");
  py::class_<Net<Dtype>, NetPtr>(m->attr("Net"))
      .def(
          "after_backward",
          [](Net<Dtype>* net, Nccl* nccl) { net->add_after_backward(nccl); },
          py::arg("nccl").none(false), py::keep_alive<1, 2>(),
          "Sums the gradients of a layer as soon as it has computed its own: "
          "for layer_wise_reduce.");
}

}  // namespace caffe

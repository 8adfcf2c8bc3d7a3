#include <pybind11/functional.h>
#include <pybind11/stl.h>

#include <memory>
#include <utility>

#include "bindings/caffe/bindings.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/upgrade_proto.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

using SolverPtr = boost::shared_ptr<Solver<Dtype>>;

/// Opens the members of Solver that its subclasses see.
struct SolverAccess : public Solver<Dtype> {
  using Solver<Dtype>::current_step_;
  using Solver<Dtype>::requested_early_exit_;
  using Solver<Dtype>::smoothed_loss_;
};

SolverParameter ReadParameter(const py::object& file) {
  const std::string path = ToReadablePath(file);
  SolverParameter param;
  ReadSolverParamsFromTextFileOrDie(path, &param);
  return param;
}

/// A solver from the path of a prototxt or from a caffe_pb2.SolverParameter.
SolverPtr GetSolver(const py::object& solver) {
  SolverParameter param;
  if (py::hasattr(solver, "SerializeToString")) {
    const auto type =
        solver.attr("DESCRIPTOR").attr("full_name").cast<std::string>();
    if (type != param.GetTypeName()) {
      throw py::type_error("get_solver takes a path or a " +
                           param.GetTypeName() + ", not a " + type);
    }
    const std::string bytes =
        py::bytes(solver.attr("SerializeToString")()).cast<std::string>();
    if (!param.ParseFromString(bytes)) {
      throw py::value_error("get_solver: the message is no SolverParameter");
    }
    UpgradeSolverAsNeeded("the message given to get_solver", &param);
  } else {
    param = ReadParameter(solver);
  }
  const py::gil_scoped_release release;
  return SolverPtr(SolverRegistry<Dtype>::CreateSolver(param));
}

template <typename SolverType>
boost::shared_ptr<SolverType> Make(const py::object& file) {
  const SolverParameter param = ReadParameter(file);
  const py::gil_scoped_release release;
  return boost::shared_ptr<SolverType>(new SolverType(param));
}

/// Runs step or solve without the GIL. A signal that Python's handler turns
/// into an exception (Ctrl-C) stops after the current iteration and raises it;
/// the solver can go on afterwards.
template <typename Run>
void RunInterruptibly(Solver<Dtype>* solver, const Run& run) {
  std::unique_ptr<py::error_already_set> raised;
  solver->SetActionFunction([&raised] {
    const py::gil_scoped_acquire acquire;
    if (PyErr_CheckSignals() == 0) {
      return SolverAction::NONE;
    }
    raised = std::make_unique<py::error_already_set>();
    return SolverAction::STOP;
  });
  // The action function refers to this stack frame.
  const std::unique_ptr<Solver<Dtype>, void (*)(Solver<Dtype>*)> reset(
      solver, [](Solver<Dtype>* s) {
        s->SetActionFunction(ActionCallback());
        s->*(&SolverAccess::requested_early_exit_) = false;
      });
  {
    const py::gil_scoped_release release;
    run();
  }
  if (raised) {
    throw *raised;
  }
}

/// Calls Python functions around each iteration.
class Callback final : public Solver<Dtype>::Callback {
 public:
  Callback(py::function on_start, py::function on_gradients_ready)
      : on_start_(std::move(on_start)),
        on_gradients_ready_(std::move(on_gradients_ready)) {}

 protected:
  void on_start() override {
    const py::gil_scoped_acquire acquire;
    on_start_();
  }
  void on_gradients_ready() override {
    const py::gil_scoped_acquire acquire;
    on_gradients_ready_();
  }

 private:
  py::function on_start_;
  py::function on_gradients_ready_;
};

void AddCallback(Solver<Dtype>* solver, py::function on_start,
                 py::function on_gradients_ready) {
  solver->add_callback(KeepForever(std::make_unique<Callback>(
      std::move(on_start), std::move(on_gradients_ready))));
}

/// GetLearningRate counts the steps of a multistep policy as they pass; to look
/// at the rate must not.
Dtype LearningRate(SGDSolver<Dtype>* solver) {
  int& step = solver->*(&SolverAccess::current_step_);
  const int before = step;
  const Dtype rate = solver->GetLearningRate();
  step = before;
  return rate;
}

/// The Python objects of a solver's nets live as long as the solver's own: they
/// hold the input arrays of a MemoryData layer.
py::object NetOf(const py::object& self) {
  if (!py::hasattr(self, "_net")) {
    self.attr("_net") = self.cast<Solver<Dtype>&>().net();
  }
  return self.attr("_net");
}

py::list TestNetsOf(const py::object& self) {
  if (!py::hasattr(self, "_test_nets")) {
    self.attr("_test_nets") =
        py::tuple(py::cast(self.cast<Solver<Dtype>&>().test_nets()));
  }
  return py::list(self.attr("_test_nets"));
}

template <typename SolverType, typename Parent>
void BindSolverType(py::module_* m, const char* name) {
  py::class_<SolverType, Parent, boost::shared_ptr<SolverType>>(*m, name).def(
      py::init(&Make<SolverType>), py::arg("solver_file"));
}

}  // namespace

void BindSolver(py::module_* m) {
  using SolverClass = Solver<Dtype>;
  py::class_<SolverParameter>(*m, "SolverParameter",
                              "The parameters that a solver runs with.")
      .def_property_readonly("max_iter", &SolverParameter::max_iter)
      .def_property_readonly("display", &SolverParameter::display)
      .def_property_readonly("layer_wise_reduce",
                             &SolverParameter::layer_wise_reduce)
      .def_property("base_lr", &SolverParameter::base_lr,
                    &SolverParameter::set_base_lr);

  py::class_<SolverClass, SolverPtr>(*m, "Solver", py::dynamic_attr(),
                                     "Trains a net.")
      .def_property_readonly("net", &NetOf, "The training net.")
      .def_property_readonly("test_nets", &TestNetsOf, "The test nets.")
      .def_property_readonly("iter", &SolverClass::iter,
                             "Iterations done so far.")
      .def_property_readonly(
          "loss",
          [](const SolverClass& solver) {
            return solver.*(&SolverAccess::smoothed_loss_);
          },
          "Mean loss of the last average_loss iterations of the last step().")
      .def("add_callback", &AddCallback, py::arg("on_start"),
           py::arg("on_gradients_ready"))
      .def(
          "solve",
          [](SolverClass* solver, const py::object& resume_file) {
            const std::string path =
                resume_file.is_none() ? "" : ToReadablePath(resume_file);
            RunInterruptibly(solver, [&] {
              solver->Solve(path.empty() ? nullptr : path.c_str());
            });
          },
          py::arg("resume_file") = py::none(),
          "Trains to max_iter, with tests and snapshots on the way.")
      .def(
          "step",
          [](SolverClass* solver, int iterations) {
            RunInterruptibly(solver, [=] { solver->Step(iterations); });
          },
          py::arg("iterations"), "Trains this many iterations.")
      .def(
          "restore",
          [](SolverClass* solver, const py::object& filename) {
            const std::string path = ToReadablePath(filename);
            const py::gil_scoped_release release;
            solver->Restore(path.c_str());
          },
          py::arg("filename"), "Goes on from a .solverstate.")
      .def("snapshot", &SolverClass::Snapshot,
           py::call_guard<py::gil_scoped_release>(),
           "Writes .caffemodel and .solverstate under snapshot_prefix.")
      .def(
          "share_weights",
          [](SolverClass* solver, Net<Dtype>* net) {
            net->ShareTrainedLayersWith(solver->net().get());
          },
          py::arg("net"), "Lets `net` use the training net's parameters.")
      .def("apply_update", &SolverClass::ApplyUpdate,
           py::call_guard<py::gil_scoped_release>(),
           "Updates the parameters from their gradients.")
      .def_property_readonly("param", &SolverClass::param,
                             py::return_value_policy::reference_internal);

  py::class_<SGDSolver<Dtype>, SolverClass,
             boost::shared_ptr<SGDSolver<Dtype>>>(*m, "SGDSolver")
      .def(py::init(&Make<SGDSolver<Dtype>>), py::arg("solver_file"))
      .def_property_readonly("lr", &LearningRate,
                             "The learning rate of the next iteration.");
  BindSolverType<NesterovSolver<Dtype>, SGDSolver<Dtype>>(m, "NesterovSolver");
  BindSolverType<AdaGradSolver<Dtype>, SGDSolver<Dtype>>(m, "AdaGradSolver");
  BindSolverType<RMSPropSolver<Dtype>, SGDSolver<Dtype>>(m, "RMSPropSolver");
  BindSolverType<AdaDeltaSolver<Dtype>, SGDSolver<Dtype>>(m, "AdaDeltaSolver");
  BindSolverType<AdamSolver<Dtype>, SGDSolver<Dtype>>(m, "AdamSolver");

  m->def("get_solver", &GetSolver, py::arg("solver"),
         "The solver that a prototxt (its path) or a caffe_pb2.SolverParameter "
         "describes.");
}

}  // namespace caffe

#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <vector>

#include "bindings/caffe/bindings.hpp"
#include "bindings/caffe/callbacks.hpp"
#include "bindings/caffe/messages.hpp"
#include "bindings/caffe/python_layer.hpp"
#include "bindings/caffe/settings.hpp"
#include "caffe/sgd_solvers.hpp"
#include "caffe/util/upgrade_proto.hpp"
#include "support/resume.hpp"

namespace py = pybind11;

namespace caffe {
namespace {

using SolverClass = Solver<Dtype>;
using SolverPtr = boost::shared_ptr<SolverClass>;

/// Opens the members of Solver that its subclasses see.
struct SolverAccess : public Solver<Dtype> {
  using Solver<Dtype>::current_step_;
  using Solver<Dtype>::requested_early_exit_;
  using Solver<Dtype>::smoothed_loss_;
};

/// The parameters in a prototxt (its path) or a caffe_pb2.SolverParameter.
SolverParameter ToParameter(const py::object& solver) {
  SolverParameter param;
  if (IsMessage(solver)) {
    ParseMessage(solver, "get_solver", &param);
    UpgradeSolverAsNeeded("the message given to get_solver", &param);
  } else {
    ReadSolverParamsFromTextFileOrDie(ToReadablePath(solver), &param);
  }
  return param;
}

/// The solver that `create` makes, with its Python layers at home.
template <typename SolverType, typename Create>
boost::shared_ptr<SolverType> Make(const Create& create) {
  boost::shared_ptr<SolverType> solver;
  {
    const CaffeCall call;
    solver = ReleasedWithoutGil(boost::shared_ptr<SolverType>(create()));
  }
  AdoptPythonLayers(solver->net());
  for (const NetPtr& net : solver->test_nets()) {
    AdoptPythonLayers(net);
  }
  return solver;
}

SolverPtr GetSolver(const py::object& solver) {
  const SolverParameter param = ToParameter(solver);
  return Make<SolverClass>(
      [&] { return SolverRegistry<Dtype>::CreateSolver(param); });
}

template <typename SolverType>
boost::shared_ptr<SolverType> MakeOfType(const py::object& solver) {
  const SolverParameter param = ToParameter(solver);
  return Make<SolverType>([&] { return new SolverType(param); });
}

/// Runs step or solve without the GIL. A signal that Python's handler turns
/// into an exception (Ctrl-C) stops after the current iteration and raises it;
/// the solver can go on afterwards.
template <typename Run>
void RunInterruptibly(SolverClass* solver, const Run& run) {
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
    const CaffeCall call;
    run();
  }
  if (raised) {
    throw *raised;
  }
}

/// Calls Python functions around each iteration.
class Callback final : public SolverClass::Callback {
 public:
  Callback(const py::object& solver, const py::function& on_start,
           const py::function& on_gradients_ready)
      : on_start_(solver, on_start),
        on_gradients_ready_(solver, on_gradients_ready) {}

 protected:
  void on_start() override { on_start_(); }
  void on_gradients_ready() override { on_gradients_ready_(); }

 private:
  PythonCallback on_start_;
  PythonCallback on_gradients_ready_;
};

using Callbacks = std::vector<std::unique_ptr<Callback>>;

void AddCallback(const py::object& self, const py::function& on_start,
                 const py::function& on_gradients_ready) {
  auto* const solver = self.cast<SolverClass*>();
  auto callback =
      std::make_unique<Callback>(self, on_start, on_gradients_ready);
  solver->add_callback(callback.get());
  AttachmentOf<Callbacks>(solver)->push_back(std::move(callback));
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
/// hold the functions that the nets call back.
py::object NetOf(const py::object& self) {
  if (!py::hasattr(self, "_net")) {
    self.attr("_net") = ReleasedWithoutGil(self.cast<SolverClass&>().net());
  }
  return self.attr("_net");
}

py::list TestNetsOf(const py::object& self) {
  if (!py::hasattr(self, "_test_nets")) {
    py::list nets;
    for (const NetPtr& net : self.cast<SolverClass&>().test_nets()) {
      nets.append(ReleasedWithoutGil(net));
    }
    self.attr("_test_nets") = py::tuple(nets);
  }
  return py::list(self.attr("_test_nets"));
}

constexpr char kMakeDoc[] =
    "Makes the solver of a prototxt (its path) or a caffe_pb2.SolverParameter, "
    "whatever the type it names.";

template <typename SolverType, typename Parent>
void BindSolverType(py::module_* m, const char* name, const char* doc) {
  py::class_<SolverType, Parent, boost::shared_ptr<SolverType>>(*m, name, doc)
      .def(py::init(&MakeOfType<SolverType>), py::arg("solver"), kMakeDoc);
}

}  // namespace

void BindSolver(py::module_* m) {
  using Call = py::call_guard<CaffeCall>;
  py::class_<SolverParameter>(*m, "SolverParameter",
                              "The parameters that a solver runs with.")
      .def_property_readonly("max_iter", &SolverParameter::max_iter,
                             "The iteration that solve() goes to.")
      .def_property_readonly("display", &SolverParameter::display,
                             "Iterations between two lines of the log.")
      .def_property_readonly("layer_wise_reduce",
                             &SolverParameter::layer_wise_reduce,
                             "Whether parallel solvers exchange gradients "
                             "layer by layer.")
      .def_property("base_lr", &SolverParameter::base_lr,
                    &SolverParameter::set_base_lr,
                    "The learning rate that the policy begins with.");

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
           py::arg("on_gradients_ready"),
           "Calls on_start() before each iteration and on_gradients_ready() "
           "before each update.")
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
            const CaffeCall call;
            solver->Restore(path.c_str());
          },
          py::arg("filename"), "Goes on from a .solverstate.")
      .def("snapshot", &SolverClass::Snapshot, Call(),
           "Writes .caffemodel and .solverstate under snapshot_prefix.")
      .def(
          "_resume_state",
          [](SolverClass* solver) {
            ResumeState state;
            {
              const CaffeCall call;
              ul2q::SaveResumeState(solver, &state);
            }
            return py::bytes(state.SerializeAsString());
          },
          "Where the data and the random numbers stand: a ResumeState.")
      .def(
          "_restore_resume_state",
          [](SolverClass* solver, const std::string& bytes) {
            ResumeState state;
            if (!state.ParseFromString(bytes)) {
              throw py::value_error("not a ResumeState");
            }
            const CaffeCall call;
            ul2q::RestoreResumeState(state, solver, ul2q::StateOf::kThisSolver);
          },
          py::arg("state"), "Goes to where _resume_state() was called.")
      .def(
          "share_weights",
          [](SolverClass* solver, Net<Dtype>* net) {
            net->ShareTrainedLayersWith(solver->net().get());
          },
          py::arg("net").none(false), Call(),
          "Lets `net` use the training net's parameters.")
      .def("apply_update", &SolverClass::ApplyUpdate, Call(),
           "Updates the parameters from their gradients.")
      .def_property_readonly("param", &SolverClass::param,
                             py::return_value_policy::reference_internal,
                             "The parameters that the solver runs with.");

  py::class_<SGDSolver<Dtype>, SolverClass,
             boost::shared_ptr<SGDSolver<Dtype>>>(
      *m, "SGDSolver", "Stochastic gradient descent with momentum.")
      .def(py::init(&MakeOfType<SGDSolver<Dtype>>), py::arg("solver"), kMakeDoc)
      .def_property_readonly("lr", &LearningRate,
                             "The learning rate of the next iteration.");
  BindSolverType<NesterovSolver<Dtype>, SGDSolver<Dtype>>(
      m, "NesterovSolver",
      "Stochastic gradient descent with Nesterov's momentum.");
  BindSolverType<AdaGradSolver<Dtype>, SGDSolver<Dtype>>(
      m, "AdaGradSolver",
      "AdaGrad (Duchi et al., 2011): rates by the sum of squared gradients.");
  BindSolverType<RMSPropSolver<Dtype>, SGDSolver<Dtype>>(
      m, "RMSPropSolver",
      "RMSProp (Tieleman and Hinton, 2012): rates by a moving average of "
      "squared gradients.");
  BindSolverType<AdaDeltaSolver<Dtype>, SGDSolver<Dtype>>(
      m, "AdaDeltaSolver",
      "AdaDelta (Zeiler, 2012): rates by the ratio of past updates to past "
      "gradients.");
  BindSolverType<AdamSolver<Dtype>, SGDSolver<Dtype>>(
      m, "AdamSolver",
      "Adam (Kingma and Ba, 2015): moving averages of gradients and their "
      "squares.");

  m->def("get_solver", &GetSolver, py::arg("solver"),
         "The solver that a prototxt (its path) or a caffe_pb2.SolverParameter "
         "describes.");
}

}  // namespace caffe

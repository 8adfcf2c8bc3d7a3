"""Solvers: updates, snapshots, rates and test nets."""

from __future__ import annotations

import gc
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.small_nets import LINEAR, NOISE, assert_same, parameters, solver_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.small_nets import NetMaker, SolverMaker

SOLVERS = ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"]


def test_get_solver_takes_paths_and_messages(tmp_path: Path) -> None:
    message = solver_message(tmp_path)
    path = tmp_path / "solver.prototxt"
    path.write_text(str(message), encoding="utf-8")
    results = []
    for form in (path, str(path), os.fsencode(path), message):
        solver = caffe.get_solver(form)
        assert isinstance(solver, caffe.SGDSolver)
        solver.step(3)
        results.append(parameters(solver.net))
    for result in results[1:]:
        assert_same(result, results[0])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"net": "nothing.prototxt"}, "nothing.prototxt"),
        ({"type": "Nothing"}, "Unknown solver type: Nothing. (known types: AdaDelta, AdaGrad"),
        ({"test_iter": [1]}, "test_interval() > 0"),
        ({"lr_policy": "nothing"}, "Unknown learning rate policy: nothing"),
        ({"test_iter": [1], "test_net": ["a", "b"]}, "test_iter must be specified for each test"),
    ],
)
def test_a_solver_that_makes_no_sense_is_refused(
    fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    message = solver_message(tmp_path)
    message.MergeFrom(caffe_pb2.SolverParameter(**fields))
    with pytest.raises(caffe.CaffeError, match=re.escape(words)):
        caffe.get_solver(message).step(1)


def test_get_solver_refuses_other_things() -> None:
    with pytest.raises(TypeError, match=r"SolverParameter, not a caffe\.NetParameter"):
        caffe.get_solver(caffe_pb2.NetParameter(name="x"))
    with pytest.raises(TypeError, match=r"os\.PathLike"):
        caffe.get_solver(None)
    with pytest.raises(caffe.CaffeError, match="must specify a train net"):
        caffe.get_solver(caffe_pb2.SolverParameter())


def sgd(w: Any, gradient: Any, state: dict[str, Any], _: int) -> Any:
    state["v"] = 0.9 * state.get("v", 0) + 0.05 * gradient
    return w - state["v"]


def nesterov(w: Any, gradient: Any, state: dict[str, Any], _: int) -> Any:
    before = state.get("v", 0)
    state["v"] = 0.9 * before + 0.05 * gradient
    return w - (1.9 * state["v"] - 0.9 * before)


def ada_grad(w: Any, gradient: Any, state: dict[str, Any], _: int) -> Any:
    state["h"] = state.get("h", 0) + gradient**2
    return w - 0.05 * gradient / (np.sqrt(state["h"]) + 1e-8)


def rms_prop(w: Any, gradient: Any, state: dict[str, Any], _: int) -> Any:
    state["h"] = 0.98 * state.get("h", 0) + 0.02 * gradient**2
    return w - 0.05 * gradient / (np.sqrt(state["h"]) + 1e-8)


def ada_delta(w: Any, gradient: Any, state: dict[str, Any], _: int) -> Any:
    state["h"] = 0.9 * state.get("h", 0) + 0.1 * gradient**2
    update = gradient * np.sqrt((state.get("u", 0) + 1e-8) / (state["h"] + 1e-8))
    state["u"] = 0.9 * state.get("u", 0) + 0.1 * update**2
    return w - 0.05 * update


def adam(w: Any, gradient: Any, state: dict[str, Any], t: int) -> Any:
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * gradient
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * gradient**2
    rate = 0.05 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    return w - rate * state["m"] / (np.sqrt(state["v"]) + 1e-8)


@pytest.mark.parametrize(
    ("kind", "update", "fields"),
    [
        ("SGD", sgd, {"momentum": 0.9}),
        ("Nesterov", nesterov, {"momentum": 0.9}),
        ("AdaGrad", ada_grad, {"delta": 1e-8}),
        ("RMSProp", rms_prop, {"rms_decay": 0.98, "delta": 1e-8}),
        ("AdaDelta", ada_delta, {"momentum": 0.9, "delta": 1e-8}),
        ("Adam", adam, {"momentum": 0.9, "momentum2": 0.999, "delta": 1e-8}),
    ],
)
def test_the_six_solvers_update_as_their_papers_say(
    kind: str, update: Callable[..., Any], fields: dict[str, object], tmp_path: Path
) -> None:
    message = solver_message(tmp_path, LINEAR, type=kind, **fields)
    path = tmp_path / "solver.prototxt"
    path.write_text(str(message), encoding="utf-8")
    of_kind = getattr(caffe, f"{kind}Solver")
    for solver in (caffe.get_solver(message), of_kind(path), of_kind(message)):
        assert type(solver) is getattr(caffe, f"{kind}Solver")
        rng = np.random.default_rng(6)
        x, t = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
        solver.net.blobs["x"].data[...], solver.net.blobs["t"].data[...] = x, t
        w, b = (blob.data.astype(float) for blob in solver.net.params["ip"])
        states: list[dict[str, Any]] = [{}, {}]
        for iteration in range(1, 6):
            y_diff = (x @ w.T + b - t) / 4
            w = update(w, y_diff.T @ x, states[0], iteration)
            b = update(b, y_diff.sum(0), states[1], iteration)
            solver.step(1)
            np.testing.assert_allclose(solver.net.params["ip"][0].data, w, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(solver.net.params["ip"][1].data, b, rtol=1e-4, atol=1e-5)


def test_steps_add_up_and_solve_goes_to_max_iter(make_solver: SolverMaker) -> None:
    results = []
    for run in (
        lambda s: s.solve(),
        lambda s: s.step(10),
        lambda s: [s.step(n) for n in (1, 0, 4, 5)],
        lambda s: [s.step(7), s.solve()],
    ):
        solver = make_solver(snapshot_after_train=False)
        run(solver)
        assert solver.iter == 10
        results.append(parameters(solver.net))
    for result in results[1:]:
        assert_same(result, results[0])


@pytest.mark.parametrize("snapshot_format", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("kind", SOLVERS)
def test_a_resumed_training_ends_with_the_same_weights(
    kind: str, snapshot_format: str, make_solver: SolverMaker, tmp_path: Path
) -> None:
    fields: dict[str, Any] = {
        "type": kind,
        "momentum": 0.0 if kind in ("AdaGrad", "RMSProp") else 0.9,
        "lr_policy": "multistep",
        "gamma": 0.5,
        "stepvalue": [3, 7],
        "snapshot_format": caffe_pb2.SolverParameter.SnapshotFormat.Value(snapshot_format),
        "snapshot_after_train": False,
    }

    def feed(solver: Any) -> Any:
        rng = np.random.default_rng(8)
        for blob in ("x", "t"):
            solver.net.blobs[blob].data[...] = rng.normal(size=solver.net.blobs[blob].data.shape)
        return solver

    straight = feed(make_solver(LINEAR, **fields))
    straight.step(5)
    straight.snapshot()
    straight.step(5)
    suffix = ".h5" if snapshot_format == "HDF5" else ""
    state = tmp_path / f"snapshot_iter_5.solverstate{suffix}"
    assert (tmp_path / f"snapshot_iter_5.caffemodel{suffix}").stat().st_size
    for resume in (
        lambda s: (s.restore(state), s.step(5)),
        lambda s: s.solve(state),
        lambda s: s.solve(str(state)),
    ):
        solver = feed(make_solver(LINEAR, **fields))
        solver.step(1)  # What restore replaces is no longer as at the start.
        resume(solver)
        assert solver.iter == 10
        assert_same(parameters(solver.net), parameters(straight.net))


@pytest.mark.parametrize("snapshot_format", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize(("of", "to"), [("Nesterov", "SGD"), ("SGD", "AdaGrad"), ("Adam", "SGD")])
def test_the_state_of_another_type_of_solver_is_refused(
    of: str, to: str, snapshot_format: str, make_solver: SolverMaker, tmp_path: Path
) -> None:
    value = caffe_pb2.SolverParameter.SnapshotFormat.Value(snapshot_format)
    solver = make_solver(type=of, snapshot_format=value)
    solver.step(2)
    solver.snapshot()
    (state,) = tmp_path.glob("*.solverstate*")
    other = make_solver(type=to)
    other.step(1)
    before = parameters(other.net)
    for run in (other.restore, other.solve):
        with pytest.raises(caffe.CaffeError, match=re.escape(state.name)):
            run(state)
    assert other.iter == 1
    assert_same(parameters(other.net), before)
    other.step(1)


def test_a_state_of_bvlcs_has_no_type(make_solver: SolverMaker, tmp_path: Path) -> None:
    solver = make_solver()
    solver.step(2)
    solver.snapshot()
    path = tmp_path / "snapshot_iter_2.solverstate"
    state = caffe_pb2.SolverState.FromString(path.read_bytes())
    assert state.solver_type == "SGD"
    state.ClearField("solver_type")
    path.write_bytes(state.SerializeToString())
    other = make_solver()
    other.restore(path)
    assert other.iter == 2
    assert_same(parameters(other.net), parameters(solver.net))
    Path(state.learned_net).unlink()
    with pytest.raises((caffe.CaffeError, FileNotFoundError), match=re.escape(state.learned_net)):
        other.restore(path)


def test_what_a_solver_tells(make_solver: SolverMaker) -> None:
    solver = make_solver(
        base_lr=0.5, lr_policy="step", stepsize=2, gamma=0.1, average_loss=2, max_iter=6
    )
    rates, losses = [], []
    for _ in range(4):
        rates.append(solver.lr)
        assert solver.lr == rates[-1]
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
        assert solver.loss == pytest.approx(losses[-1])
    assert rates == pytest.approx([0.5, 0.5, 0.05, 0.05])
    assert solver.iter == 4
    assert (solver.param.max_iter, solver.param.base_lr) == (6, pytest.approx(0.5))
    solver.param.base_lr = 1.0
    assert solver.lr == pytest.approx(0.01)


def test_looking_at_a_multistep_rate_does_not_change_the_training(make_solver: SolverMaker) -> None:
    fields: dict[str, Any] = {"lr_policy": "multistep", "gamma": 0.1, "stepvalue": [2, 4]}
    looked, plain = make_solver(**fields), make_solver(**fields)
    rates = []
    for _ in range(6):
        rates.append(looked.lr)
        assert looked.lr == rates[-1]
        looked.step(1)
    assert rates == pytest.approx([0.05, 0.05, 0.005, 0.005, 0.0005, 0.0005])
    caffe.set_random_seed(11)
    plain = make_solver(**fields)
    plain.step(6)
    assert_same(parameters(looked.net), parameters(plain.net))


def test_test_nets_follow_the_training(make_net: NetMaker, make_solver: SolverMaker) -> None:
    solver = make_solver(test_iter=[2], test_interval=1000)
    (tested,) = solver.test_nets
    solver.step(3)
    # They share the weights once a test has run.
    assert_same(parameters(tested), parameters(solver.net))
    other = make_net(NOISE, caffe.TEST)
    solver.share_weights(other)
    solver.step(1)
    assert_same(parameters(other), parameters(solver.net))
    assert solver.net is solver.net
    solver.test_nets.clear()  # The list belongs to the caller.
    assert len(solver.test_nets) == 1


def test_nets_of_a_solver_outlive_it(make_solver: SolverMaker) -> None:
    solver = make_solver(test_iter=[1], test_interval=1000)
    net, test_net = solver.net, solver.test_nets[0]
    want = parameters(net)
    del solver
    gc.collect()
    net.forward()
    test_net.forward()
    assert_same(parameters(net), want)


def test_manual_updates(make_solver: SolverMaker) -> None:
    solver = make_solver(LINEAR, base_lr=0.25)
    blob = solver.net.params["ip"][0]
    before = blob.data.copy()
    blob.diff[...] = 2
    solver.apply_update()
    np.testing.assert_allclose(blob.data, before - 0.5, rtol=1e-6)


@pytest.mark.parametrize("kind", SOLVERS)
def test_a_parameter_of_another_size_is_not_updated(kind: str, make_solver: SolverMaker) -> None:
    solver = make_solver(type=kind)
    solver.net.params["ip"][0].reshape(200, 300)
    with pytest.raises(caffe.CaffeError, match=r"reshaped to 200 300 .* from 2 3 "):
        solver.apply_update()
    with pytest.raises(caffe.CaffeError, match=r"parameter 0 has the shape 200 x 300; .* 2 x 3"):
        solver.step(1)
    solver.net.params["ip"][0].reshape(2, 3)
    solver.step(1)


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("broken", ["weights", "history"])
def test_a_restore_that_fails_changes_nothing(
    form: str, broken: str, make_solver: SolverMaker, tmp_path: Path
) -> None:
    def solver(outputs: int) -> Any:
        net = NOISE.replace("num_output: 2", f"num_output: {outputs}")
        net = net.replace("shape { dim: 4 dim: 2 }", f"shape {{ dim: 4 dim: {outputs} }}")
        return make_solver(net, momentum=0.9, snapshot_format=form)

    suffix = ".h5" if form == "HDF5" else ""
    names = [f"snapshot_iter_3.{kind}{suffix}" for kind in ("solverstate", "caffemodel")]
    for outputs in (2, 5):
        made = solver(outputs)
        made.step(3)
        made.snapshot()
        for name in names:
            (tmp_path / name).rename(tmp_path / f"{outputs}.{name}")
    taken = (2, 5) if broken == "weights" else (5, 2)
    for name, outputs in zip(names, taken, strict=True):
        (tmp_path / f"{outputs}.{name}").rename(tmp_path / name)
    target = solver(2)
    target.step(1)
    before = parameters(target.net)
    with pytest.raises(caffe.CaffeError, match=r"snapshot_iter_3|HDF5 dataset 0"):
        target.restore(str(tmp_path / names[0]))
    assert target.iter == 1
    assert_same(parameters(target.net), before)

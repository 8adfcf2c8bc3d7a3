"""Solvers, snapshots and states that make no sense or do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
from caffe.proto import caffe_pb2

from tests.caffe.bad_input.cases import Case, case, layer
from tests.small_nets import solver_message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRAIN = (
    "layer { name: 'x' type: 'DummyData' top: 'x' top: 't' "
    "dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 2 } } }\n"
    + layer("InnerProduct", "x", "inner_product_param { num_output: 2 }", name="ip")
    + layer("EuclideanLoss", "y t", tops="loss")
)

WIDER = TRAIN.replace("num_output: 2", "num_output: 4").replace("dim: 2 dim: 2", "dim: 2 dim: 4")
STATE = "s_iter_2.solverstate"
HDF5 = caffe_pb2.SolverParameter.SnapshotFormat.Value("HDF5")


def make_solver(folder: Path, text: str = TRAIN, /, **fields: object) -> Any:
    """Return a solver that takes its snapshots to folder/s; a field that is None is left out."""
    fields = {"snapshot_prefix": str(folder / "s")} | fields
    return caffe.get_solver(solver_message(folder, text, **fields))


def solver_case(
    name: str, *words: str, error: type[Exception] = caffe.CaffeError, **fields: object
) -> Case:
    """Return the case of a solver that cannot be made, or cannot do its first steps."""
    return case(
        f"solver: {name}",
        lambda folder: make_solver(folder, **fields).step(2),
        *words,
        error=error,
    )


def make_with_a_bad_layer(folder: Path) -> None:
    make_solver(folder, TRAIN.replace("num_output: 2", "num_output: 5"))


def step_on_a_bad_label(folder: Path) -> None:
    net = TRAIN.replace("dim: 2 dim: 2", "dim: 2").replace("EuclideanLoss", "SoftmaxWithLoss")
    filler = "data_filler { value: 1 } data_filler { value: 9 } } }\n"
    make_solver(folder, net.replace("} } }\n", "} " + filler, 1)).step(1)


def snapshot_to_a_missing_folder(**fields: object) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        make_solver(folder, snapshot_prefix=str(folder / "none" / "s"), **fields).snapshot()

    return do


def snapshot_to_a_full_disk(folder: Path) -> None:
    (folder / "s_iter_0.caffemodel").symlink_to("/dev/full")
    make_solver(folder).snapshot()


def restore_another_net(folder: Path) -> None:
    solver = make_solver(folder)
    solver.step(2)
    solver.snapshot()
    make_solver(folder, WIDER).restore(folder / STATE)


def restore_without_weights(folder: Path) -> None:
    solver = make_solver(folder)
    solver.step(2)
    solver.snapshot()
    (folder / "s_iter_2.caffemodel").unlink()
    solver.step(1)
    try:
        solver.restore(folder / STATE)
    finally:
        assert solver.iter == 3


def restore(
    change: Callable[[Path], object] = lambda _: None, **fields: object
) -> Callable[[Path], None]:
    """Return a function that restores a changed snapshot of SGD into a solver with `fields`.

    `change` is called with the folder of the snapshot. The solver that cannot restore is as before.
    """

    def do(folder: Path) -> None:
        kept = {key: value for key, value in fields.items() if key == "snapshot_format"}
        solver = make_solver(folder, **kept)
        solver.step(2)
        solver.snapshot()
        change(folder)
        other = make_solver(folder, **fields)
        suffix = ".h5" if kept else ""
        try:
            other.restore(folder / f"{STATE}{suffix}")
        finally:
            assert other.iter == 0

    return do


def replace_state(folder: Path) -> None:
    (folder / STATE).write_bytes(b"garbage")


CASES = [
    solver_case(
        "unknown type", "Unknown solver type: Nestrov", 'Did you mean "Nesterov"', type="Nestrov"
    ),
    solver_case(
        "unknown policy", "learning rate policy: polly", 'Did you mean "poly"', lr_policy="polly"
    ),
    solver_case("no stepsize", "stepsize() > 0", lr_policy="step", gamma=0.1),
    solver_case("gamma", "gamma() >= 0", lr_policy="exp", gamma=-1),
    solver_case(
        "nearly cosine",
        "learning rate policy: cosinus",
        'Did you mean "cosine"',
        lr_policy="cosinus",
    ),
    solver_case("cosine to nowhere", "max_iter() > 0", lr_policy="cosine", max_iter=0),
    solver_case("warmup_iter", "warmup_iter() >= 0", warmup_iter=-1),
    solver_case("no net", "must specify a train net", net=None),
    solver_case("two nets", "must not contain more than one", train_net="other"),
    solver_case(
        "missing net", "/nowhere.prototxt", net="/nowhere.prototxt", error=FileNotFoundError
    ),
    solver_case(
        "missing test net",
        "/nowhere",
        test_net=["/nowhere"],
        test_iter=[1],
        test_interval=1,
        error=FileNotFoundError,
    ),
    solver_case("missing weights", "/nowhere", weights=["/nowhere"], error=FileNotFoundError),
    solver_case("test_interval", "test_interval() > 0", test_iter=[1]),
    solver_case("test_iter", "test_iter must be specified", test_net=["a"], test_interval=1),
    solver_case(
        "test_state",
        "test_state must be unspecified",
        test_iter=[1],
        test_interval=1,
        test_state=[caffe_pb2.NetState()] * 2,
    ),
    solver_case("average_loss", "average_loss must be positive", average_loss=0),
    solver_case("iter_size", "iter_size must be positive", iter_size=0),
    solver_case(
        "regularization",
        "Unknown regularization type: L3",
        regularization_type="L3",
        weight_decay=0.1,
    ),
    solver_case("momentum", "Momentum cannot be used with AdaGrad", type="AdaGrad", momentum=0.9),
    solver_case("no prefix", "snapshot_prefix is not", snapshot=1, snapshot_prefix=None),
    solver_case(
        "prefix",
        "Cannot write to snapshot prefix '/nowhere/s'",
        snapshot=1,
        snapshot_prefix="/nowhere/s",
    ),
    case(
        "solver: layer of its net",
        make_with_a_bad_layer,
        "Layer 'L' (EuclideanLoss): ",
        "Inputs must have the same dimension",
    ),
    case(
        "solver: label in a step",
        step_on_a_bad_label,
        "Layer 'L' (SoftmaxWithLoss): ",
        "label 9 is out of range; must be in 0..1",
    ),
    case(
        "snapshot: missing folder",
        snapshot_to_a_missing_folder(),
        "Cannot write",
        "/none/s_iter_0.caffemodel",
        "No such file",
    ),
    case(
        "snapshot: missing folder, HDF5",
        snapshot_to_a_missing_folder(snapshot_format=HDF5),
        "Cannot write",
        "/none/s_iter_0.caffemodel.h5",
        "No such file",
    ),
    case(
        "snapshot: disk full",
        snapshot_to_a_full_disk,
        "Cannot write",
        "s_iter_0.caffemodel",
        "No space left on device",
    ),
    case("restore: garbage", restore(replace_state), STATE, "damaged"),
    case(
        "restore: another solver",
        restore(type="Adam", momentum=0.9),
        STATE,
        "another type of solver",
    ),
    case(
        "restore: another solver, HDF5",
        restore(type="Adam", momentum=0.9, snapshot_format=HDF5),
        STATE,
        "another type of solver",
    ),
    case(
        "restore: another net",
        restore_another_net,
        STATE,
        "the history of another net: blob 0 is not of shape 4 3",
    ),
    case(
        "restore: weights gone",
        restore_without_weights,
        "s_iter_2.caffemodel",
        error=FileNotFoundError,
    ),
]

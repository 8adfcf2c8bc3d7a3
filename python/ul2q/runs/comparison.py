"""In what two runs differ: their settings, nets, data and what they reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from caffe.proto import caffe_pb2

from ul2q.errors import UserError
from ul2q.models.caffemodel import read_caffemodel
from ul2q.nets.net_differences import net_differences
from ul2q.runs.changes import solver_settings
from ul2q.runs.layout import is_run
from ul2q.runs.progress import read_progress
from ul2q.runs.snapshots import newest_model
from ul2q.runs.solver import recorded_solver, recorded_train_net
from ul2q.runs.training_record import read_training_record
from ul2q.util.differences import Difference, differing
from ul2q.util.input_file import require_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PLACES = ("net", "train_net", "test_net", "net_param", "train_net_param", "test_net_param",
           "snapshot_prefix")  # fmt: skip


class ComparisonError(UserError, ValueError):
    """Folders that cannot be compared."""


def compare_runs(first: Path, second: Path) -> list[Difference]:
    """In what the second run differs from the first.

    Compared are, in this order: what both reached, the fields of the solvers but for paths, the
    layers and fields of the train nets, and, where both runs have a run.json of training, the data,
    the weights that they began from, threads, versions and machine. Of runs without it the net
    comes from train_test.prototxt, the solver or the newest .caffemodel.

    Raises:
        FileNotFoundError, NotADirectoryError: there is no such folder.
        ComparisonError: a folder holds no run.
        PrototxtError, RecordError, WeightsError: a file is damaged.
    """
    for folder in (first, second):
        require_there(folder, "the folder of a run")
        if not is_run(folder):
            raise ComparisonError(
                f"{folder} is no run: it holds no run.json, log.csv or .caffemodel"
            )
    old, new = (_facts(folder) for folder in (first, second))
    nets = old.pop("net"), new.pop("net")
    found = [*_differing(old, new, ("result", "solver"))]
    if None not in nets:
        found += net_differences(*nets, sources=False)
    elif nets != (None, None):
        found.append(Difference("net", *(net and net.name for net in nets)))
    return [*found, *_differing(old, new, ("data", "weights", "threads", "versions", "machine"))]


def _differing(
    old: dict[str, Any], new: dict[str, Any], names: tuple[str, ...]
) -> Iterator[Difference]:
    for name in names:
        yield from differing(old[name], new[name], name)


def _facts(run: Path) -> dict[str, Any]:
    """What is known of a run, by kinds."""
    record, progress = read_training_record(run), read_progress(run)
    param = recorded_solver(run) if record is None else record.solver_param()
    settings = {} if param is None else solver_settings(param)
    session = record.sessions[-1] if record is not None and record.sessions else None
    return {
        "result": {
            "iterations": progress.iterations,
            "accuracy": progress.accuracy,
            "loss": progress.loss,
            "seconds": progress.seconds,
        },
        "solver": {key: value for key, value in settings.items() if key not in _PLACES},
        "net": _net(run, param or caffe_pb2.SolverParameter()),
        "data": None if record is None else [str(one) for one in record.data],
        "weights": record and [f"{one.path} (sha256 {one.sha256[:12]}…)" for one in record.weights],
        "threads": session and session.threads,
        "versions": session and session.versions,
        "machine": session and session.machine,
    }


def _net(run: Path, param: caffe_pb2.SolverParameter) -> caffe_pb2.NetParameter | None:
    """The train net; of a .caffemodel the layers without their blobs."""
    if (net := recorded_train_net(run, param)) is not None:
        return net
    model, _ = newest_model(run)
    if model is None:
        return None
    held = read_caffemodel(model)
    for layer in (*held.layer, *held.layers):
        layer.ClearField("blobs")
    return held

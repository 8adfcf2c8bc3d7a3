"""What a run was told to do: solver.prototxt, the solver as it was run, and its train net."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.nets.prototxt import read_net, read_solver
from ul2q.runs.layout import NET, SOLVER
from ul2q.runs.training_record import read_training_record, solver_as_text
from ul2q.util.output_file import write_file

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2


def record_solver(param: caffe_pb2.SolverParameter, solver: Path, run: Path) -> None:
    """Write a solver as it is run into the run's folder, unless it is read from there.

    Args:
        param: the solver, with all that was set beside its file.
        solver: the file that it was read from.
        run: the folder.
    """
    path = run / SOLVER
    if path.exists() and path.samefile(solver):
        return
    write_file(path, solver_as_text(param).encode(), force=True)


def recorded_solver(run: Path) -> caffe_pb2.SolverParameter | None:
    """The solver that a run's folder records; None if there is none.

    Raises:
        PrototxtError: what is recorded is damaged.
    """
    path = run / SOLVER
    return read_solver(path) if path.is_file() else None


def recorded_train_net(
    run: Path, solver: caffe_pb2.SolverParameter
) -> caffe_pb2.NetParameter | None:
    """The train net that the run's folder records, or the solver itself has; None if none does.

    Raises:
        PrototxtError, RecordError: what is recorded is damaged.
    """
    if (record := read_training_record(run)) is not None:
        return record.all_nets()[0][0]
    if (path := run / NET).is_file():
        return read_net(path)
    for name in ("net_param", "train_net_param"):
        if solver.HasField(name):
            net: caffe_pb2.NetParameter = getattr(solver, name)
            return net
    return None


def find_net(name: str, run: Path) -> Path:
    """Where a net is that a run's record names.

    It is in the run's folder; or seen from there, or from where the run was begun, which was the
    present working directory or, probably, a folder above the run's.

    Raises:
        FileNotFoundError: it is gone.
    """
    seen_from = (Path(), run, *run.resolve().parents)
    for path in (run / Path(name).name, *(folder / name for folder in seen_from)):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{run / SOLVER}: the net {name!r} is gone")

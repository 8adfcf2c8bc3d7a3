"""What a run was told to do: solver.prototxt, the solver as it was run, and its train net."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format
from google.protobuf.json_format import MessageToDict

from ul2q.errors import UserError
from ul2q.nets.prototxt import read_net, read_solver
from ul2q.runs.layout import NET, SOLVER
from ul2q.util.differences import differences
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
    text = text_format.MessageToString(param, as_utf8=True)
    write_file(path, text.encode(), force=True)


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
    """The train net that stands in a run's folder, or in its solver itself; None if none does.

    Raises:
        PrototxtError: the net's file is damaged.
    """
    if (path := run / NET).is_file():
        return read_net(path)
    for name in ("net_param", "train_net_param"):
        if solver.HasField(name):
            net: caffe_pb2.NetParameter = getattr(solver, name)
            return net
    return None


def changes_since(param: caffe_pb2.SolverParameter, run: Path) -> list[str]:
    """In what a run is now another than the one that the folder records.

    Not told are a max_iter that has grown, and paths that have changed while what they lead to has
    not.

    Args:
        param: the solver as it is to be run now.
        run: the folder.

    Returns:
        E.g. "base_lr was 0.1, is 0.05"; nothing if nothing is recorded.

    Raises:
        PrototxtError: what is recorded is damaged.
    """
    recorded = recorded_solver(run)
    if recorded is None:
        return []
    old, new = _settings(recorded), _settings(param)
    if old.get("max_iter", 0) < new["max_iter"]:
        old.pop("max_iter", None)
        del new["max_iter"]
    if "snapshot_prefix" not in old:  # The file may be the user's own.
        del new["snapshot_prefix"]
    for field in ("net", "train_net", "test_net"):
        if field in old and field in new and _nets(old[field], run) == _nets(new[field]):
            del old[field], new[field]
    return list(differences(old, new))


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


def _settings(param: caffe_pb2.SolverParameter) -> dict[str, Any]:
    settings: dict[str, Any] = MessageToDict(param, preserving_proto_field_name=True)
    if param.snapshot_prefix:  # its folder is the run's, wherever that is now
        settings["snapshot_prefix"] = Path(param.snapshot_prefix).name
    return settings


def _nets(paths: str | list[str], run: Path | None = None) -> list[caffe_pb2.NetParameter | str]:
    """The nets in these files, seen from a run's folder if `run` is given.

    In place of a net that cannot be read stands its path.
    """
    nets: list[caffe_pb2.NetParameter | str] = []
    for path in [paths] if isinstance(paths, str) else paths:
        try:
            nets.append(read_net(find_net(path, run) if run else Path(path)))
        except (UserError, OSError):
            nets.append(path)
    return nets

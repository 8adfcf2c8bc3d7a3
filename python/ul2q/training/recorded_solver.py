"""The solver as it was run, which stands in a run's folder as solver.prototxt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format
from google.protobuf.json_format import MessageToDict

from ul2q.errors import UserError
from ul2q.nets.prototxt import read_net, read_solver
from ul2q.util.differences import differences
from ul2q.util.output_file import write_file

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2

    from ul2q.training.solver_file import Plan

RECORD = "solver.prototxt"


def record_solver(plan: Plan, solver: Path, run: Path) -> None:
    """Write the solver as it is run into the run folder, unless it is read from there."""
    path = run / RECORD
    if path.exists() and path.samefile(solver):
        return
    text = text_format.MessageToString(plan.effective, as_utf8=True)
    write_file(path, text.encode(), force=True)


def changes_since(plan: Plan, run: Path) -> list[str]:
    """In what a run is now another than the one that the folder records.

    Not told are a max_iter that has grown, and paths that have changed while what they lead to has
    not.

    Returns:
        E.g. "base_lr was 0.1, is 0.05"; none if nothing is recorded.

    Raises:
        PrototxtError: what is recorded is damaged.
    """
    path = run / RECORD
    if not path.is_file():
        return []
    old, new = _settings(read_solver(path)), _settings(plan.effective)
    if old.get("max_iter", 0) < new["max_iter"]:
        old.pop("max_iter", None)
        del new["max_iter"]
    if "snapshot_prefix" not in old:  # in a file of the user's own
        del new["snapshot_prefix"]
    for field in ("net", "train_net", "test_net"):
        if field in old and field in new and _nets(old[field], run) == _nets(new[field]):
            del old[field], new[field]
    return list(differences(old, new))


def find_net(name: str, run: Path) -> Path:
    """Where a net is that a run's record names.

    In the run's folder; or seen from there or from where the run was begun, which was the present
    working directory or, probably, a folder above the run's.

    Raises:
        FileNotFoundError: it is gone.
    """
    seen_from = (Path(), run, *run.resolve().parents)
    for path in (run / Path(name).name, *(folder / name for folder in seen_from)):
        if path.is_file():
            return path
    raise FileNotFoundError(f"{run / RECORD}: the net {name!r} is gone")


def _settings(param: caffe_pb2.SolverParameter) -> dict[str, Any]:
    settings: dict[str, Any] = MessageToDict(param, preserving_proto_field_name=True)
    if param.snapshot_prefix:  # its folder is the run's, wherever that is now
        settings["snapshot_prefix"] = Path(param.snapshot_prefix).name
    return settings


def _nets(paths: str | list[str], run: Path | None = None) -> list[caffe_pb2.NetParameter | str]:
    """The nets in these files, in a run's record or not; the path of one that cannot be read."""
    nets: list[caffe_pb2.NetParameter | str] = []
    for path in [paths] if isinstance(paths, str) else paths:
        try:
            nets.append(read_net(find_net(path, run) if run else Path(path)))
        except (UserError, OSError):
            nets.append(path)
    return nets

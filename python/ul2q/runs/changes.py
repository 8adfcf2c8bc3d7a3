"""In what a run that is gone on with is another than the one that its folder records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import MessageToDict

from ul2q.errors import UserError
from ul2q.nets.data_sets import data_set
from ul2q.nets.net_differences import net_differences
from ul2q.nets.prototxt import parse_net, read_net
from ul2q.runs.environment import threads
from ul2q.runs.solver import find_net, recorded_solver
from ul2q.runs.training_record import read_training_record, recorded_files
from ul2q.util.differences import Difference, differing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from caffe.proto import caffe_pb2

    from ul2q.nets.data_sets import DataSet
    from ul2q.runs.training_record import RecordedFile, TrainingRecord

_NET_FILES = ("net", "train_net", "test_net")
_NETS_INSIDE = ("net_param", "train_net_param", "test_net_param")


def changes_since(
    param: caffe_pb2.SolverParameter,
    run: Path,
    *,
    data: Sequence[Path] = (),
    weights: Sequence[Path] = (),
) -> list[str]:
    """In what a run is now another than the one that the folder records.

    Not told are a max_iter that has grown, and paths that have changed while what they lead to has
    not. A folder without a run.json of training records less: neither data, weights nor threads,
    and the net only as long as its file is as it was.

    Args:
        param: the solver as it is to be run now.
        run: the folder.
        data: the databases of the train net, then of the test nets, that are to be read now.
        weights: the .caffemodel files that are given to begin from now; none if none is given.

    Returns:
        E.g. "base_lr was 0.1, is 0.05", "layer 'conv1': quantization_param.weight.bits was 2, is
        1"; nothing if nothing is recorded.

    Raises:
        PrototxtError, RecordError: what is recorded is damaged.
    """
    record = read_training_record(run)
    recorded = recorded_solver(run) if record is None else record.solver_param()
    if recorded is None:
        return []
    old, new = solver_settings(recorded), solver_settings(param)
    if old.get("max_iter", 0) < new["max_iter"]:
        old.pop("max_iter", None)
        del new["max_iter"]
    if "snapshot_prefix" not in old:  # The file may be the user's own.
        new.pop("snapshot_prefix", None)
    nets = list(_nets(old, new, recorded, param, run, record))
    found = [*differing(old, new), *nets]
    if record is not None:
        found += _data(record.data, list(map(data_set, data)))
        found += _weights(record.weights, recorded_files([one for one in weights if one.is_file()]))
        found += _threads(record)
    return list(map(str, found))


def solver_settings(param: caffe_pb2.SolverParameter) -> dict[str, Any]:
    """The fields of a solver that are set, but for the folder of its snapshots."""
    settings: dict[str, Any] = MessageToDict(param, preserving_proto_field_name=True)
    if param.snapshot_prefix:  # its folder is the run's, wherever that is now
        settings["snapshot_prefix"] = Path(param.snapshot_prefix).name
    return settings


def _nets(
    old: dict[str, Any],
    new: dict[str, Any],
    recorded: caffe_pb2.SolverParameter,
    param: caffe_pb2.SolverParameter,
    run: Path,
    record: TrainingRecord | None,
) -> Iterator[Difference]:
    """The differences of the nets; the fields of nets that are the same leave `old` and `new`."""
    sources = record is None  # else the data are compared themselves
    for field in _NET_FILES:
        if field not in old or field not in new:
            continue
        before = [_recorded_net(name, run, record) for name in _listed(old[field])]
        after = [_net(name) for name in _listed(new[field])]
        told = [
            one
            for was, now in zip(before, after, strict=False)
            if was is not None and now is not None
            for one in net_differences(was, now, sources=sources)
        ]
        known = len(before) == len(after) and None not in before and None not in after
        if known and not told:
            del old[field], new[field]
        yield from told
    for field in _NETS_INSIDE:
        if field in old and field in new:
            was, now = (_inside(one, field) for one in (recorded, param))
            if len(was) == len(now):
                del old[field], new[field]
                for one, another in zip(was, now, strict=True):
                    yield from net_differences(one, another, sources=sources)


def _inside(param: caffe_pb2.SolverParameter, field: str) -> list[caffe_pb2.NetParameter]:
    """The nets that stand in the solver itself."""
    held = getattr(param, field)
    return list(held) if field == "test_net_param" else [held]


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _recorded_net(
    name: str, run: Path, record: TrainingRecord | None
) -> caffe_pb2.NetParameter | None:
    """The net that a run's record names; None if it is gone."""
    if record is not None and name in record.nets:
        return parse_net(record.nets[name], name)
    try:
        return read_net(find_net(name, run))
    except (UserError, OSError):
        return None


def _net(name: str) -> caffe_pb2.NetParameter | None:
    try:
        return read_net(Path(name))
    except (UserError, OSError):
        return None


def _data(old: Sequence[DataSet], new: Sequence[DataSet]) -> Iterator[Difference]:
    if len(old) != len(new):
        yield Difference("data", ", ".join(map(str, old)), ", ".join(map(str, new)))
        return
    for was, now in zip(old, new, strict=True):
        if not was.is_same(now):
            # Of two with one name only the hash tells why.
            same = str(was) == str(now)
            yield Difference("data", was, f"{now} with other content" if same else now)


def _weights(old: Sequence[RecordedFile], new: Sequence[RecordedFile]) -> Iterator[Difference]:
    if new and [one.sha256 for one in old] != [one.sha256 for one in new]:
        told = [
            ", ".join(f"{one.path} (sha256 {one.sha256[:12]}…)" for one in files) or None
            for files in (old, new)
        ]
        yield Difference("weights", *told)


def _threads(record: TrainingRecord) -> Iterator[Difference]:
    """Another number of threads adds in another order, and so rounds differently."""
    if record.sessions and record.sessions[-1].threads != threads():
        yield Difference("threads", record.sessions[-1].threads, threads())

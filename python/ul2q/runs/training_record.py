"""How a run was trained: the entry `training` of run.json, which `ul2q train --run` writes."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf import text_format

from ul2q.nets.data_sets import DataSet
from ul2q.nets.prototxt import parse_net, parse_solver
from ul2q.nets.solver_nets import solver_nets
from ul2q.runs.layout import RECORD
from ul2q.runs.run_file import TRAINING, RecordError, read_run_file, write_run_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from caffe.proto import caffe_pb2


@dataclass(frozen=True)
class RecordedFile:
    """A file that a run began with.

    Attributes:
        path: as it was given.
        sha256: of its content, in hexadecimal.
    """

    path: str
    sha256: str


@dataclass
class Session:
    """One call of `ul2q train` on a run: its beginning, or a resume.

    Attributes:
        command: the command, as a shell takes it.
        began: when, in UTC, as 2024-05-17T09:30:00+00:00.
        from_iteration: how many iterations were done then.
        versions: as of `environment.versions`.
        machine: as of `environment.machine`.
        threads: how many a parallel loop takes.
        ended: when; None while it runs, and if it was killed.
        iterations: how many were done in the end; None as of `ended`.
    """

    command: str
    began: str
    from_iteration: int
    versions: dict[str, str]
    machine: dict[str, Any]
    threads: int
    ended: str | None = None
    iterations: int | None = None


@dataclass
class TrainingRecord:
    """How a run was trained.

    Attributes:
        solver: the path of the solver's file, as it was given.
        solver_text: the solver as it was run, with all that was set beside its file.
        nets: the texts of the nets' files, by the paths that `solver_text` names.
        weights: the .caffemodel files that it began from.
        data: the databases of the train net, then those of the test nets.
        seed: of Caffe's random generator; None if the clock gave it.
        multiply_adds: of each layer with weights for one example, by its name.
        sessions: the calls of `ul2q train`, the first first.
    """

    solver: str
    solver_text: str
    nets: dict[str, str] = field(repr=False)
    weights: list[RecordedFile]
    data: list[DataSet]
    seed: int | None
    multiply_adds: dict[str, int]
    sessions: list[Session]

    def solver_param(self) -> caffe_pb2.SolverParameter:
        """The solver as it was run.

        Raises:
            PrototxtError: its text does not parse.
        """
        return parse_solver(self.solver_text, self.solver)

    def all_nets(self) -> list[tuple[caffe_pb2.NetParameter, caffe_pb2.NetState]]:
        """The train net, then the test nets, with their states.

        Raises:
            PrototxtError: a text does not parse.
        """
        param = self.solver_param()
        for one, text in self.nets.items():
            net = parse_net(text, one)
            for name in ("net", "train_net"):
                if getattr(param, name) == one:
                    param.ClearField(name)
                    getattr(param, f"{name}_param").CopyFrom(net)
        tests = [parse_net(self.nets[one], one) for one in param.test_net if one in self.nets]
        param.ClearField("test_net")
        param.test_net_param.extend(tests)
        return list(solver_nets(param))

    def save(self, run: Path) -> None:
        """Write it into the run.json of the run's folder; what a sweep has written there stays.

        Raises:
            RecordError: there is a run.json that is damaged.
        """
        entries = read_run_file(run) or {}
        write_run_file(run, entries | {TRAINING: asdict(self)})


def read_training_record(run: Path) -> TrainingRecord | None:
    """How the run in a folder was trained; None if that is not recorded.

    Raises:
        RecordError: what is recorded is damaged.
    """
    entries = (read_run_file(run) or {}).get(TRAINING)
    if entries is None:
        return None
    try:
        record = TrainingRecord(**entries)
        record.weights = [RecordedFile(**one) for one in entries["weights"]]
        record.data = [DataSet(**one) for one in entries["data"]]
        record.sessions = [Session(**one) for one in entries["sessions"]]
        dict(record.nets), dict(record.multiply_adds)
    except (TypeError, ValueError, KeyError) as error:
        raise RecordError(
            f"{run / RECORD} is damaged: {TRAINING}: {error}; mend it, or remove {TRAINING}"
        ) from error
    return record


def solver_as_text(param: caffe_pb2.SolverParameter) -> str:
    """A solver as it stands in run.json and solver.prototxt."""
    return str(text_format.MessageToString(param, as_utf8=True))


def net_texts(param: caffe_pb2.SolverParameter) -> dict[str, str]:
    """The texts of the files that a solver names as nets, by their paths."""
    names = [getattr(param, field) for field in ("net", "train_net") if param.HasField(field)]
    return {name: Path(name).read_text(encoding="utf-8") for name in (*names, *param.test_net)}


def recorded_files(paths: Sequence[Path]) -> list[RecordedFile]:
    """These files with their hashes."""
    return [RecordedFile(str(path), file_sha256(path)) for path in paths]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def now() -> str:
    """The time as it stands in a session."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")

"""What a sweep knows of a run: the entries of run.json but for those of training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ul2q.runs.layout import RECORD
from ul2q.runs.run_file import TRAINING, RecordError, read_run_file, write_run_file

if TYPE_CHECKING:
    from pathlib import Path

FLOAT = "float"  # the method of runs that do not quantise

WAITING, RUNNING, DONE, FAILED, STOPPED = "waiting", "running", "done", "failed", "stopped"
STATUSES = (WAITING, RUNNING, DONE, FAILED, STOPPED)

_TYPES: dict[type | tuple[type, ...], tuple[str, ...]] = {
    str: ("run", "net", "method", "variant", "status"),
    (str, type(None)): ("float_run", "error"),
    int: ("seed", "iterations"),
    (int, type(None)): ("bits",),
    (int, float): ("seconds",),
    (int, float, type(None)): ("accuracy", "loss"),
}


@dataclass
class Record:
    """A run of a sweep; run.json has these fields, results.csv most of them as columns.

    Attributes:
        run: the name of the run and of its folder.
        net: the net's name.
        method: its name in `ul2q.methods()`, or "float".
        bits: the width of the weights' codes; None for float.
        seed: the seed of Caffe's random generator.
        variant: the name of the set of options that is special about it; "" for none.
        options: all that its result depends on, but for the text of the net.
        float_run: the name of the run whose weights it begins from; None if it begins from scratch.
        status: waiting, running, done, failed, or stopped (and still to be gone on with).
        accuracy: that of the last test, 0 to 1; None before the end, and if there is none.
        loss: that of the last test; None before the end, and if there is none.
        iterations: how many it has done, as far as log.csv tells.
        seconds: how long they took, as far as log.csv tells.
        error: the last line that a run printed which failed; None for others.
    """

    run: str
    net: str
    method: str
    bits: int | None
    seed: int
    variant: str
    options: dict[str, Any] = field(repr=False)
    float_run: str | None
    status: str = WAITING
    accuracy: float | None = None
    loss: float | None = None
    iterations: int = 0
    seconds: float = 0.0
    error: str | None = None

    def save(self, runs: Path) -> None:
        """Write run.json in the run's folder below `runs`; what training has written there stays.

        Raises:
            RecordError: there is one that is damaged.
        """
        folder = runs / self.run
        kept = (read_run_file(folder) or {}).get(TRAINING)
        write_run_file(folder, asdict(self) | ({} if kept is None else {TRAINING: kept}))


def read_record(folder: Path) -> Record | None:
    """What a sweep has recorded in a run's folder; None if none has.

    Raises:
        RecordError: it is damaged.
    """
    entries, path = read_run_file(folder), folder / RECORD
    if entries is None or entries.keys() == {TRAINING}:
        return None
    entries.pop(TRAINING, None)
    try:
        record = Record(**entries)
    except TypeError as error:
        raise RecordError(f"{path} is damaged: {error}; mend it, or remove {folder}") from error
    for kind, names in _TYPES.items():
        for name in names:
            value = getattr(record, name)
            known = name != "status" or value in STATUSES
            finite = not isinstance(value, float) or math.isfinite(value)
            if not (isinstance(value, kind) and known and finite):
                raise RecordError(f"{path} is damaged: {name} is {value!r}; mend or remove it")
    if record.run != folder.name:
        raise RecordError(f"{path} is that of a run {record.run!r}, but stands in {folder}")
    return record


def read_records(runs: Path) -> dict[str, Record]:
    """The records of all runs below a folder, by the runs' names."""
    found = (read_record(path) for path in sorted(runs.iterdir()) if path.is_dir())
    return {record.run: record for record in found if record is not None}

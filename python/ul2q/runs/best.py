"""The weights of a run's best test, and what they reach."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ul2q.runs.layout import best_files
from ul2q.util.output_file import write_file

if TYPE_CHECKING:
    from pathlib import Path

    import caffe


@dataclass(frozen=True)
class Best:
    """The weights of the best test so far.

    Attributes:
        iteration: how many iterations they have.
        output: what was compared: an accuracy, the higher the better, or "loss".
        value: its mean in that test.
    """

    iteration: int
    output: str
    value: float


def read_best(prefix: str | Path) -> Best | None:
    """What the best weights under a `snapshot_prefix` reach; None if they are not whole there."""
    weights, record = best_files(prefix)
    if not weights.is_file() or not record.is_file():
        return None
    return Best(**json.loads(record.read_text(encoding="utf-8")))


def write_best(prefix: str | Path, net: caffe.Net, best: Best) -> None:
    """Write the weights of `net`, and what they reach, in place of those that stand there.

    Raises:
        OSError: a file cannot be written.
    """
    weights, record = best_files(prefix)
    net.save(str(weights))
    write_file(record, (json.dumps(asdict(best)) + "\n").encode(), force=True)

"""The weights of a run's best test, and what they reach."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ul2q.errors import UserError
from ul2q.runs.layout import best_files
from ul2q.util.json_text import parse_json
from ul2q.util.output_file import write_files

if TYPE_CHECKING:
    from pathlib import Path

    import caffe


_DAMAGED = "{} is damaged{}: remove it, and {} if a test that is still to come shall be the best"


class BestError(UserError, ValueError):
    """A damaged record of the best weights."""


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
    """What the best weights under a `snapshot_prefix` reach; None if they are not whole there.

    Raises:
        BestError: what they reach stands there, but damaged.
    """
    weights, record = best_files(prefix)
    if not weights.is_file() or not record.is_file():
        return None
    try:
        best = Best(**parse_json(record.read_bytes()))
        if type(best.iteration) is int and type(best.output) is str and math.isfinite(best.value):
            return best
    except (ValueError, TypeError) as error:
        raise BestError(_DAMAGED.format(record, f" ({error})", weights)) from error
    raise BestError(_DAMAGED.format(record, "", weights))


def write_best(prefix: str | Path, net: caffe.Net, best: Best) -> None:
    """Write the weights of `net`, and what they reach, in place of those that stand there.

    Raises:
        OSError: a file cannot be written; then both are as they were.
    """
    weights, record = best_files(prefix)
    text = json.dumps(asdict(best)) + "\n"
    write_files({weights: lambda path: net.save(str(path)), record: text.encode()}, force=True)

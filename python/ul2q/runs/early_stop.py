"""That a run has ended before its solver's max_iter, and why: early_stop.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ul2q.errors import UserError
from ul2q.runs.layout import EARLY_STOP
from ul2q.util.json_text import parse_json
from ul2q.util.output_file import write_file

if TYPE_CHECKING:
    from pathlib import Path


class EarlyStopError(UserError, ValueError):
    """A damaged early_stop.json."""


@dataclass(frozen=True)
class EarlyStop:
    """Where a run has ended.

    Attributes:
        iteration: how many iterations it has done.
        reason: why it did no more.
    """

    iteration: int
    reason: str

    def save(self, run: Path) -> None:
        """Write early_stop.json into a run's folder."""
        write_file(run / EARLY_STOP, (json.dumps(asdict(self)) + "\n").encode(), force=True)


def read_early_stop(run: Path) -> EarlyStop | None:
    """Where the run in a folder has ended early; None if it has not.

    Raises:
        EarlyStopError: the file is damaged.
    """
    path = run / EARLY_STOP
    if not path.is_file():
        return None
    try:
        return EarlyStop(**parse_json(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise EarlyStopError(f"{path} is damaged: {error}; mend or remove it") from error


def forget_early_stop(run: Path) -> None:
    """Take note that a run goes on, if it had ended early."""
    (run / EARLY_STOP).unlink(missing_ok=True)

"""Tells how a sweep goes: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TextIO

from ul2q.runs.progress import read_progress
from ul2q.runs.record import DONE, FAILED, RUNNING, STOPPED, WAITING
from ul2q.util.progress import clock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ul2q.runs.record import Record

_INTERVAL = 1.0  # seconds between two drawings of the table
_ORDER = (RUNNING, FAILED, STOPPED, DONE, WAITING)
_UP_AND_CLEAR = "\x1b[{}A\x1b[J"  # goes up so many lines, and clears all below


class Display:
    """Hears how a sweep goes; this one keeps it to itself."""

    def say(self, line: str) -> None:
        """Hear something that the user should know."""

    def changed(self, record: Record) -> None:
        """Hear that a run has begun or ended."""

    def tick(self) -> None:
        """Hear that some time has passed."""

    def close(self) -> None:
        """Hear that nothing more comes."""


class Lines(Display):
    """Prints a line whenever a run begins or ends."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream

    def say(self, line: str) -> None:
        """Print the line."""
        print(line, file=self._stream, flush=True)

    def changed(self, record: Record) -> None:
        """Print the run's status, and how it ended."""
        self.say(f"{record.run}: {' '.join(filter(None, (record.status, outcome(record))))}")


class LiveTable(Lines):
    """Prints a line whenever a run ends, and below them draws a table as far as there is room."""

    def __init__(
        self,
        stream: TextIO,
        runs: Path,
        records: Sequence[Record],
        iterations: Mapping[str, int],
    ) -> None:
        """Draw on the terminal `stream`.

        Args:
            stream: the terminal.
            runs: the folder of the runs.
            records: the records of all runs, which change while the sweep goes on.
            iterations: how many each run has to do, by its name.
        """
        super().__init__(stream)
        self._runs = runs
        self._records = records
        self._iterations = iterations
        self._drawn = 0  # lines
        self._next = 0.0

    def say(self, line: str) -> None:
        """Print the line above the table."""
        self._erase()
        super().say(line)
        self._draw()

    def changed(self, record: Record) -> None:
        """Draw the table anew."""
        if record.status != RUNNING:
            super().changed(record)
        else:
            self._draw()

    def tick(self) -> None:
        """Draw the table anew if it is time."""
        if time.monotonic() >= self._next:
            self._draw()

    def close(self) -> None:
        """Take the table away."""
        self._erase()
        self._stream.flush()

    def _draw(self) -> None:
        size = os.get_terminal_size(self._stream.fileno())
        columns, height = size.columns or 80, size.lines or 24
        lines = [line[: columns - 1] for line in self._table(max(height - 3, 1))]
        self._erase()
        self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()
        self._drawn = len(lines)
        self._next = time.monotonic() + _INTERVAL

    def _erase(self) -> None:
        if self._drawn:
            self._stream.write(_UP_AND_CLEAR.format(self._drawn))
            self._drawn = 0

    def _table(self, room: int) -> list[str]:
        ordered = sorted(self._records, key=lambda record: _ORDER.index(record.status))
        counts = {s: sum(record.status == s for record in ordered) for s in _ORDER}
        summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        width = max(len(record.run) for record in ordered)
        rows = [
            f"{record.run:{width}}  {record.status:7}  {self._state(record)}".rstrip()
            for record in ordered[:room]
        ]
        return [f"{len(ordered)} runs: {summary}", *rows]

    def _state(self, record: Record) -> str:
        if record.status != RUNNING:
            return outcome(record)
        progress, total = read_progress(self._runs / record.run), self._iterations[record.run]
        parts = [f"{progress.iterations}/{total}"]
        if progress.train_loss is not None:
            parts.append(f"loss {progress.train_loss:.4f}")
        if progress.accuracy is not None:
            parts.append(f"accuracy {progress.accuracy:.4f}")
        if progress.iterations:
            left = progress.seconds / progress.iterations * (total - progress.iterations)
            parts.append(f"{clock(left)} left")
        return "  ".join(parts)


def make_display(
    stream: TextIO, runs: Path, records: Sequence[Record], iterations: Mapping[str, int]
) -> Display:
    """A live table if `stream` is a terminal, else plain lines."""
    if stream.isatty():
        return LiveTable(stream, runs, records, iterations)
    return Lines(stream)


def outcome(record: Record) -> str:
    """How a run has ended, or where it has stopped; "" if it has not begun."""
    if record.status == FAILED:
        return record.error or ""
    parts = []
    if record.status == DONE:
        if record.accuracy is not None:
            parts.append(f"accuracy {record.accuracy:.4f}")
        if record.loss is not None:
            parts.append(f"loss {record.loss:.4f}")
    if record.status in (DONE, STOPPED):
        parts.append(f"{record.iterations} iterations in {clock(record.seconds)}")
    return "  ".join(parts)

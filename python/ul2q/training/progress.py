"""Reports on a training run: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

from ul2q.runs.log import label_of_test
from ul2q.util.console import print_warning
from ul2q.util.progress import clock, terminal_bar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Step:
    """What a report has of an iteration.

    Attributes:
        iteration: its number, from 0 as Caffe counts.
        done: how many updates the weights have had after it.
        loss: its train loss, averaged as the solver's `average_loss` says.
        learning_rate: the rate of its update.
        display: whether the solver's `display` asks for a report on it.
    """

    iteration: int
    done: int
    loss: float
    learning_rate: float
    display: bool


class Reporter:
    """What training tells while it runs. This base class keeps all but warnings to itself."""

    def start(self, first: int, last: int) -> None:
        """Hear that training goes from iteration `first` up to, not including, `last`."""

    def step(self, step: Step) -> None:
        """Hear of an iteration that is done."""

    def test(self, iteration: int, outputs: Sequence[Mapping[str, float]]) -> None:
        """Hear the mean outputs of each test net after `iteration` updates."""

    def note(self, message: str) -> None:
        """Hear something that the user should know."""

    def warning(self, message: str) -> None:
        """Hear what went wrong, though the run goes on; this one tells the logger "ul2q"."""
        logging.getLogger("ul2q").warning(message)

    def close(self) -> None:
        """Hear that no more reports come."""


class Lines(Reporter):
    """Plain lines, one at each display interval and one for each test net."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream

    def start(self, first: int, last: int) -> None:
        """Start the clock."""
        self._first, self._last, self._done = first, last, first
        self._began = time.perf_counter()

    def step(self, step: Step) -> None:
        """Print loss, learning rate, iterations a second and the time left."""
        self._done = step.done
        if not step.display:
            return
        seconds = time.perf_counter() - self._began
        rate = (step.done - self._first) / seconds
        left = (self._last - step.done) / rate if rate else 0.0
        self._print(
            f"iteration {step.iteration}/{self._last}  loss {step.loss:.4f}  "
            f"lr {step.learning_rate:g}  {rate:.1f} it/s  {clock(left)} left"
        )

    def test(self, iteration: int, outputs: Sequence[Mapping[str, float]]) -> None:
        """Print a line for each test net; the clock starts anew if no iteration is done yet.

        Later tests are in the time that an iteration takes on average, but one in front of the
        first iterations would let all that is left look as slow.
        """
        for line in _test_lines(iteration, outputs):
            self._print(line)
        if self._done == self._first:
            self._began = time.perf_counter()

    def note(self, message: str) -> None:
        """Print the message."""
        self._print(message)

    def warning(self, message: str) -> None:
        """Print the warning on stderr."""
        print_warning(message)

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class Bar(Reporter):
    """A live bar with loss, learning rate, iterations a second and time left; tests are lines."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on the terminal `stream`."""
        self._stream = stream

    _bar: Any = None

    def start(self, first: int, last: int) -> None:
        """Draw the bar."""
        self._first = first
        self._bar = terminal_bar(self._stream, total=last, initial=first)

    def step(self, step: Step) -> None:
        """Move the bar."""
        self._bar.set_postfix_str(f"loss {step.loss:.4f}, lr {step.learning_rate:g}", refresh=False)
        self._bar.update(step.done - self._bar.n)

    def test(self, iteration: int, outputs: Sequence[Mapping[str, float]]) -> None:
        """Print a line for each test net above the bar; its clock is that of `Lines`."""
        for line in _test_lines(iteration, outputs):
            self._bar.write(line, file=self._stream)
        if self._bar.n == self._first:
            self._bar.unpause()

    def note(self, message: str) -> None:
        """Print the message above the bar."""
        tqdm.write(message, file=self._stream)

    def warning(self, message: str) -> None:
        """Print the warning on stderr, above the bar."""
        with tqdm.external_write_mode(file=sys.stderr):
            print_warning(message)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def reporter(stream: TextIO) -> Reporter:
    """A bar if `stream` is a terminal, else plain lines."""
    return Bar(stream) if stream.isatty() else Lines(stream)


def _test_lines(iteration: int, outputs: Sequence[Mapping[str, float]]) -> list[str]:
    lines = []
    for i, net in enumerate(outputs):
        name = label_of_test(i, len(outputs))
        values = "  ".join(f"{output} {value:.4f}" for output, value in net.items())
        lines.append(f"iteration {iteration}  {name} {values}")
    return lines

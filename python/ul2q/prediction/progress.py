"""Predictions as they come, for people: a line an image, or a bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ul2q.prediction.predictor import BadImage, Prediction
from ul2q.prediction.results import prediction_line
from ul2q.util.console import print_warning
from ul2q.util.progress import terminal_bar

if TYPE_CHECKING:
    from typing import TextIO


class Display:
    """Prints predictions on `output`, and a bar on `errors` where the lines are not seen."""

    def __init__(self, output: TextIO, errors: TextIO, *, lines: bool) -> None:
        """Print on these streams; without `lines` warnings and the bar only."""
        self._output = output
        self._errors = errors
        self._lines = lines
        self._has_bar = errors.isatty() and not (lines and output.isatty())
        self._bar: Any = None

    def prediction(self, prediction: Prediction | BadImage) -> None:
        """Print one."""
        if isinstance(prediction, BadImage):
            if self._bar is not None:
                self._bar.clear()
            print_warning(prediction.reason)
        elif self._lines:
            line = prediction_line(prediction)
            print(line.encode("utf-8", "backslashreplace").decode(), file=self._output)

    def progress(self, done: int, total: int) -> None:
        """Show how many are done."""
        if self._has_bar and self._bar is None:
            self._bar = terminal_bar(self._errors, total=total, name="images")
        if self._bar is not None:
            self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Take leave of the bar."""
        if self._bar is not None:
            self._bar.close()

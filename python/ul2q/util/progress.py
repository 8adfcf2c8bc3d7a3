"""How far something is, on a terminal or as plain lines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable


def import_progress(stream: TextIO) -> Callable[[int, int, str], None]:
    """A `progress` for the data importers: a bar for each part on a terminal, else a line."""
    if not stream.isatty():

        def line(done: int, total: int, what: str) -> None:
            if done == total:
                print(f"{what}: {total}", file=stream, flush=True)

        return line

    bars: dict[str, Any] = {}

    def bar(done: int, total: int, what: str) -> None:
        if what not in bars:
            bars[what] = tqdm(total=total, desc=what, file=stream, **bar_width(stream))
        bars[what].update(done - bars[what].n)
        if done == total:
            bars.pop(what).close()

    return bar


def bar_width(stream: TextIO) -> dict[str, Any]:
    """Tqdm's options for a bar as wide as the terminal, or 80 if the terminal does not know."""
    known = os.get_terminal_size(stream.fileno()).columns > 0
    return {"dynamic_ncols": True} if known else {"ncols": 80}


def clock(seconds: float) -> str:
    """E.g. 3:07 or 1:00:00."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

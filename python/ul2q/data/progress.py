"""How far an import has come, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ul2q.util.progress import terminal_bar

if TYPE_CHECKING:
    from typing import TextIO

    from ul2q.data.lmdb_writer import Progress


def import_progress(stream: TextIO) -> Progress:
    """A `progress` for the importers: a bar for each LMDB on a terminal, else a line for it."""
    if not stream.isatty():

        def line(done: int, total: int, what: str) -> None:
            if done == total:
                print(f"{what}: {total}", file=stream, flush=True)

        return line

    bars: dict[str, Any] = {}

    def bar(done: int, total: int, what: str) -> None:
        if what not in bars:
            bars[what] = terminal_bar(stream, total=total, name=what)
        bars[what].update(done - bars[what].n)
        if done == total:
            bars.pop(what).close()

    return bar

"""What a terminal shows of a run."""

from __future__ import annotations

import os
import pty
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ul2q.training.progress import Reporter, Step, reporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    import pytest


@contextmanager
def terminal() -> Iterator[tuple[TextIO, list[str]]]:
    """A terminal to write to, and what it was sent when the block ends."""
    master, slave = pty.openpty()
    shown: list[str] = []
    with os.fdopen(slave, "w") as stream:
        yield stream, shown
    parts = []
    with suppress(OSError):  # EIO, when all has been read
        while part := os.read(master, 1 << 16):
            parts.append(part)
    shown.append(b"".join(parts).decode())
    os.close(master)


def test_notes_and_warnings_stand_above_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with terminal() as (stream, shown):
        bar = reporter(stream)
        bar.note("going on from a")
        bar.warning("snapshot b is damaged")  # before the bar is drawn
        bar.start(3, 10)
        bar.step(Step(3, 4, 0.5, 0.1, display=True))
        bar.test(4, [{"accuracy": 0.25}])
        bar.warning("NO SNAPSHOT")
        bar.close()
    (text,) = shown
    assert text.index("going on from a") < text.index("3/10")
    assert "iteration 4  test accuracy 0.2500" in text
    assert capsys.readouterr().err == (
        "ul2q: warning: snapshot b is damaged\nul2q: warning: NO SNAPSHOT\n"
    )


def test_a_bar_that_was_never_drawn_can_be_closed() -> None:
    with terminal() as (stream, shown):
        reporter(stream).close()
        print("end", file=stream)
    assert shown == ["end\r\n"]


def test_without_a_stream_warnings_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    quiet = Reporter()
    quiet.note("a note")
    quiet.warning("a warning")
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("ul2q", "a warning")
    ]

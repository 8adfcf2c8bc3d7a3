"""What a terminal shows of a run."""

from __future__ import annotations

import io
import os
import pty
import re
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


class Clock:
    """A clock that is told the time, in seconds."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def one_slow_test_and_two_iterations(told: Reporter, clock: Clock) -> None:
    """A minute's test, then two iterations of half a second out of 100."""
    told.start(3, 103)
    clock.now += 60
    told.test(3, [{"accuracy": 0.1}])
    clock.now += 0.5
    told.step(Step(3, 4, 0.5, 0.1, display=True))
    clock.now += 0.5
    told.step(Step(4, 5, 0.5, 0.1, display=True))


def test_the_time_left_does_not_count_the_first_test(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, stream = Clock(), io.StringIO()
    monkeypatch.setattr("ul2q.training.progress.time.perf_counter", clock)
    lines = reporter(stream)
    one_slow_test_and_two_iterations(lines, clock)
    clock.now += 3
    lines.test(5, [{"accuracy": 0.2}])
    lines.step(Step(5, 6, 0.5, 0.1, display=True))
    _, first, second, _, third = stream.getvalue().splitlines()
    assert first.endswith("  2.0 it/s  0:50 left")  # 99 of half a second
    assert second.endswith("  2.0 it/s  0:49 left")
    assert third.endswith("  0.8 it/s  2:09 left")  # 97 of 4/3 seconds: later tests count


def test_the_bar_does_not_count_the_first_test(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("tqdm.std.time", clock)
    with terminal() as (stream, shown):
        bar = reporter(stream)
        one_slow_test_and_two_iterations(bar, clock)
        bar.close()
    states = re.findall(r"\| (\d+)/103 \[(\S+)<(\S+),\s+([^\s,]+)", shown[0])
    assert states[-1] == ("5", "00:01", "00:49", "2.00it/s")


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

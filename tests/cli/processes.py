"""`ul2q` as a process of its own, to be sent signals or to be shown a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.processes import UL2Q

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


PATIENCE = 60.0  # seconds


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`ul2q` with these arguments as a process, which does not outlive the block."""
    with subprocess.Popen(
        [*UL2Q, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_rows(process: subprocess.Popen[str], log: Path, rows: int) -> None:
    end = time.monotonic() + PATIENCE
    while not (log.exists() and log.read_text().count("\n") > rows):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "the run writes no log"
        time.sleep(0.02)


def on_a_terminal(*arguments: str, columns: int) -> str:
    """What `ul2q` with these arguments writes to a terminal of this width."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    with subprocess.Popen([*UL2Q, *arguments], stdout=inside) as process:
        os.close(inside)
        output = b""
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # how Linux says that the other side has closed
                break
            if not piece:
                break
            output += piece
    os.close(terminal)
    assert process.returncode == 0
    return output.decode()

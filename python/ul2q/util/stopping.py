"""Turn signals, or a file, into a request that is met at a safe point; let SIGTERM end a child."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_INTERVAL = 0.5  # seconds between two looks for the file


class StopRequested(Exception):  # noqa: N818  (a request, not an error)
    """A signal asked for the end; `signum` says which."""

    def __init__(self, signum: int) -> None:
        """Say which signal asked, by its number."""
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class StopRequest:
    """What has been asked for so far."""

    def __init__(self) -> None:
        """Begin without a request."""
        self._signum: int | None = None
        self._file: Path | None = None
        self._next_look = 0.0

    def watch(self, file: Path | None) -> None:
        """From now on let a file that appears here ask for a stop, too; what is there is old."""
        self._file = file
        if file is not None:
            file.unlink(missing_ok=True)

    @property
    def asked(self) -> int | None:
        """The number of the signal that asked for a stop, SIGTERM for the file; None if none did.

        The file is looked for twice a second, and removed.
        """
        if self._file is not None and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _INTERVAL
            if self._file.exists():
                self._file.unlink(missing_ok=True)
                self._signum = signal.SIGTERM
        return self._signum

    def ask(self, signum: int) -> None:
        """Ask for a stop, on behalf of the signal with number `signum`."""
        self._signum = signum

    def check(self) -> None:
        """Raise StopRequested if a stop was asked for."""
        if (signum := self.asked) is not None:
            raise StopRequested(signum)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the block, SIGINT, SIGTERM and SIGUSR1 only leave a request behind.

    A signal that the process ignores, as one that a shell runs in the background does SIGINT,
    stays ignored. Outside the main thread, where Python delivers no signals, the request never
    comes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def handle(signum: int, _frame: FrameType | None) -> None:
        request.ask(signum)

    previous = {
        s: signal.signal(s, handle) for s in _SIGNALS if signal.getsignal(s) is not signal.SIG_IGN
    }
    try:
        yield request
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def stop_with_parent(parent: int, signum: int = signal.SIGTERM) -> None:
    """Let the kernel send a signal to this process when its parent ends, be it killed.

    Args:
        parent: the parent's process number. If it has ended already, this process exits with the
            status of the signal.
        signum: the signal.

    Raises:
        OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signum) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        sys.exit(128 + signum)

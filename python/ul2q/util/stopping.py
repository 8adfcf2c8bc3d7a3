"""Turn SIGINT and SIGTERM into a request that is met at a safe point; let SIGTERM end a child."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_PR_SET_PDEATHSIG = 1  # of <sys/prctl.h>


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

    def ask(self, signum: int) -> None:
        """Ask for a stop, on behalf of the signal with number `signum`."""
        self._signum = signum

    def check(self) -> None:
        """Raise StopRequested if a stop was asked for."""
        if self._signum is not None:
            raise StopRequested(self._signum)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within the block, SIGINT and SIGTERM only leave a request behind.

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
        s: signal.signal(s, handle)
        for s in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(s) is not signal.SIG_IGN
    }
    try:
        yield request
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)


def stop_with_parent(parent: int) -> None:
    """Let the kernel send SIGTERM to this process when its parent ends, be it killed.

    Args:
        parent: the parent's process number. If it has ended already, this process exits with the
            status of SIGTERM.

    Raises:
        OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        sys.exit(128 + signal.SIGTERM)

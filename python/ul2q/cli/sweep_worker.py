"""`python -m ul2q.cli.sweep_worker PARENT ARGUMENTS…`: `ul2q ARGUMENTS…` as a part of a sweep.

When the process PARENT ends, be it killed, the kernel sends SIGTERM: a training run then writes a
snapshot and ends, rather than going on unseen.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from ul2q.cli import main

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def _end_with(parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:  # it has ended already
        sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    _end_with(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))

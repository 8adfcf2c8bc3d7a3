"""`python -m ul2q.cli.sweep_worker PARENT ARGUMENTS…`: `ul2q ARGUMENTS…` as a part of a sweep.

When the process PARENT ends, be it killed, the kernel sends SIGTERM: a training run then writes a
snapshot and ends, rather than going on unseen.
"""

from __future__ import annotations

import sys

from ul2q.cli import main
from ul2q.distributed.launcher import forget_launcher
from ul2q.util.stopping import stop_with_parent

if __name__ == "__main__":
    forget_launcher()  # a sweep, or Dask's worker, may be a task of SLURM's
    stop_with_parent(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))

"""Random kills of ranks and of mpiexec, one after the other in the same run.

`UL2Q_KILLS=100 make test-distributed` does a hundred; UL2Q_KILLS_SEED chooses others.
"""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.distributed.mpi import every_mpi, needs_mpi, only_all
from tests.distributed.test_training import (
    blobs_of,
    descendants,
    is_rank,
    newest,
    varied_solver,
    wait_for,
)
from tests.processes import UL2Q
from tests.small_nets import assert_same

if TYPE_CHECKING:
    from tests.conftest import Workspace
    from tests.distributed.mpi import Mpi

KILLS = int(os.environ.get("UL2Q_KILLS", "5"))
SEED = int(os.environ.get("UL2Q_KILLS_SEED", "1"))
RANKS = 2

pytestmark = [needs_mpi, only_all]


def is_beyond(run: Path, iteration: int) -> bool:
    return newest(run) > iteration


def are_gone(ranks: list[int]) -> bool:
    return not any(map(is_rank, ranks))


@every_mpi
def test_a_run_outlives_random_kills(workspace: Workspace, mpi: Mpi) -> None:
    solver, run = varied_solver(workspace), Path("run")
    chance = random.Random(SEED)
    reached = []
    for _ in range(KILLS):
        endless = ("--set", "max_iter=1000000", "--run", run, "--resume")
        with mpi.started(RANKS, *UL2Q, "train", solver, *endless) as process:
            if chance.random() < 0.8:  # else it is killed as it begins
                wait_for(partial(is_beyond, run, newest(run)), 300, process)
            time.sleep(chance.uniform(0, 0.5))
            ranks = [pid for pid in descendants(process.pid) if is_rank(pid)]
            os.kill(chance.choice([process.pid, *ranks]), signal.SIGKILL)
            process.communicate(timeout=30)
            wait_for(partial(are_gone, ranks), 30)
        reached.append(newest(run))
    assert len(set(reached)) > KILLS / 2  # it went on
    end = reached[-1] + 25
    more = ("--set", f"max_iter={end}")
    told = mpi.train(RANKS, solver, *more, "--run", run, "--resume", timeout=600)
    assert "cannot be used" not in told
    mpi.train(RANKS, solver, *more, "--run", "whole", timeout=600)
    assert_same(
        blobs_of(run / f"mini_iter_{end}.caffemodel", Path("net.prototxt")),
        blobs_of(Path(f"whole/mini_iter_{end}.caffemodel"), Path("net.prototxt")),
    )

"""What the environment says of the program that started this process; mpi4py is not needed."""

from __future__ import annotations

import os

# Open MPI; MPICH, Intel MPI and SLURM's pmi2; MVAPICH2.
_SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
# `srun --mpi=pmix` tells each process its rank alone.
_RANK = "PMIX_RANK"


def under_mpi() -> bool:
    """Whether mpiexec, or srun with PMI, has started this process."""
    return any(name in os.environ for name in (*_SIZES, _RANK))


def forget_launcher() -> None:
    """Let this process be one on its own, although mpiexec has started what started it."""
    for name in (*_SIZES, _RANK):
        os.environ.pop(name, None)


def announced_size() -> int | None:
    """How many processes it says that it has started; None if it does not say."""
    for name in _SIZES:
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    return None

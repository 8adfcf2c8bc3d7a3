"""Trains one net in several processes, on one machine or many, which MPI has started.

`ul2q train` under `mpiexec` comes here; `ul2q.distributed.train` is the same for Python. It needs
mpi4py, `pip install 'ul2q[mpi]'`, and an MPI library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ul2q.distributed.train import train
    from ul2q.distributed.world import World

__all__ = ["World", "train"]

_HOMES = {"World": "ul2q.distributed.world", "train": "ul2q.distributed.train"}


def __getattr__(name: str) -> object:
    """Load what is asked for: whether MPI is there can be known without mpi4py and libcaffe."""
    from importlib import import_module  # noqa: PLC0415

    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ul2q.distributed' has no attribute {name!r}")

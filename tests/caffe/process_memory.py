"""The memory that this process holds."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

STATM = Path("/proc/self/statm")

measures_memory = pytest.mark.skipif(
    not STATM.exists() or "libasan" in os.environ.get("LD_PRELOAD", ""),
    reason="reads Linux's /proc; AddressSanitizer holds freed memory back",
)


def resident_bytes() -> int:
    """Return the size of the process in memory."""
    pages = int(STATM.read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def growth(use: Callable[[], object], *, warm_up: int, calls: int) -> int:
    """Return the bytes by which the process grows in `calls` calls of `use`.

    `warm_up` calls before them fill what the process keeps for good.
    """
    for _ in range(warm_up):
        use()
    gc.collect()
    before = resident_bytes()
    for i in range(calls):
        use()
        if i % 100 == 0:
            gc.collect()
    gc.collect()
    return resident_bytes() - before

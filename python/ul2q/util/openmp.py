"""How Caffe's threads wait for each other."""

from __future__ import annotations

import os


def bound_spinning() -> None:
    """Let OpenMP's threads spin for microseconds instead of milliseconds before they sleep.

    By default libgomp's threads spin through some milliseconds between two parallel loops. On a
    machine whose cores other processes want too, every loop then waits for a time slice, and
    training slows down tens of times over; 10,000 turns keep the full speed of an idle machine.

    libgomp reads the setting when it is loaded, so this goes before the import of libcaffe. What
    the user has set in OMP_WAIT_POLICY or GOMP_SPINCOUNT holds.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")

"""Whether an installation computes as it should on this machine, and what to do where not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.doctor import libraries, machine, trials

if TYPE_CHECKING:
    from pathlib import Path

    from ul2q.doctor.check import Check


def examine(folder: Path) -> list[Check]:
    """All checks. A failure means that something does not work that does on every other machine.

    Warnings are about speed. None of the checks raises; files are written below a temporary folder
    in `folder`, which is removed.

    Args:
        folder: where data and runs are to go.
    """
    return [
        libraries.versions(),
        libraries.interpreter(),
        libraries.protobuf(),
        machine.processor(),
        libraries.openblas(),
        libraries.onednn(),
        machine.threads(),
        machine.memory(),
        machine.gpu(),
        trials.engines(),
        trials.free_space(folder),
        trials.records(folder),
        trials.weights(folder),
        *libraries.optional(),
    ]

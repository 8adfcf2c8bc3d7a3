"""How a run can end early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


class TrainingError(UserError, RuntimeError):
    """A run that cannot begin or cannot go on."""


class Interrupted(KeyboardInterrupt):
    """A signal, or the file `stop`, ended a run, after its iteration and a snapshot.

    Attributes:
        signum: the signal.
        iteration: how many iterations are done.
        snapshot: the solver state to go on from.
        command: the shell command to go on.
    """

    def __init__(self, signum: int, iteration: int, snapshot: Path, command: str) -> None:
        """Compose the message; the arguments are the attributes."""
        super().__init__(
            f"interrupted after {iteration} iterations, snapshot {snapshot}; go on with: {command}"
        )
        self.signum = signum
        self.iteration = iteration
        self.snapshot = snapshot
        self.command = command

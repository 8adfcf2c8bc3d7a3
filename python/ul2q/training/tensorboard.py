"""Writes TensorBoard's event files by tensorboardX (`pip install 'ul2q[tensorboard]'`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ul2q.errors import UserError
from ul2q.runs.log import ITERATION, SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class TensorBoardError(UserError, ImportError):
    """The package that writes event files is missing."""


class TensorBoardLog:
    """Writes the numbers of log.csv as scalars, under the names of its columns."""

    def __init__(self, folder: Path, *, resume_at: int | None = None) -> None:
        """Begin an event file in `folder`.

        Args:
            folder: the folder, which TensorBoard shows as one run.
            resume_at: the iteration that is still to come of a run that goes on; TensorBoard
                forgets what earlier files have from there on. None for a new run.

        Raises:
            TensorBoardError: tensorboardX is not installed.
        """
        check_installed()
        from tensorboardX import SummaryWriter  # noqa: PLC0415 - an extra

        # Its file names have a resolution of a second.
        suffix = f".{os.getpid()}.{resume_at or 0}"
        self._writer = SummaryWriter(
            str(folder), purge_step=resume_at, flush_secs=10, filename_suffix=suffix
        )

    def write(self, row: Mapping[str, float]) -> None:
        """Write the numbers of a row of the log, but for its iteration and seconds."""
        for name, value in row.items():
            if name not in {ITERATION, SECONDS}:
                self._writer.add_scalar(name, value, int(row[ITERATION]))

    def close(self) -> None:
        """Write what is still kept, and close the file."""
        self._writer.close()


def check_installed() -> None:
    """Raise TensorBoardError if tensorboardX is missing."""
    try:
        import tensorboardX  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise TensorBoardError(
            "--tensorboard needs the package tensorboardX: pip install 'ul2q[tensorboard]', "
            "or pip install tensorboardX"
        ) from error

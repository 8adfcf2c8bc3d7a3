"""The log of how well a run's quantised blobs stand for their float masters: quantization.csv.

It has the columns iteration and seconds of log.csv, and for each blob those of `STATISTICS`, e.g.
conv1[0].scale for the weights of the layer conv1, conv1[1].scale for its bias, and act1.scale for a
QuantizedActivation layer. `ul2q.statistics.BlobStatistics` says what they are; loss is the mean
squared error of the quantised values. A row stands for the blobs after that iteration; sign_flips
counts from the row before, at first from the start.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ul2q.runs.log import ITERATION, SECONDS, LogWriter

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ul2q.runs.log import Log
    from ul2q.statistics import BlobStatistics

STATISTICS = ("scale", "shift", "loss", "lowest_share", "highest_share", "sign_flips")

_MSE_COLUMN = re.compile(r"(.+)\.loss")


class QuantizationLogWriter:
    """Writes a row of statistics at a time."""

    def __init__(self, path: Path, blobs: Iterable[str], *, resume_at: int | None = None) -> None:
        """Begin a log, or go on with one from iteration `resume_at`; see LogWriter.

        Args:
            path: quantization.csv.
            blobs: the names of all that there will be statistics of; see `blob_name`.
            resume_at: the iteration that is still to come; None for a new log.

        Raises:
            RunLogError: as LogWriter does.
        """
        columns = [f"{blob}.{name}" for blob in blobs for name in STATISTICS]
        self._log = LogWriter(path, [ITERATION, SECONDS, *columns], resume_at=resume_at)

    def write(self, iteration: int, seconds: float, blobs: Iterable[BlobStatistics]) -> None:
        """Append a row; what is None stays empty."""
        row: dict[str, float] = {ITERATION: iteration, SECONDS: seconds}
        for blob in blobs:
            for name in STATISTICS:
                value = getattr(blob, name)
                if value is not None:
                    row[f"{blob_name(blob)}.{name}"] = value
        self._log.write(row)

    def sync(self) -> None:
        """Wait until the disk has the rows."""
        self._log.sync()

    def close(self) -> None:
        """Close the file; one without a row goes."""
        self._log.close()


def blob_name(blob: BlobStatistics) -> str:
    """The name of a blob in the columns: "conv1[0]"; of an activation that of its layer."""
    return blob.layer if blob.index is None else f"{blob.layer}[{blob.index}]"


def mse_columns(log: Log) -> dict[str, str]:
    """The columns of a quantization.csv that hold mean squared errors, by the blobs' names."""
    matches = ((column, _MSE_COLUMN.fullmatch(column)) for column in log.columns)
    return {match[1]: column for column, match in matches if match}

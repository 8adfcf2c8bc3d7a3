"""The CSV log of how well a run's quantised blobs stand for their float masters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.nets.layer_types import ACTIVATION
from ul2q.statistics import QuantizationStatistics
from ul2q.training.errors import TrainingError
from ul2q.training.runlog import RunLog

if TYPE_CHECKING:
    from pathlib import Path

    from caffe._caffe import Net

    from ul2q.statistics import BlobStatistics

_COLUMNS = ("scale", "shift", "loss", "lowest_share", "highest_share", "sign_flips")


class StatisticsLog:
    """A CSV file of the statistics: a row a call, the columns <layer>[<blob>].<statistic>.

    Those of an activation are <layer>.<statistic>. The first columns are `iteration` and
    `seconds`, as in log.csv; a row stands for the blobs after that iteration. sign_flips counts
    from the row before, at first from the start.
    """

    def __init__(self, net: Net, path: Path, *, resume_at: int | None = None) -> None:
        """Begin a log, or go on with one from iteration `resume_at`; see RunLog.

        Raises:
            RunLogError: as RunLog does.
            TrainingError: a quantised blob holds NaN or infinity.
        """
        self._statistics = QuantizationStatistics(net)
        try:
            blobs = [_column(row) for row in self._statistics()]
        except ValueError as error:
            raise TrainingError(f"the run cannot begin: {error}") from error
        # Which have nothing to tell before the first pass.
        blobs += [
            name
            for name, layer in zip(net._layer_names, net.layers, strict=True)
            if layer.type == ACTIVATION and name not in blobs
        ]
        columns = [f"{blob}.{name}" for blob in blobs for name in _COLUMNS]
        self._log = RunLog(path, ["iteration", "seconds", *columns], resume_at=resume_at)

    def write(self, iteration: int, seconds: float) -> None:
        """Append a row."""
        row: dict[str, float] = {"iteration": iteration, "seconds": seconds}
        for blob in self._statistics():
            for name in _COLUMNS:
                value = getattr(blob, name)
                if value is not None:
                    row[f"{_column(blob)}.{name}"] = value
        self._log.write(row)

    def close(self) -> None:
        """Close the file."""
        self._log.close()


def _column(row: BlobStatistics) -> str:
    return row.layer if row.index is None else f"{row.layer}[{row.index}]"

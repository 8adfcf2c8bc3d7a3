"""What calibration does, and how."""

from __future__ import annotations

from dataclasses import dataclass

from ul2q.calibration.errors import CalibrationError
from ul2q.calibration.ranges import RANGES

AVERAGE = "average"
"""The range that training gives: the mean of the layer's own fit to each batch."""

STEPS = ("equalize", "correct_bias", "batch_norm", "round_weights")
"""The fields of CalibrationOptions that change weights, in the order in which they are tried."""


@dataclass(frozen=True)
class CalibrationOptions:
    """The steps of `calibrate_net`.

    Attributes:
        ranges: of activations: "mse", "minmax", "percentile" or "average".
        percentile: of "percentile", above 50, up to 100.
        equalize: scale the channels between layers to ranges of one size.
        correct_bias: move biases by what quantisation moves the mean of each channel.
        batch_norm: move the averages of BatchNorm layers by what quantisation moves them.
        round_weights: round each weight up or down so that the layer's output is closest.
    """

    ranges: str = "mse"
    percentile: float = 99.9
    equalize: bool = False
    correct_bias: bool = False
    batch_norm: bool = False
    round_weights: bool = False

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            CalibrationError: one is not valid.
        """
        known = (*RANGES, AVERAGE)
        if self.ranges not in known:
            raise CalibrationError(f"ranges is {self.ranges!r}; must be one of {', '.join(known)}")
        if not 50 < self.percentile <= 100:
            raise CalibrationError(
                f"percentile is {self.percentile}; must be above 50 and at most 100"
            )

    @classmethod
    def all(cls, ranges: str = "mse") -> CalibrationOptions:
        """Every step that helps a float net."""
        return cls(ranges, equalize=True, correct_bias=True, batch_norm=True, round_weights=True)

    @property
    def changes_weights(self) -> bool:
        """Whether more than the scales of activations changes."""
        return any(getattr(self, step) for step in STEPS)

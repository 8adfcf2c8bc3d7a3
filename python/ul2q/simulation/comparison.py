"""Run each method at each width on each of the data, and measure its mean squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.quantizers import method_table, quantize
from ul2q.simulation.data import simulated_values
from ul2q.simulation.settings import SimulationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ul2q.simulation.settings import Simulation


@dataclass(frozen=True)
class Outcome:
    """A method at one width on one of the data.

    Attributes:
        data: as in `Simulation.data`.
        method: its name.
        bits: the width.
        loss: mean squared error, in the data's units squared.
        share: `loss` as a share of the data's variance.
        raw, quantised: the corners of the staircase of values and quantised values, ascending:
            the first and the last value of each level. 1-D, of one length.
    """

    data: str
    method: str
    bits: int
    loss: float
    share: float
    raw: NDArray[Any]
    quantised: NDArray[Any]


def simulate(simulation: Simulation) -> tuple[Outcome, ...]:
    """Run every method at every width on all data, in that order from the last on.

    Raises:
        FileNotFoundError: there is no such model.
        WeightsError: a model is damaged.
        SimulationError: it has no such layer, or a layer's weights are all equal, NaN, infinite
            or too large; or the distributions' values are too large.
    """
    outcomes = []
    for data in dict.fromkeys(simulation.data):
        values = np.sort(simulated_values(simulation, data), axis=None)
        if values[0] == values[-1]:
            raise SimulationError(f"{data}: all values are equal; there is nothing to compare")
        for method in dict.fromkeys(simulation.methods):
            for bits in _widths(method, simulation.bits):
                try:
                    outcomes.append(_outcome(data, values, method, bits))
                except ValueError as error:
                    raise SimulationError(f"{data}: {error}") from error
    return tuple(outcomes)


def _outcome(data: str, values: NDArray[Any], method: str, bits: int) -> Outcome:
    result = quantize(values, bits, method)
    last = np.flatnonzero(np.diff(result.values))  # of each level but the highest
    corners = np.unique(np.concatenate(([0], last, last + 1, [len(values) - 1])))
    variance = float(np.var(values, dtype=np.float64))
    return Outcome(
        data=data,
        method=method,
        bits=bits,
        loss=result.loss,
        share=result.loss / variance,
        raw=values[corners],
        quantised=result.values[corners],
    )


def _widths(method: str, bits: Sequence[int]) -> list[int]:
    """The widths that a method is run at: the wanted ones, or the only one that it has."""
    (row,) = (row for row in method_table() if row.name == method)
    return [row.min_bits] if row.bits_are_fixed else sorted(set(bits))

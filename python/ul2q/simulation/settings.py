"""What a simulation compares: methods and widths on data."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, SupportsIndex

from ul2q.errors import UserError
from ul2q.quantizers import methods

if TYPE_CHECKING:
    from collections.abc import Sequence

METHODS = ("ul2q", "fixed_point", "binary", "ternary")
BITS = (1, 2, 4, 8)
DISTRIBUTIONS = ("normal", "laplace", "uniform")

_MODEL_SUFFIX = ".caffemodel:"


class SimulationError(UserError, ValueError):
    """Options that cannot be simulated."""


@dataclass(frozen=True)
class Simulation:
    """What is compared.

    Attributes:
        methods: of `ul2q.methods()`.
        bits: 1 to 16. A method with one width is run at that alone.
        data: each "normal", "laplace", "uniform" or "MODEL.caffemodel:LAYER", the layer's weights
            (its blob 0) as they are.
        mean, sigma: of the distributions, not of layers.
        samples: of the distributions.
        seed: of NumPy's default_rng, for each distribution anew.

    Raises:
        SimulationError: one of them is out of range or unknown.
    """

    methods: Sequence[str] = METHODS
    bits: Sequence[int] = BITS
    data: Sequence[str] = DISTRIBUTIONS
    mean: float = 9.0
    sigma: float = 6.0
    samples: int = 1_000_000
    seed: int = 1

    def __post_init__(self) -> None:
        """Check the options."""
        for name in ("methods", "bits", "data"):
            if isinstance(getattr(self, name), str) or not getattr(self, name):
                raise SimulationError(f"{name} is {getattr(self, name)!r}; must be a list of them")
        for method in self.methods:
            if method not in methods():
                raise SimulationError(f"method {method!r}: must be one of {', '.join(methods())}")
        for bits in self.bits:
            _check_integer("bits", bits, 1, 16)
        for data in self.data:
            if data not in DISTRIBUTIONS and not all(model_and_layer(data)):
                raise SimulationError(
                    f"data {data!r}: must be {', '.join(DISTRIBUTIONS)} or MODEL.caffemodel:LAYER"
                )
        if not math.isfinite(self.mean):
            raise SimulationError(f"mean is {self.mean}; must be a finite number")
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise SimulationError(f"sigma is {self.sigma}; must be a finite number above 0")
        _check_integer("samples", self.samples, 2, 2**40)
        _check_integer("seed", self.seed, 0, 2**64 - 1)


def model_and_layer(data: str) -> tuple[str, str]:
    """The model's path and the layer's name; two empty strings if `data` names no model's layer."""
    model, mark, layer = data.partition(_MODEL_SUFFIX)
    return (model + _MODEL_SUFFIX[:-1], layer) if mark and model else ("", "")


def _check_integer(name: str, value: object, low: int, high: int) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, SupportsIndex)
        or not low <= operator.index(value) <= high
    ):
        raise SimulationError(f"{name} is {value!r}; must be an integer, {low} to {high}")

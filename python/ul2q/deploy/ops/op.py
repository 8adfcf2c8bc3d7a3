"""What all operations of a graph have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from ul2q.deploy.quantized import Weight

Array: TypeAlias = NDArray[Any]
Shape: TypeAlias = tuple[int, ...]


class Op:
    """An operation: its parameters, and `run`, its plain meaning in NumPy.

    `run` gets the inputs as float64 arrays and returns the outputs; it is slow and meant to be
    read. Operations are frozen dataclasses.
    """

    @property
    def weights(self) -> dict[str, Weight]:
        """The trained parameters by name, e.g. "weight" and "bias"."""
        return {}

    def with_weights(self, weights: Mapping[str, Weight]) -> Self:
        """The operation with other values for these parameters."""
        return replace(self, **weights)  # type: ignore[type-var]

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The outputs for these inputs."""
        raise NotImplementedError


def along(array: Array, axis: int, ndim: int) -> Array:
    """An array of one axis, shaped to broadcast along `axis` of an array of `ndim` axes."""
    return np.reshape(array, [-1 if i == axis else 1 for i in range(ndim)])

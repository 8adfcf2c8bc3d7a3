"""A net in fixed-point arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ul2q.deploy.fixed_point.coding import Coding, Grid
    from ul2q.deploy.fixed_point.inputs import Pixels
    from ul2q.deploy.fixed_point.steps import Step
    from ul2q.deploy.ops import Shape


@dataclass(frozen=True)
class Tensor:
    """An array of integers.

    Attributes:
        image: channels, height and width; a vector is an image of one pixel.
        coding: what its integers stand for.
    """

    image: tuple[int, int, int]
    coding: Coding

    @property
    def count(self) -> int:
        """How many integers it has."""
        return int(np.prod(self.image))


@dataclass(frozen=True)
class Input:
    """An input of the graph.

    Attributes:
        tensor: what holds it.
        pixels: how its bytes become values; None: the tensor's coding says so.
        grid: the levels that its values are rounded to; None: those of the coding.
    """

    tensor: str
    pixels: Pixels | None = None
    grid: Grid | None = None


@dataclass(frozen=True)
class Output:
    """An output of the graph.

    Attributes:
        tensor: what holds it.
        shape: in the graph, of an item.
        left_out: the layer behind the tensor that is left to the caller, a Softmax; None: none is.
        axis: of the Softmax, in an item.
    """

    tensor: str
    shape: Shape
    left_out: str | None = None
    axis: int = 0

    def values(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """What the graph gives for what the tensor stands for, items × its image."""
        values = found.reshape(len(found), *self.shape)
        if self.left_out is None:
            return values
        powers = np.exp(values - values.max(self.axis + 1, keepdims=True))
        return np.asarray(powers / powers.sum(self.axis + 1, keepdims=True))


@dataclass(frozen=True, eq=False)
class FixedPointNet:
    """Steps from input integers to output integers, of any number of items.

    Attributes:
        name: of the net.
        inputs: by the names that they have in the graph.
        outputs: by the names that they have in the graph.
        steps: each behind those that it reads from.
        tensors: all, by name.
    """

    name: str
    inputs: dict[str, Input]
    outputs: dict[str, Output]
    steps: tuple[Step, ...]
    tensors: dict[str, Tensor]

    def integers(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.int64]]:
        """The input integers that are nearest to values, items × image."""
        made = {}
        for name, given in self.inputs.items():
            tensor = self.tensors[given.tensor]
            values = np.asarray(inputs[name])
            values = values.reshape(len(values), *tensor.image)
            if given.pixels is not None:
                made[name] = given.pixels.pixels(values)
            else:
                made[name] = (given.grid or tensor.coding).integers(values)
        return made

    def in_steps(self, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """The values that the integers of inputs stand for, where these are in steps."""
        made = dict(inputs)
        for name, integers in self.integers(inputs).items():
            given = self.inputs[name]
            if given.pixels is None and given.grid is None:
                values = self.tensors[given.tensor].coding.values(integers)
                made[name] = values.reshape(inputs[name].shape).astype(np.float32)
        return made

    def run(self, inputs: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
        """The integers of the tensors that hold the outputs, by the outputs' names.

        Args:
            inputs: integers, items × image, by name.
        """
        made = {
            given.tensor: np.asarray(inputs[name], np.int64) for name, given in self.inputs.items()
        }
        for step in self.steps:
            made[step.output] = step.run(*(made[name] for name in step.inputs))
        return {name: made[output.tensor] for name, output in self.outputs.items()}

    def values(self, found: Mapping[str, NDArray[np.int64]]) -> dict[str, NDArray[np.float32]]:
        """What the graph's outputs are, for the integers that `run` gives."""
        return {
            name: output.values(self.tensors[output.tensor].coding.values(found[name])).astype(
                np.float32
            )
            for name, output in self.outputs.items()
        }

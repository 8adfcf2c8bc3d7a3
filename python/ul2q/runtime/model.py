"""A net that is ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q import _runtime
from ul2q.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


class ModelError(UserError, ValueError):
    """A net that cannot be run in integers, or an input that does not fit it."""


class Model:
    """A net without Caffe's machinery: `ul2q.compile` makes one.

    It never changes, several threads may call it at once, and the batch may have another size at
    each call. What its quantised layers read are integers, the same on every processor.
    """

    def __init__(self, name: str, compiled: _runtime.Model, pixels: frozenset[str]) -> None:
        """Wrap what `ul2q.runtime.translation` has put together."""
        self._name = name
        self._compiled = compiled
        self._pixels = pixels

    @property
    def name(self) -> str:
        """The net's."""
        return self._name

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """The shape of an item of each input."""
        return {name: tuple(shape) for name, shape in self._compiled.inputs}

    @property
    def dtypes(self) -> dict[str, type[np.float32 | np.uint8]]:
        """What each input is of: uint8 for pixels, else float32."""
        return {name: np.uint8 if name in self._pixels else np.float32 for name in self.inputs}

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """The shape of an item of each output."""
        return {name: tuple(shape) for name, shape in self._compiled.outputs}

    @property
    def steps(self) -> tuple[str, ...]:
        """What is done one after the other, and in which numbers."""
        return tuple(self._compiled.steps)

    @property
    def item_bytes(self) -> int:
        """Memory that an item takes on its way through the net, besides the weights."""
        return self._compiled.item_bytes

    def __call__(
        self, x: ArrayLike | Mapping[str, ArrayLike], *, threads: int = 0
    ) -> dict[str, NDArray[np.float32]]:
        """Run the net.

        Args:
            x: the input, items × its shape, as float32 or what converts to that, or as uint8 for
                pixels; for a net with several inputs an array for each by name.
            threads: how many run it; 0 for as many as OpenMP has.

        Returns:
            An array for each output, float32, items × its shape.

        Raises:
            ModelError: an input is missing, unknown, of another shape or type, or holds NaN or
                infinity.
        """
        arrays, items = self._arrays(x)
        try:
            made = self._compiled.run(arrays, items, threads)
        except _runtime.ModelError as error:
            raise ModelError(str(error)) from None
        return dict(zip(self.outputs, made, strict=True))

    def time_steps(
        self, x: ArrayLike | Mapping[str, ArrayLike], *, threads: int = 0
    ) -> tuple[float, ...]:
        """Run the net as a call does, and tell how many seconds each of `steps` took.

        Raises:
            ModelError: as of a call.
        """
        arrays, items = self._arrays(x)
        try:
            return tuple(self._compiled.time_steps(arrays, items, threads))
        except _runtime.ModelError as error:
            raise ModelError(str(error)) from None

    def _arrays(self, x: ArrayLike | Mapping[str, ArrayLike]) -> tuple[list[NDArray[Any]], int]:
        """The inputs in their order, and how many items each has."""
        given = self._by_name(x)
        arrays = [
            _checked(name, shape, given[name], is_pixels=name in self._pixels)
            for name, shape in self.inputs.items()
        ]
        counts = {len(array) for array in arrays}
        if len(counts) > 1:
            told = ", ".join(
                f"{name!r} {len(array)}" for name, array in zip(self.inputs, arrays, strict=True)
            )
            raise ModelError(f"the inputs must have as many items each; they have: {told}")
        return arrays, counts.pop()

    def _by_name(self, x: ArrayLike | Mapping[str, ArrayLike]) -> Mapping[str, ArrayLike]:
        if not isinstance(x, Mapping):
            if len(self.inputs) != 1:
                raise ModelError(f"the net has several inputs, {self._told()}: give them by name")
            return {next(iter(self.inputs)): x}
        for name in self.inputs:
            if name not in x:
                raise ModelError(f"input {name!r} is missing; the net reads {self._told()}")
        for name in x:
            if name not in self.inputs:
                raise ModelError(f"there is no input {name!r}; the net reads {self._told()}")
        return x

    def _told(self) -> str:
        return ", ".join(map(repr, self.inputs))

    def __repr__(self) -> str:
        """Inputs, outputs and steps."""
        told = [f"{name} {_times(shape)}" for name, shape in self.inputs.items()]
        made = [f"{name} {_times(shape)}" for name, shape in self.outputs.items()]
        heading = f"Model {self._name!r}: {', '.join(told)} -> {', '.join(made)}"
        return "\n".join([heading, *(f"  {step}" for step in self.steps)])


def _checked(
    name: str, shape: tuple[int, ...], given: ArrayLike, *, is_pixels: bool
) -> NDArray[Any]:
    array: NDArray[Any] = np.asarray(given)
    if is_pixels and array.dtype != np.uint8:
        raise ModelError(f"input {name!r} is of dtype {array.dtype}; its pixels must be uint8")
    if array.dtype.kind not in "fui":
        raise ModelError(
            f"input {name!r} is of dtype {array.dtype}; it must be float32, or numbers that "
            "convert to it"
        )
    if array.shape[1:] != shape or array.ndim == 0:
        raise ModelError(
            f"input {name!r} has shape {_times(array.shape)}; it must be items×{_times(shape)}"
        )
    return np.ascontiguousarray(array, np.uint8 if is_pixels else np.float32)


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a number"

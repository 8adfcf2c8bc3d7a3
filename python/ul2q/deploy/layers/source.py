"""A layer of a built net, as what lowers it reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from ul2q.deploy.errors import DeployError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.deploy.ops import Shape
    from ul2q.deploy.quantized import QuantizedTensor, Weight


@dataclass(frozen=True, eq=False)
class Source:
    """A layer.

    Attributes:
        name: the layer's.
        type: the float layer's type.
        param: its LayerParameter.
        bottoms: the shapes of its bottoms.
        tops: the shapes of its tops.
        blobs: its parameters, float32.
        quantized: those that it quantises, by their index.
    """

    name: str
    type: str
    param: Any
    bottoms: tuple[Shape, ...]
    tops: tuple[Shape, ...]
    blobs: tuple[NDArray[Any], ...]
    quantized: dict[int, QuantizedTensor]

    def weight(self, index: int) -> Weight:
        """A parameter as the layer computes with it."""
        return self.quantized.get(index, self.blobs[index])

    def axis(self, number: int) -> int:
        """An axis of the first bottom, counted from the front."""
        return number % len(self.bottoms[0])

    def refuse(self, why: str) -> NoReturn:
        """Raise the error that names the layer."""
        raise DeployError(f"layer {self.name!r} ({self.param.type}): {why}")

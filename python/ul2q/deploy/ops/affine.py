"""A scale and a shift for each channel: what BatchNorm, Scale and Bias layers are when testing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.deploy.ops.op import Array, Op

if TYPE_CHECKING:
    from ul2q.deploy.quantized import Weight


@dataclass(frozen=True, eq=False)
class Affine(Op):
    """y = scale x + shift.

    Attributes:
        scale: float32, with as many axes as x, and broadcasts to it.
        shift: likewise.
    """

    scale: Array
    shift: Array

    @property
    def weights(self) -> dict[str, Weight]:
        """Scale and shift."""
        return {"scale": self.scale, "shift": self.shift}

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's."""
        return (inputs[0] * self.scale + self.shift,)

"""Activations that are rounded to a few levels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ul2q.deploy.ops.op import Array, Op


@dataclass(frozen=True)
class QuantizeActivation(Op):
    """The nearest of evenly spaced levels, scale (code - offset) + shift.

    As the layer computes it, in float32: code = clip((x - shift) (1/scale) + offset, lowest,
    highest), rounded half away from zero.

    Attributes:
        scale: from one level to the next; 0: all becomes the shift.
        shift: added to all levels.
        offset: 0.5 or 0.
        lowest: the smallest code.
        highest: the largest code.
        bits: bits a code.
    """

    scale: float
    shift: float
    offset: float
    lowest: int
    highest: int
    bits: int

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's level."""
        if self.scale == 0:
            return (np.full_like(inputs[0], self.shift),)
        x = inputs[0].astype(np.float32)
        scale, shift, offset = map(np.float32, (self.scale, self.shift, self.offset))
        position = (x - shift) * (np.float32(1) / scale) + offset
        position = np.clip(position, np.float32(self.lowest), np.float32(self.highest))
        codes = np.trunc(position.astype(np.float64) + np.copysign(0.5, position))
        return ((scale * (codes.astype(np.float32) - offset) + shift).astype(np.float64),)

    def distance(self, x: Array, levels: Array) -> Array:
        """How far each element lies from those that a level stands for, and a level from its own.

        Args:
            x: what is rounded.
            levels: what it was rounded to, perhaps wrongly; of the same shape.
        """
        if self.scale == 0:
            return np.abs(levels - self.shift)
        codes = np.rint((levels - self.shift) / self.scale + self.offset)
        codes = np.clip(codes, self.lowest, self.highest)
        centres = self.scale * (codes - self.offset) + self.shift
        beyond = np.abs(x - centres) - self.scale / 2
        is_outer = np.where(x < centres, codes == self.lowest, codes == self.highest)
        return np.where(is_outer, 0, np.maximum(beyond, 0)) + np.abs(levels - centres)


@dataclass(frozen=True)
class TernarizeActivation(Op):
    """-scale below -threshold, scale above the threshold, else 0."""

    scale: float
    threshold: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's level."""
        x = inputs[0].astype(np.float32)
        scale, threshold = np.float32(self.scale), np.float32(self.threshold)
        return (scale * (x > threshold) - scale * (x < -threshold),)

    def distance(self, x: Array, levels: Array) -> Array:
        """As that of QuantizeActivation."""
        signs = np.clip(np.rint(levels / self.scale), -1, 1) if self.scale else np.zeros_like(x)
        beyond = np.where(signs == 0, np.abs(x) - self.threshold, self.threshold - signs * x)
        outside: Array = np.maximum(beyond, 0)
        return outside + np.abs(levels - signs * self.scale)


@dataclass(frozen=True)
class BinarizeActivation(Op):
    """-scale below 0, else scale."""

    scale: float

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """Each element's level."""
        scale = np.float64(np.float32(self.scale))
        return (np.where(inputs[0] < 0, -scale, scale),)

    def distance(self, x: Array, levels: Array) -> Array:
        """As that of QuantizeActivation."""
        signs = np.where(levels < 0, -1, 1)
        outside: Array = np.maximum(-signs * x, 0)
        return outside + np.abs(levels - signs * self.scale)

"""Layers that move elements, or do nothing when testing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ul2q.deploy import ops

if TYPE_CHECKING:
    from ul2q.deploy.layers.source import Source


def nothing(_: Source) -> tuple[ops.Op, ...]:
    """Split, Dropout and Silence: their tops, if any, are their bottom."""
    return ()


def reshape(layer: Source) -> tuple[ops.Op, ...]:
    """Reshape and Flatten."""
    return (ops.Reshape(layer.tops[0], _keeps_first(layer)),)


def _keeps_first(layer: Source) -> bool:
    """Whether axis 0 of the top is that of the bottom, of whatever length."""
    bottom, top = layer.bottoms[0], layer.tops[0]
    if bottom[:1] != top[:1]:
        return False
    if layer.type == "Flatten":
        return layer.axis(layer.param.flatten_param.axis) > 0
    options = layer.param.reshape_param
    # A negative axis counts from behind the last one.
    if options.axis % (len(bottom) + 1) > 0:
        return True
    dims = options.shape.dim
    if not dims or options.num_axes == 0:
        return False
    # 0 copies the extent; -1 is what is left.
    return dims[0] == 0 or (dims[0] == -1 and math.prod(top[1:]) == math.prod(bottom[1:]))


def concat(layer: Source) -> tuple[ops.Op, ...]:
    """Concat."""
    options = layer.param.concat_param
    given = options.concat_dim if options.HasField("concat_dim") else options.axis
    return (ops.Concat(layer.axis(given)),)


def slice_(layer: Source) -> tuple[ops.Op, ...]:
    """Slice."""
    options = layer.param.slice_param
    axis = layer.axis(options.slice_dim if options.HasField("slice_dim") else options.axis)
    return (ops.Slice(axis, tuple(shape[axis] for shape in layer.tops)),)


def crop(layer: Source) -> tuple[ops.Op, ...]:
    """Crop; of the second bottom only the shape counts."""
    options = layer.param.crop_param
    axes = len(layer.bottoms[0])
    first = layer.axis(options.axis)
    given = list(map(int, options.offset)) or [0]
    offsets = given * (axes - first) if len(given) == 1 else given
    return (ops.Crop((0,) * first + tuple(offsets), layer.tops[0]),)


def tile(layer: Source) -> tuple[ops.Op, ...]:
    """Tile."""
    options = layer.param.tile_param
    return (ops.Tile(layer.axis(options.axis), int(options.tiles)),)


LAYERS = {
    "Split": nothing,
    "Dropout": nothing,
    "Silence": nothing,
    "Reshape": reshape,
    "Flatten": reshape,
    "Concat": concat,
    "Slice": slice_,
    "Crop": crop,
    "Tile": tile,
}

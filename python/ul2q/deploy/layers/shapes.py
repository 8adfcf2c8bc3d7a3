"""Layers that move elements, or do nothing when testing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.deploy import ops

if TYPE_CHECKING:
    from ul2q.deploy.layers.source import Source


def nothing(_: Source) -> tuple[ops.Op, ...]:
    """Split, Dropout and Silence: their tops, if any, are their bottom."""
    return ()


def reshape(layer: Source) -> tuple[ops.Op, ...]:
    """Reshape and Flatten."""
    return (ops.Reshape(layer.tops[0]),)


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

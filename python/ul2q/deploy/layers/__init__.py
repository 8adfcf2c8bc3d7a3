"""From Caffe's layers to operations: a file for each kind, a function for each type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.deploy.layers import activation, arithmetic, channels, images, shapes, weighted

if TYPE_CHECKING:
    from collections.abc import Callable

    from ul2q.deploy.layers.source import Source
    from ul2q.deploy.ops import Op

# By the float layer's type. The first operation reads the layer's bottoms, each further one what
# the one before it makes; without any, the tops are the bottom.
LAYERS: dict[str, Callable[[Source], tuple[Op, ...]]] = {
    **weighted.LAYERS,
    **images.LAYERS,
    **channels.LAYERS,
    **arithmetic.LAYERS,
    **shapes.LAYERS,
    **activation.LAYERS,
}

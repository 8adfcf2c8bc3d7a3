"""Names for layers that are added to a net."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2


class NewNames:
    """Names that no blob and no layer of a net has."""

    def __init__(self, net: caffe_pb2.NetParameter) -> None:
        """Begin with the names of `net` taken."""
        self._taken = {name for layer in net.layer for name in (layer.name, *layer.top)}
        self._taken.update(net.input)

    def new(self, wanted: str) -> str:
        """Take and return `wanted`, with a number from 2 behind it where that is taken."""
        numbered = (f"{wanted}{number}" for number in itertools.count(2))
        name = next(one for one in itertools.chain([wanted], numbered) if one not in self._taken)
        self._taken.add(name)
        return name

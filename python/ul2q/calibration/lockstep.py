"""Run a quantised net and its float twin beside each other, a layer at a time on all batches."""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
from caffe.proto import caffe_pb2

from ul2q.nets.layer_types import ACTIVATION, QUANTIZED, float_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

Batch = dict[str, "NDArray[Any]"]
"""Values for each input of a net, by its name."""

IDENTITY = "Power"  # a layer that, without options, passes its bottom on
_IN_MEMORY = 1 << 28  # bytes of a blob of all batches; larger ones lie in a temporary file


def float_twin(net: caffe.Net) -> caffe.Net:
    """The float net that a quantised one stands for, with the same layers by place and its masters.

    QuantizedActivation layers pass on what they read.
    """
    twin = caffe_pb2.NetParameter(name=net.name)
    for name, layer in zip(net._layer_names, net.layers, strict=True):
        param = twin.layer.add()
        param.CopyFrom(layer.param)
        param.name = name
        if layer.type == ACTIVATION:
            param.type = IDENTITY
            del param.param[:]
        elif layer.type.startswith(QUANTIZED):
            param.type = float_type(layer.type)
        del param.blobs[:]
        param.ClearField("quantization_param")
    built = caffe.Net.from_proto(twin, net.phase)
    for name, blobs in built.params.items():
        for ours, theirs in zip(blobs, net.params[name], strict=True):
            ours.data[...] = theirs.data
    return built


class Lockstep:
    """A net whose layers run one by one, each on all batches before the next one.

    What a layer makes is kept until the last layer that reads it has run: in memory, or where a
    blob of all batches is large in a temporary file.

    Attributes:
        net: the net.
    """

    def __init__(self, net: caffe.Net, batches: Sequence[Mapping[str, ArrayLike]]) -> None:
        """Begin with the inputs of each batch; the layers' parameters may change at any time."""
        self.net = net
        self._names = list(net._blob_names)
        ids = {name: index for index, name in enumerate(self._names)}
        self._values: dict[int, list[NDArray[Any]]] = {
            ids[name]: [np.asarray(batch[name], np.float32) for batch in batches]
            for name in net.inputs
        }
        self._shapes = [
            {name: self._values[ids[name]][i].shape for name in net.inputs}
            for i in range(len(batches))
        ]
        self._last = {}
        for index in range(len(net.layers)):
            for blob in (*net._bottom_ids(index), *net._top_ids(index)):
                self._last[blob] = index
        self._files: list[Any] = []

    @property
    def batches(self) -> int:
        """How many there are."""
        return len(self._shapes)

    def bottom(self, layer: int, batch: int, place: int = 0) -> NDArray[Any]:
        """What a layer that is to run next reads."""
        return self._values[self.net._bottom_ids(layer)[place]][batch]

    def top(self, layer: int, batch: int, place: int = 0) -> NDArray[Any]:
        """What the layer that ran last has made."""
        return self._values[self.net._top_ids(layer)[place]][batch]

    def forward(self, layer: int, batch: int, bottoms: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The first top of a layer for the bottoms given, which nothing keeps.

        The array is the net's own, and holds until a layer runs.
        """
        self._give(layer, batch, bottoms)
        self.net._forward(layer, layer)
        return np.asarray(self.net._blobs[self.net._top_ids(layer)[0]].data)

    def run(self, layer: int) -> None:
        """Run a layer on all batches."""
        net = self.net
        tops = net._top_ids(layer)
        if net._bottom_ids(layer) or not all(top in self._values for top in tops):
            made: dict[int, list[NDArray[Any]]] = {top: [] for top in tops}
            for batch in range(self.batches):
                bottoms = [self._values[one][batch] for one in net._bottom_ids(layer)]
                self.forward(layer, batch, bottoms)
                for top in tops:
                    self._keep(made[top], net._blobs[top].data)
            self._values.update(made)

    def done(self, layer: int) -> None:
        """Forget what no layer behind this one reads."""
        for blob, last in self._last.items():
            if last <= layer:
                self._values.pop(blob, None)

    def _give(self, layer: int, batch: int, bottoms: Sequence[NDArray[Any]]) -> None:
        net = self.net
        shapes = self._shapes[batch]
        if any(tuple(net.blobs[name].shape) != shape for name, shape in shapes.items()):
            for name, shape in shapes.items():
                net.blobs[name].reshape(*shape)
            net.reshape()
        blobs = net._blobs
        for one, values in zip(net._bottom_ids(layer), bottoms, strict=True):
            blobs[one].data[...] = values

    def _keep(self, made: list[NDArray[Any]], values: NDArray[Any]) -> None:
        if values.nbytes * self.batches <= _IN_MEMORY:
            made.append(values.copy())
            return
        with TemporaryFile() as file:
            kept = np.memmap(file, values.dtype, "w+", shape=values.shape)
        kept[...] = values
        made.append(kept)

"""The layers of a net that its logits are computed by, from the data on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
from caffe.proto import caffe_pb2

from ul2q.nets.data_layers import included, lmdb_shape, net_state, use_folder
from ul2q.nets.deploy import brings_data
from ul2q.nets.input_shapes import input_shape
from ul2q.nets.layer_checks import refuse_twins
from ul2q.nets.layer_fields import layer_fields
from ul2q.nets.prototxt import PrototxtError, parse_net
from ul2q.nets.quantization import OptionsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.nets.prototxt_text import Document
    from ul2q.util.paths import StrPath

HARD_LOSS = "SoftmaxWithLoss"
"""The loss that compares logits with labels."""


@dataclass(frozen=True)
class LogitsPath:
    """The layers of a net from the data to the logits, in one phase.

    Attributes:
        net: the whole net.
        name: of its file, for messages.
        logits: the blob.
        layers: what computes it, by index, in order.
        source: the index of the layer that brings the data.
        top: which of its tops is read.
        phase: in which.
    """

    net: caffe_pb2.NetParameter
    name: str
    logits: str
    layers: tuple[int, ...]
    source: int
    top: str
    phase: int

    @classmethod
    def of(cls, document: Document, phase: int, option: str, logits: str | None) -> LogitsPath:
        """Find the layers.

        Args:
            document: the net, in today's format.
            phase: TRAIN, or TEST.
            option: what names the logits, for messages.
            logits: the blob; None: what the net's losses read, or else its Softmax layers.

        Raises:
            PrototxtError: the net is faulty, or its logits are not computed of one input.
            OptionsError: the logits must be named, or are not there.
        """
        if old := document.root.get("input"):
            message = '`input` is an old field; write a layer of type "Input"'
            raise document.error(old.start, message)
        layer_fields(document)  # refuses other formats
        net, name = parse_net(document.source, document.name), document.name
        refuse_twins(net, name)
        state = net_state(net, phase)
        word = caffe_pb2.Phase.Name(phase)
        present = {i for i, layer in enumerate(net.layer) if included(layer, state)}
        # A loss of phase TRAIN says what the scores of phase TEST mean, too.
        losses = present if phase == caffe_pb2.TRAIN else set(range(len(net.layer)))
        logits = logits or _logits(net, losses, name, option)
        if logits not in {top for i in present for top in net.layer[i].top}:
            raise OptionsError(f"{option} is {logits!r}, which no layer of {name} writes in {word}")
        needed, layers = {logits}, []
        for i in sorted(present, reverse=True):
            layer = net.layer[i]
            if needed & {*layer.top}:
                layers.append(i)
                if not brings_data(layer):
                    needed = needed - {*layer.top} | {*layer.bottom}
        sources = [i for i in layers if brings_data(net.layer[i])]
        tops = [(i, top) for i in sources for top in net.layer[i].top if top in needed]
        if missing := needed - {top for _, top in tops}:
            raise PrototxtError(
                f"{name}: no layer of phase {word} writes {', '.join(map(repr, sorted(missing)))}, "
                f"which {logits!r} needs"
            )
        if len(tops) != 1:
            listed = ", ".join(repr(top) for _, top in tops) or "none"
            raise PrototxtError(f"{name}: {logits!r} is computed of {listed}; must be of one input")
        ((source, top),) = tops
        return cls(
            net, name, logits, tuple(i for i in reversed(layers) if i != source), source, top, phase
        )

    @property
    def data_layer(self) -> caffe_pb2.LayerParameter:
        """The layer that brings the data."""
        return self.net.layer[self.source]

    def image_shape(self, data: StrPath | None) -> tuple[int, ...]:
        """That of an image as the data layer gives it, without the batch.

        Raises:
            FileNotFoundError: there is no LMDB in `data`.
            PrototxtError: it is not known.
        """
        net = caffe_pb2.NetParameter()
        net.CopyFrom(self.net)
        if data is not None:
            use_folder(net, net_state(net, self.phase), Path(data))
        layer = net.layer[self.source]
        if layer.type == "Data" and self.top == layer.top[0]:
            crop = layer.transform_param.crop_size
            if stored := lmdb_shape(Path(layer.data_param.source)):
                return (stored[0], crop, crop) if crop else stored
        return tuple(input_shape(layer, self.top, self.name)[1:])

    def behind_input(self, size: Sequence[int]) -> caffe_pb2.NetParameter:
        """These layers and an Input layer for one image."""
        net = caffe_pb2.NetParameter(name=self.net.name, layer=[input_layer(self.top, size)])
        for i in self.layers:
            layer = net.layer.add()
            layer.CopyFrom(self.net.layer[i])
            del layer.include[:], layer.exclude[:], layer.loss_weight[:]
        return net

    def logits_shape(self, size: Sequence[int]) -> tuple[int, ...]:
        """That of the logits for one image."""
        built = caffe.Net.from_proto(self.behind_input(size), caffe.TEST)
        return tuple(built.blobs[self.logits].shape)


def input_layer(top: str, size: Sequence[int]) -> caffe_pb2.LayerParameter:
    """An Input layer for one image of this size, channels x height x width."""
    layer = caffe_pb2.LayerParameter(name=top, type="Input", top=[top])
    layer.input_param.shape.add(dim=[1, *size])
    return layer


def _logits(net: caffe_pb2.NetParameter, present: set[int], name: str, option: str) -> str:
    """The blob that the net's losses, or without any its Softmax layers, take for logits."""
    for kind in (HARD_LOSS, "Softmax"):
        layers = [layer for i, layer in enumerate(net.layer) if layer.type == kind and i in present]
        found = {layer.bottom[0]: None for layer in layers if layer.bottom}
        if len(found) == 1:
            return str(next(iter(found)))
        if found:
            raise OptionsError(
                f"{name}: its {kind} layers read {', '.join(map(repr, found))}; {option} must say "
                "which are the logits"
            )
    raise OptionsError(
        f"{name}: has no {HARD_LOSS} and no Softmax layer; {option} must say which blob holds the "
        "logits of its classes"
    )

"""Tells which outputs of a net are its accuracies and which are its losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from caffe.proto import caffe_pb2

from ul2q.nets import data_layers

if TYPE_CHECKING:
    from collections.abc import Iterable

# A layer of today's format or of that of 2014.
Layer: TypeAlias = "caffe_pb2.LayerParameter | caffe_pb2.V1LayerParameter"


@dataclass(frozen=True)
class Metrics:
    """The names of the outputs that are metrics; those that stand for the net come first.

    Attributes:
        accuracies: by their top_k, so that top-1 comes first, and of several that which is the last
            in the net.
        losses: the last in the net comes first.
    """

    accuracies: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()

    @property
    def accuracy(self) -> str | None:
        """The accuracy that stands for the net; None if it has none."""
        return self.accuracies[0] if self.accuracies else None

    @property
    def loss(self) -> str | None:
        """The loss that stands for the net; None if it has none."""
        return self.losses[0] if self.losses else None


def net_metrics(net: caffe_pb2.NetParameter, state: caffe_pb2.NetState) -> Metrics:
    """The metrics that a net puts out: tops of its Accuracy layers, and of its layers with a loss.

    Where a net has no such layer, as where a Python layer counts the hits, outputs whose names have
    "accuracy" or "loss" in them are taken.

    Args:
        net: a net in today's format or that of 2014.
        state: the state in which it runs.
    """
    layers = [one for one in (*net.layer, *net.layers) if data_layers.included(one, state)]
    outputs = _outputs(layers)
    accuracies = [
        (layer.accuracy_param.top_k, -i, layer.top[0])
        for i, layer in enumerate(layers)
        if _type(layer) == "ACCURACY" and layer.top and layer.top[0] in outputs
    ]
    losses = [top for layer in layers for top in _loss_tops(layer) if top in outputs]
    named = metrics_by_name(outputs)
    return Metrics(
        tuple(top for *_, top in sorted(accuracies)) or named.accuracies,
        tuple(reversed(losses)) or named.losses,
    )


def metrics_by_name(outputs: Iterable[str]) -> Metrics:
    """The outputs of a net that is not known whose names have "accuracy" or "loss" in them."""
    names = list(outputs)
    accuracies, losses = (
        tuple(name for name in names if kind in name.lower()) for kind in ("accuracy", "loss")
    )
    return Metrics(accuracies, losses)


def _outputs(layers: Iterable[Layer]) -> dict[str, None]:
    """The tops that no layer takes, in the order of Net::Init."""
    free: dict[str, None] = {}
    for layer in layers:
        for bottom in layer.bottom:
            free.pop(bottom, None)
        free |= dict.fromkeys(layer.top)
    return free


def _type(layer: Layer) -> str:
    """A layer's type in capitals: ACCURACY; SOFTMAX_LOSS in the format of 2014."""
    if isinstance(layer, caffe_pb2.V1LayerParameter):
        return str(caffe_pb2.V1LayerParameter.LayerType.Name(layer.type))
    return str(layer.type.upper())


def _loss_tops(layer: Layer) -> list[str]:
    """The first top of a loss layer like SoftmaxWithLoss, and each top that has a loss_weight."""
    is_loss = _type(layer).endswith("LOSS")
    weights = [*layer.loss_weight, *[0.0] * len(layer.top)]
    return [
        top
        for i, (top, weight) in enumerate(zip(layer.top, weights, strict=False))
        if weight or (is_loss and i == 0)
    ]

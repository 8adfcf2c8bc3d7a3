"""Which outputs of a net say how well it does: its accuracies and its losses."""

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
    """Names of outputs; those that stand for the net come first.

    Attributes:
        accuracies: by top_k, so that top-1 is the first; of several, the last in the net is.
        losses: the last in the net is the first.
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

    Those of a kind that the net has no such layer of, as where a Python layer counts the hits, are
    taken by their names.

    Args:
        net: in today's format or that of 2014.
        state: in which it runs.
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
    """The metrics among outputs of a net that is not known: those called so."""
    names = list(outputs)
    accuracies, losses = (
        tuple(name for name in names if kind in name.lower()) for kind in ("accuracy", "loss")
    )
    return Metrics(accuracies, losses)


def _outputs(layers: Iterable[Layer]) -> dict[str, None]:
    """The tops that no layer takes, in the order of Net::Init's."""
    free: dict[str, None] = {}
    for layer in layers:
        for bottom in layer.bottom:
            free.pop(bottom, None)
        free |= dict.fromkeys(layer.top)
    return free


def _type(layer: Layer) -> str:
    """In capitals; of the format of 2014, ACCURACY, SOFTMAX_LOSS."""
    if isinstance(layer, caffe_pb2.V1LayerParameter):
        return str(caffe_pb2.V1LayerParameter.LayerType.Name(layer.type))
    return str(layer.type.upper())


def _loss_tops(layer: Layer) -> list[str]:
    """The first top of a loss layer, as SoftmaxWithLoss, and each that has a loss_weight."""
    is_loss = _type(layer).endswith("LOSS")
    weights = [*layer.loss_weight, *[0.0] * len(layer.top)]
    return [
        top
        for i, (top, weight) in enumerate(zip(layer.top, weights, strict=False))
        if weight or (is_loss and i == 0)
    ]

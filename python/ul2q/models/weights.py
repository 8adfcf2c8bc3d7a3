"""Load trained weights into a net, and notice files that do not belong to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe

from ul2q.models.caffemodel import WeightsError, layers_with_blobs, read_caffemodel
from ul2q.nets.layer_types import ACTIVATION
from ul2q.nets.net_outputs import weights_not_finite

if TYPE_CHECKING:
    from ul2q.util.paths import StrPath


def load_weights(net: caffe.Net, path: StrPath, *, complete: bool) -> None:
    """Copy the layers of `path` (.caffemodel or .caffemodel.h5) into those of the same name.

    Args:
        net: where the weights go.
        path: the file.
        complete: every layer of the net that has parameters must be in the file, but for a
            QuantizedActivation, which fits each batch as long as it has no averages; else at
            least one.

    Raises:
        WeightsError: the file is damaged, lacks those layers, or holds NaN or infinity.
    """
    path = Path(path)
    wanted, held, optional = list(net.params), _layer_names(path), _activations(net)
    missing = [name for name in wanted if name not in held and name not in optional]
    if missing and (complete or not any(name in held for name in wanted)):
        raise WeightsError(
            f"{path} has no weights for layer {', '.join(map(repr, missing))}; "
            f"it holds {', '.join(map(repr, sorted(held))) or 'none'}"
        )
    net.copy_from(str(path))
    if layer := weights_not_finite(net):
        raise WeightsError(f"{path}: the weights of layer {layer!r} hold NaN or infinity")


def activations_without_averages(net: caffe.Net) -> list[str]:
    """The QuantizedActivation layers that no training pass has fitted: the weight is 0."""
    return [
        name
        for name, layer in zip(net._layer_names, net.layers, strict=True)
        if layer.type == ACTIVATION and not layer.blobs[1].data.any()
    ]


def _activations(net: caffe.Net) -> list[str]:
    layers = zip(net._layer_names, net.layers, strict=True)
    return [name for name, layer in layers if layer.type == ACTIVATION]


def _layer_names(path: Path) -> set[str]:
    """The layers in a file that have blobs."""
    if path.suffix == ".h5":
        try:
            return set(caffe._caffe._hdf5_weights(str(path)))
        except caffe.CaffeError as error:
            raise WeightsError(f"{path} is damaged or no .caffemodel.h5") from error
    return {layer.name for layer in layers_with_blobs(read_caffemodel(path))}

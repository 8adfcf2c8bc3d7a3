"""Fit the scales of a net's QuantizedActivation layers to what testing sees, and nothing else."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np

from ul2q.errors import UserError
from ul2q.models.caffemodel import check_weights_file
from ul2q.models.weights import load_weights
from ul2q.nets import data_layers
from ul2q.nets.layer_types import ACTIVATION
from ul2q.nets.prototxt import read_net
from ul2q.util.output_file import refuse_existing

if TYPE_CHECKING:
    from caffe._caffe import Blob, Layer
    from caffe.proto import caffe_pb2
    from numpy.typing import ArrayLike

    from ul2q.util.paths import StrPath

_log = logging.getLogger(__name__)

IMAGES = 1000  # that `calibrate` looks at unless it is told another number

Batch = Mapping[str, "ArrayLike"]
"""Values for each input of a net, by its name, of the input's shape."""


class CalibrationError(UserError, ValueError):
    """A net that cannot be calibrated as it stands."""


@dataclass(frozen=True)
class ActivationAverage:
    """What a QuantizedActivation layer quantises with from now on.

    Attributes:
        layer: the name of the layer.
        scale: the average of its scale.
        shift: the average of its shift.
        threshold: the average of its threshold; 0 for a method without one.
        old_scale: the average that it had before; None if it had none.
    """

    layer: str
    scale: float
    shift: float
    threshold: float
    old_scale: float | None


def gather_activation_averages(
    net: caffe.Net, batches: int | Iterable[Batch]
) -> list[ActivationAverage]:
    """Gather the averages of a net's QuantizedActivation layers anew, as testing sees them.

    Forward passes in phase TEST do it, without dropout and with BatchNorm's averages: only the
    blobs of QuantizedActivation layers are other ones afterwards, and no random number is drawn.
    The layers forget the averages that they have, and average the fit of each batch as in
    training: with f = `moving_average_fraction`, the last batch counts most, the one before it f
    times as much, and so on. Each layer sees what those before it have quantised.

    Args:
        net: a net in phase TEST with its weights. That of a solver is a test net of its, after
            `solver.share_weights(net)`.
        batches: how many passes, for a net that reads data by itself; or the batches to give to its
            inputs, e.g. `({"data": x} for x in arrays)`.

    Returns:
        A row for each layer, in the net's order.

    Raises:
        ValueError: the net is in phase TRAIN or has no QuantizedActivation layer; there is no
            batch, or one does not fit the inputs. The averages are then as they were.
        caffe.CaffeError: a batch holds NaN or infinity. The averages are then as they were.
    """
    if net.phase != caffe.TEST:
        raise ValueError(
            "the net is in phase TRAIN, in which passes drop activations and move the averages of "
            "BatchNorm layers, too; build it in caffe.TEST"
        )
    layers = {
        name: layer
        for name, layer in zip(net._layer_names, net.layers, strict=True)
        if layer.type == ACTIVATION
    }
    if not layers:
        raise ValueError(f"net {net.name!r} has no {ACTIVATION} layer whose scale could be fitted")
    before = _copies(net)
    try:
        for layer in layers.values():
            _set(layer.blobs, [0, 0])  # no averages, of no weight
            layer.gather_averages(True)
        _forward_all(net, batches)
    except BaseException:
        for name, layer in layers.items():
            _set(layer.blobs, before[name])
        raise
    finally:
        for layer in layers.values():
            layer.gather_averages(False)
        # A BatchNorm layer with `use_global_stats: false` averages in phase TEST, too.
        _restore(net, {name: blobs for name, blobs in before.items() if name not in layers})
    return [_row(name, layer, before[name]) for name, layer in layers.items()]


def calibrate(
    net: StrPath,
    weights: StrPath,
    output: StrPath,
    *,
    images: int = IMAGES,
    data: StrPath | None = None,
    force: bool = False,
) -> list[ActivationAverage]:
    """Write weights whose QuantizedActivation layers fit what testing sees of the training images.

    The net runs in phase TEST on the images that its Data layer reads in phase TRAIN: they pass
    through the transformation of phase TEST, in the order in which they stand.

    Args:
        net: a NetParameter as text, with a Data layer in phase TEST.
        weights: a .caffemodel or .caffemodel.h5 for it; it may lack QuantizedActivation layers, as
            a float net's does.
        output: the file to be written, .caffemodel or .caffemodel.h5, with the layers of phase
            TEST.
        images: how many; rounded up to whole batches.
        data: a folder with train_lmdb, and test_lmdb beside it, to read from.
        force: replace `output`.

    Returns:
        A row for each QuantizedActivation layer, in the net's order.

    Raises:
        FileNotFoundError: a file or a database is missing.
        OutputExistsError: `output` is there and `force` is not set.
        PrototxtError: the net is faulty.
        WeightsError: the weights file is no such file, or lacks a layer.
        CalibrationError: the net has no Data layer in phase TEST or no QuantizedActivation layer,
            or `images` is below 1.
        caffe.CaffeError: Caffe refuses the net, or the activations are not finite.
    """
    net, weights, output = Path(net), Path(weights), Path(output)
    if images < 1:
        raise CalibrationError(f"images is {images}; must be at least 1")
    check_weights_file(weights)
    refuse_existing(output, force=force)
    param = read_net(net)
    batch_size = _read_training_images(param, net, None if data is None else Path(data))
    if not any(layer.type == ACTIVATION for layer in param.layer):
        raise CalibrationError(
            f"{net}: no {ACTIVATION} layer, so there is no scale to fit; `ul2q quantize "
            "--activation-bits N` adds some"
        )
    caffe.set_mode_cpu()
    built = caffe.Net.from_proto(param, caffe.TEST)
    load_weights(built, weights, complete=True)
    averages = gather_activation_averages(built, -(-images // batch_size))
    if output.suffix == ".h5":
        built.save_hdf5(output)
    else:
        built.save(output)
    return averages


def default_output(weights: StrPath) -> Path:
    """Where the command writes: beside the weights, with "_calibrated" in the name."""
    path = Path(weights)
    end = ".caffemodel.h5" if path.name.endswith(".caffemodel.h5") else path.suffix
    return path.with_name(f"{path.name.removesuffix(end)}_calibrated{end}")


def _read_training_images(param: caffe_pb2.NetParameter, path: Path, data: Path | None) -> int:
    """Let the Data layers of phase TEST read what those of phase TRAIN read.

    Returns:
        The images of a batch.
    """
    states = {phase: data_layers.net_state(param, phase) for phase in (caffe.TRAIN, caffe.TEST)}
    if data is not None:
        data_layers.use_folder(param, states[caffe.TEST], data)
    training = {
        top: layer.data_param.source
        for layer in data_layers.data_layers(param, states[caffe.TRAIN])
        for top in layer.top
    }
    testing = data_layers.data_layers(param, states[caffe.TEST])
    if not testing:
        raise CalibrationError(
            f"{path}: no Data layer in phase TEST that could read images; "
            "ul2q.gather_activation_averages takes batches from Python"
        )
    for layer in testing:
        if data is not None:
            layer.data_param.source = str(data / data_layers.LMDB_OF_PHASE[caffe.TRAIN])
        elif layer.top and layer.top[0] in training:
            layer.data_param.source = training[layer.top[0]]
    sources = data_layers.sources(param, states[caffe.TEST])
    _log.info("%s is calibrated on %s", path, ", ".join(map(str, sources)))
    return max(1, int(testing[0].data_param.batch_size))


def _forward_all(net: caffe.Net, batches: int | Iterable[Batch]) -> None:
    """Run a pass for each batch.

    Raises:
        ValueError: there is none, or one does not fit the inputs.
    """
    passes = 0
    for batch in [{}] * batches if isinstance(batches, int) else batches:
        values = {name: np.asarray(array) for name, array in batch.items()}
        if values:
            given = {name: array.shape for name, array in values.items()}
            wanted = {name: net.blobs[name].data.shape for name in net.inputs}
            if given != wanted:
                raise ValueError(f"a batch has {_shapes(given)}; the net takes {_shapes(wanted)}")
        net.forward(**values)
        passes += 1
    if not passes:
        raise ValueError("there are no batches to gather averages from")


def _shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    """E.g. "'data' of 8 × 1 × 28 × 28"."""
    words = [f"{name!r} of {' × '.join(map(str, shape))}" for name, shape in shapes.items()]
    return ", ".join(words) or "no inputs"


def _copies(net: caffe.Net) -> dict[str, list[Any]]:
    """The parameters of each layer."""
    return {name: [blob.data.copy() for blob in blobs] for name, blobs in net.params.items()}


def _restore(net: caffe.Net, copies: Mapping[str, list[Any]]) -> None:
    """Write back what is no longer as in the copies."""
    for name, before in copies.items():
        for blob, values in zip(net.params[name], before, strict=True):
            if not np.array_equal(blob.data, values, equal_nan=True):
                blob.data[...] = values


def _set(blobs: Iterable[Blob], values: Iterable[Any]) -> None:
    for blob, value in zip(blobs, values, strict=True):
        blob.data[...] = value


def _row(name: str, layer: Layer, before: list[Any]) -> ActivationAverage:
    scale, shift, threshold = (float(value) for value in layer.blobs[0].data)
    had_averages = bool(before[1].any())
    return ActivationAverage(
        name, scale, shift, threshold, float(before[0][0]) if had_averages else None
    )

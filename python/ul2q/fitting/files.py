"""Quantise a net's file by what its weights and images show: read, measure, and write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np

from ul2q.fitting.candidates import AUTO, FittingError
from ul2q.fitting.measurement import Measurement, measure
from ul2q.models.caffemodel import check_weights_file
from ul2q.nets.data_layers import LMDB_OF_PHASE
from ul2q.nets.deploy import deployed_inputs
from ul2q.nets.deploy_file import stored_shapes
from ul2q.nets.prototxt import parse_net, text_bytes
from ul2q.nets.prototxt_text import Document
from ul2q.nets.rewriter import QuantizedNet, default_output, quantize_net, upgraded
from ul2q.prediction import PredictionOptions
from ul2q.prediction.inputs import load_inputs
from ul2q.util.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from ul2q.nets.quantization import NetQuantization
    from ul2q.util.paths import StrPath

IMAGES = 64  # that `quantize_files` looks at
_CALIBRATION = 48  # of them, from the first on, that the scales of activations are fitted to
_BATCH_VALUES = 2_500_000  # numbers in a batch of inputs: as many images as memory has room for


@dataclass(frozen=True)
class QuantizedFiles:
    """What `quantize_files` has written.

    Attributes:
        net: the quantised net.
        net_path: its prototxt.
        measurement: what was measured on the weights; None without weights.
        weights_path: the weights with the averages of the activations; None if activations stay
            float, or without images.
    """

    net: QuantizedNet
    net_path: Path
    measurement: Measurement | None = None
    weights_path: Path | None = None


def quantize_files(
    net: StrPath,
    options: NetQuantization,
    *,
    output: StrPath | None = None,
    weights: StrPath | None = None,
    free: Collection[str] = (),
    images: Sequence[StrPath] = (),
    inputs: PredictionOptions | None = None,
    force: bool = False,
) -> QuantizedFiles:
    """Write a net as a quantised one; with weights, by the fit and granularity that suit them.

    Args:
        net: the prototxt.
        options: how it is to be quantised.
        output: the new prototxt; None: as of `default_output`.
        weights: the net's .caffemodel or .caffemodel.h5.
        free: the fields of `options`, of `AUTO`, that are chosen by `measure`.
        images: what the net is to see, as for `ul2q predict`: 64 are looked at, of which the first
            48 calibrate activations and the others are what errors are measured on. None: the
            training images in the folder `inputs.data`, if there is one.
        inputs: how images become the net's input, as far as it does not say.
        force: replace files that are there.

    Returns:
        What was written. Weights are written beside the net, under its name, where activations are
        quantised and images are given.

    Raises:
        FileNotFoundError, PrototxtError, OptionsError: as of `quantize_net`.
        FittingError: `free` or `images` are given, and no weights.
        WeightsError, PredictionError, DataError: as of `measure` and `load_inputs`.
        OutputExistsError: there is a file and `force` is not set.
    """
    path = Path(net)
    pictures = inputs or PredictionOptions()
    if not images and pictures.data is not None:
        images = [Path(pictures.data) / LMDB_OF_PHASE[caffe.TRAIN]]
    if weights is None and (free or images):
        what = f"{', '.join(one for one in AUTO if one in free)}: auto" if free else "images"
        raise FittingError(f"{what}: that is measured on trained weights; give --weights FILE")
    if not options.quantizes_activations and any(one.startswith("activation") for one in free):
        raise FittingError("there are no activations to choose for; give --activation-bits N")
    net_path = default_output(path, options) if output is None else Path(output)
    weights_path = None
    if weights is not None and images and options.quantizes_activations:
        weights_path = net_path.with_suffix(".caffemodel")
    for written in (net_path, weights_path):
        if written is not None:
            refuse_existing(written, force=force)
    measurement = None
    document = Document.read(path)
    if weights is not None:
        check_weights_file(Path(weights))
        measurement = _measure(
            upgraded(document), path, Path(weights), options, free, images, pictures
        )
        options = measurement.chosen
    result = quantize_net(document, options)
    write_file(net_path, text_bytes(result.text), force=force)
    if weights_path is not None and measurement is not None and measurement.net is not None:
        measurement.net.save(str(weights_path))
    return QuantizedFiles(result, net_path, measurement, weights_path)


def _measure(
    document: Document,
    path: Path,
    weights: Path,
    options: NetQuantization,
    free: Collection[str],
    images: Sequence[StrPath],
    inputs: PredictionOptions,
) -> Measurement:
    net = parse_net(document.source, document.name)
    values = load_inputs(path, images, inputs, count=IMAGES) if images else None
    seen, tested = _halves(values)
    name = net.input[0] if net.input else deployed_inputs(net, document.name)[0][1][0]
    reads_data = any(not layer.bottom and layer.type != "Input" for layer in net.layer)
    shape = None if values is None or not reads_data else values.shape[1:]
    data = None if inputs.data is None else Path(inputs.data)
    return measure(
        Document(document.source, document.name),
        weights,
        options,
        free=free,
        batches=[{name: batch} for batch in _batches(tested)],
        calibration=[{name: batch} for batch in _batches(seen)],
        shapes=stored_shapes(document, shape, data) if reads_data else None,
    )


def _halves(values: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Images to calibrate on, and others to measure errors on; the same where there are few."""
    if values is None:
        return np.empty(0), np.empty(0)
    if len(values) < 4:
        return values, values
    first = min(_CALIBRATION, 3 * len(values) // 4)
    return values[:first], values[first:]


def _batches(values: NDArray[Any]) -> list[NDArray[Any]]:
    """Values in batches of about one size."""
    if not len(values):
        return []
    count = -(-len(values) // max(1, _BATCH_VALUES // values[0].size))
    return list(np.array_split(values, count))

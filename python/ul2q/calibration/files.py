"""Calibrate the files of a net: read it with its weights and images, and write what came out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np

from ul2q.calibration.errors import CalibrationError
from ul2q.calibration.missing_biases import add_missing_biases
from ul2q.calibration.network import LayerCalibration, calibrate_net
from ul2q.calibration.options import STEPS, CalibrationOptions
from ul2q.calibration.trials import Trial, Tried, calibrate_by_trial
from ul2q.models.caffemodel import check_weights_file
from ul2q.models.weights import load_weights
from ul2q.nets import data_layers
from ul2q.nets.deploy import deploy_net
from ul2q.nets.deploy_file import stored_shapes
from ul2q.nets.layer_types import ACTIVATION, QUANTIZED
from ul2q.nets.prototxt import parse_net, text_bytes
from ul2q.nets.prototxt_text import Document
from ul2q.nets.rewriter import QuantizedNet, quantize_net, upgraded
from ul2q.nets.rewriter import default_output as default_net
from ul2q.prediction import PredictionOptions
from ul2q.prediction.inputs import load_inputs
from ul2q.util.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from ul2q.nets.quantization import NetQuantization
    from ul2q.util.paths import StrPath

IMAGES = 500  # that `calibrate` looks at unless it is told another number
_BATCH_VALUES = 2_500_000  # numbers in a batch of inputs: as many images as memory has room for
_BATCHES = 8  # at least, so that what some give can be tested on others
_EVERY = 4  # image is held out to try the steps on,
_MOST = 64  # of them at most


@dataclass(frozen=True)
class Calibrated:
    """What `calibrate` has written.

    Attributes:
        rows: for each quantised layer, in the net's order.
        weights_path: the calibrated weights.
        net: the quantised net, and what became of each layer; None if it was quantised before.
        net_path: its prototxt, likewise.
        images: how many all was fitted to.
        held_out: how many others the steps were tried on.
        trials: the steps that were tried, and what became of them.
    """

    rows: tuple[LayerCalibration, ...]
    weights_path: Path
    net: QuantizedNet | None
    net_path: Path | None
    images: int
    held_out: int = 0
    trials: tuple[Trial, ...] = ()


def calibrate(
    net: StrPath,
    weights: StrPath,
    output: StrPath | None = None,
    *,
    quantization: NetQuantization | None = None,
    options: CalibrationOptions | None = None,
    tried: Collection[str] | None = None,
    images: int = IMAGES,
    data: StrPath | None = None,
    pictures: Sequence[StrPath] = (),
    inputs: PredictionOptions | None = None,
    force: bool = False,
) -> Calibrated:
    """Fit a quantised net to images, without training; or quantise a float net and do it.

    The net sees images as testing shows them: with the mean, scale and crop of its data layer in
    phase TEST, in the order in which they stand.

    Args:
        net: the prototxt. A float net needs `quantization`.
        weights: a .caffemodel or .caffemodel.h5 for it; it may lack QuantizedActivation layers, as
            a float net's does.
        output: the weights to be written, .caffemodel or .caffemodel.h5. None: of a net that is
            quantised already beside `weights`, with "_calibrated" in the name; else beside the new
            net. A new net stands beside its weights, under the same name.
        quantization: how the net is to be quantised; None: as it is.
        options: the ranges, and the steps that are done in any case.
        tried: the steps that are tried on every fourth image, which nothing is fitted to then, and
            kept if they help, as of `calibrate_by_trial`; none with fewer than four images. None:
            all, for a net that is quantised here and without `options`; else none, for a net that
            is quantised already may have learned its weights so.
        images: how many are looked at, at most.
        data: the folder of `ul2q data` whose train_lmdb is read.
        pictures: files, folders, LMDBs, as `ul2q predict` takes them. Without `data` and
            `pictures` what the net's Data layer reads in phase TRAIN.
        inputs: how images become the net's input, where the net has no data layer.
        force: replace files that are there.

    Raises:
        FileNotFoundError: a file or a database is missing.
        OutputExistsError: an output is there and `force` is not set.
        PrototxtError: the net is faulty.
        WeightsError: the weights file is no such file, or lacks a layer.
        CalibrationError: the net quantises nothing that is to be calibrated, `images` is below 1,
            there are no images, or values are not finite.
        PredictionError, DataError: as of `load_inputs`.
        caffe.CaffeError: Caffe refuses the net.
    """
    path, weights = Path(net), Path(weights)
    if images < 1:
        raise CalibrationError(f"images is {images}; must be at least 1")
    check_weights_file(weights)
    given = upgraded(Document.read(path))
    made = None if quantization is None else quantize_net(given, quantization)
    steps = options or CalibrationOptions()
    if tried is None:
        tried = STEPS if made and options is None else ()
    net_path, weights_path = _outputs(path, weights, output, quantization)
    for one in filter(None, (net_path, weights_path)):
        refuse_existing(one, force=force)
    document = Document(made.text if made else given.source, str(path))
    _check(document, changes_weights=steps.changes_weights or bool(tried))
    values = _values(path, given, images, data, pictures, inputs)
    fitted, held_out = _split(values) if tried else (values, values[:0])
    built, text = _build(
        document,
        weights,
        values.shape[1:],
        data,
        adds_biases=made is not None and (steps.correct_bias or "correct_bias" in tried),
    )
    (name,) = built.inputs
    batches = [{name: batch} for batch in batches_of(fitted)]
    if len(held_out):
        done = calibrate_by_trial(
            built, batches, [{name: batch} for batch in batches_of(held_out)], steps, tried
        )
    else:
        done = Tried(calibrate_net(built, batches, steps), (), steps)
    if not done.options.correct_bias and text != document.source:
        text, wide = document.source, built
        built = _deployed(text, document.name, values.shape[1:], data)
        _copy_blobs(wide, built)
    if net_path is not None and made is not None:
        made = replace(made, text=text)
        write_file(net_path, text_bytes(text), force=force)
    if weights_path.suffix == ".h5":
        built.save_hdf5(weights_path)
    else:
        built.save(weights_path)
    return Calibrated(
        done.rows, weights_path, made, net_path, len(fitted), len(held_out), done.trials
    )


def default_output(weights: StrPath) -> Path:
    """Where the command writes: beside the weights, with "_calibrated" in the name."""
    path = Path(weights)
    end = ".caffemodel.h5" if path.name.endswith(".caffemodel.h5") else path.suffix
    return path.with_name(f"{path.name.removesuffix(end)}_calibrated{end}")


def batches_of(values: NDArray[Any]) -> list[NDArray[Any]]:
    """Images in at least eight batches, as far as there are so many, none of which is large."""
    of_memory = -(-len(values) // max(1, _BATCH_VALUES // values[0].size))
    return list(np.array_split(values, max(of_memory, min(_BATCHES, len(values)))))


def _split(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Images to fit to, and others to try steps on: every fourth one."""
    held_out = np.zeros(len(values), bool)
    held_out[_EVERY - 1 :: _EVERY] = True
    held_out[_EVERY * _MOST :] = False
    return values[~held_out], values[held_out]


def _outputs(
    net: Path, weights: Path, output: StrPath | None, quantization: NetQuantization | None
) -> tuple[Path | None, Path]:
    """The prototxt and the weights that are written."""
    if quantization is None:
        return None, default_output(weights) if output is None else Path(output)
    if output is None:
        net_path = default_net(net, quantization)
        return net_path, net_path.with_suffix(".caffemodel")
    written = Path(output)
    end = ".caffemodel.h5" if written.name.endswith(".caffemodel.h5") else written.suffix
    return written.with_name(f"{written.name.removesuffix(end)}.prototxt"), written


def _check(document: Document, *, changes_weights: bool) -> None:
    """Refuse a net that nothing would become of.

    Raises:
        CalibrationError: it has no QuantizedActivation layer, or no quantised one at all.
    """
    layers = parse_net(document.source, document.name).layer
    quantised = [layer.type for layer in layers if layer.type.startswith(QUANTIZED)]
    if not quantised or (ACTIVATION not in quantised and not changes_weights):
        raise CalibrationError(
            f"{document.name}: no {ACTIVATION} layer, so there is no scale to fit; --weight-bits N "
            "--activation-bits N quantise the net, as `ul2q quantize` does"
        )


def _values(
    path: Path,
    document: Document,
    images: int,
    data: StrPath | None,
    pictures: Sequence[StrPath],
    inputs: PredictionOptions | None,
) -> NDArray[Any]:
    """The images as the net takes them."""
    options = inputs or PredictionOptions()
    if data is not None:
        options = replace(options, data=Path(data))
    net = parse_net(document.source, document.name)
    state = data_layers.net_state(net, caffe.TRAIN)
    if not pictures and data is not None:
        data_layers.use_folder(net, state, Path(data))
    found = list(pictures) or data_layers.sources(net, state)
    if not found and data is not None:
        found = [Path(data) / data_layers.LMDB_OF_PHASE[caffe.TRAIN]]
    if not found:
        raise CalibrationError(
            f"{path}: no Data layer in phase TRAIN whose images could be looked at; give "
            "--data DIR or --pictures PATH; ul2q.calibration.calibrate_net takes arrays from Python"
        )
    return load_inputs(path, found, options, count=images)


def _build(
    document: Document,
    weights: Path,
    shape: Sequence[int],
    data: StrPath | None,
    *,
    adds_biases: bool,
) -> tuple[caffe.Net, str]:
    """The net with its weights, without data layers, and the text of the whole net."""
    caffe.set_mode_cpu()
    text = document.source
    built = _deployed(text, document.name, shape, data)
    load_weights(built, weights, complete=True, net_name=document.name)
    if adds_biases:
        wider = add_missing_biases(Document(text, document.name))
        if wider != text:
            text = wider
            narrow, built = built, _deployed(text, document.name, shape, data)
            _copy_blobs(narrow, built)
    return built, text


def _copy_blobs(source: caffe.Net, net: caffe.Net) -> None:
    """Copy the parameters that both nets have, of which one may have more biases."""
    for name, blobs in net.params.items():
        for ours, theirs in zip(blobs, source.params[name], strict=False):
            ours.data[...] = theirs.data


def _deployed(text: str, name: str, shape: Sequence[int], data: StrPath | None) -> caffe.Net:
    param = parse_net(text, name)
    reads_data = any(not layer.bottom and layer.type != "Input" for layer in param.layer)
    if not param.input:
        shapes = None
        if reads_data:
            shapes = stored_shapes(
                Document(text, name), shape, None if data is None else Path(data)
            )
        param = parse_net(deploy_net(Document(text, name), shapes), name)
    built = caffe.Net.from_proto(param, caffe.TEST)
    if len(built.inputs) != 1:
        raise CalibrationError(
            f"{name}: its inputs are {', '.join(map(repr, built.inputs)) or 'none'}; there must be "
            "one; ul2q.calibration.calibrate_net takes arrays for several"
        )
    return built

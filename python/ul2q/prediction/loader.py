"""Find out how a net is used: its own data layer, the data folder and the user tell together."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
from caffe.proto import caffe_pb2

from ul2q.data.data_folder import DataFolder, read_classes, read_data_folder
from ul2q.deploy import DeployError
from ul2q.models.caffemodel import check_weights_file, read_caffemodel
from ul2q.models.packed import packed_blobs
from ul2q.models.stored_net import stored_net
from ul2q.models.weights import activations_without_averages
from ul2q.nets import data_layers
from ul2q.nets.deploy import deploy_net, deployed_inputs
from ul2q.nets.layer_types import ACTIVATION
from ul2q.nets.metrics import net_metrics
from ul2q.nets.prototxt import parse_net
from ul2q.nets.prototxt_text import Document
from ul2q.prediction.caffe_net import CaffeNet
from ul2q.prediction.errors import PredictionError
from ul2q.prediction.integer_net import IntegerNet
from ul2q.prediction.options import AnyPath, Engine, PredictionOptions
from ul2q.prediction.predictor import Predictor, Scorer
from ul2q.prediction.preprocessing import Channels, Preprocessing, read_mean
from ul2q.runtime import ModelError
from ul2q.util.input_file import require_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_log = logging.getLogger(__name__)

# The layers that a transform_param tells what is done to the pixels.
_TRANSFORMING = ("Data", "ImageData", "MemoryData")
_BATCH = 100  # where no data layer says another
_DEFAULT = PredictionOptions()
_PIXEL_COMMENT = re.compile(r"# (pixels [^\n]*)")  # what `deploy_net` notes beside an input


def load_predictor(
    net: AnyPath | None, weights: AnyPath, options: PredictionOptions = _DEFAULT
) -> Predictor:
    """A net with its weights and its preprocessing, ready to classify.

    The TEST data layer of a net that trains and tests tells what is done to the pixels: mean,
    scale, and the middle that is cut out. The folder of its LMDB, as `ul2q data` writes it, tells
    the images' size, how files were brought to it, the order of the channels, and the classes'
    names. Random mirroring is left out.

    A net without a data layer, as a deploy net, does not tell: mean and scale have to be given.

    Args:
        net: the prototxt; None: the net that the .caffemodel was saved from.
        weights: its .caffemodel or .caffemodel.h5.
        options: what net and data folder do not tell, or not so.

    Raises:
        FileNotFoundError: a file, or the data folder's LMDB, is missing.
        PrototxtError: the net is faulty, or there is nothing to deploy in it.
        PredictionError: the preprocessing is not known, or its parts do not go together; the net
            has several inputs, or no score a class.
        WeightsError: the weights are none, or do not belong to the net.
        DataError: import.json or the file of class names is damaged.
        DeployError, ModelError: the runtime does not take the net, and `options` ask for it.
        caffe.CaffeError: Caffe refuses the net.
    """
    weights = Path(weights)
    check_weights_file(weights)
    document = stored_net(weights) if net is None else Document.read(Path(net))
    net = weights if net is None else Path(net)
    training = _TrainingNet.read(document, str(net), options)
    folder = _data_folder(training, options)
    if training:
        shape = training.image_shape(folder, options)
        text = deploy_net(document, {training.top: (shape[0], *training.crop(shape))})
        scorer = CaffeNet(
            parse_net(text, str(net)),
            weights,
            name=str(net),
            compared=training.compared,
            blob=options.blob,
        )
        preprocessing = _training_preprocessing(training, folder, options)
    else:
        _given_transform(net, document, options)  # before the net is built, which may take long
        scorer = CaffeNet(_deployed(document), weights, name=str(net), blob=options.blob)
        preprocessing = _given_preprocessing(net, document, folder, options, scorer.input_shape)
    if unfitted := activations_without_averages(scorer.net):
        _log.warning(
            "%s has no averages for the activations of %s: they are fitted to each batch",
            weights,
            ", ".join(map(repr, unfitted)),
        )
    classes = folder.classes if folder else ()
    if options.classes:
        require_file(Path(options.classes), "the names of the classes, one a line (--classes)")
        classes = read_classes(Path(options.classes))
    return Predictor(
        _scorer(scorer, weights, options.engine),
        preprocessing,
        classes,
        batch=training.batch if training else _BATCH,
        ignored_label=training.ignored_label if training else None,
    )


def _scorer(net: CaffeNet, weights: Path, engine: Engine | None) -> Scorer:
    """What computes the scores, as of `PredictionOptions.engine`."""
    if engine:
        return IntegerNet(net) if engine == "runtime" else net
    if not (_is_packed(weights) and _has_quantized_activations(net)):
        return net
    try:
        return IntegerNet(net)
    except (DeployError, ModelError) as error:
        _log.warning("%s is computed by Caffe, in floats: %s", weights, error)
        return net


def _is_packed(weights: Path) -> bool:
    return weights.suffix != ".h5" and bool(packed_blobs(read_caffemodel(weights)))


def _has_quantized_activations(net: CaffeNet) -> bool:
    return any(layer.type == ACTIVATION for layer in net.net.layers)


def load_preprocessing(net: AnyPath, options: PredictionOptions = _DEFAULT) -> Preprocessing:
    """What images go through before a net sees them, for a net of any outputs.

    Args:
        net: the prototxt, as for `load_predictor`.
        options: what net and data folder do not tell; `size` is that of the input for a net without
            a data layer.

    Raises:
        FileNotFoundError, PrototxtError, PredictionError, DataError, caffe.CaffeError: as of
            `load_predictor`.
    """
    net = Path(net)
    document = Document.read(net)
    training = _TrainingNet.read(document, str(net), options)
    folder = _data_folder(training, options)
    if training:
        return _training_preprocessing(training, folder, options)
    _given_transform(net, document, options)
    caffe.set_mode_cpu()
    built = caffe.Net.from_proto(_deployed(document), caffe.TEST)
    shapes = {name: tuple(built.blobs[name].shape) for name in built.inputs}
    if len(shapes) != 1 or len(next(iter(shapes.values()))) != 4:
        raise PredictionError(
            f"{net}: its inputs are {', '.join(map(repr, shapes)) or 'none'}; there must be one, "
            "batch x channels x height x width"
        )
    ((_, channels, height, width),) = shapes.values()
    if options.size:
        height, width = options.size
    return _given_preprocessing(net, document, folder, options, (channels, height, width))


def _training_preprocessing(
    training: _TrainingNet, folder: DataFolder | None, options: PredictionOptions
) -> Preprocessing:
    shape = training.image_shape(folder, options)
    crop = training.crop(shape)
    return _preprocessing(shape, crop, training.mean(), training.scale, folder, options)


def _given_preprocessing(
    net: Path,
    document: Document,
    folder: DataFolder | None,
    options: PredictionOptions,
    input_shape: tuple[int, int, int],
) -> Preprocessing:
    """That of a net without a data layer, whose input is channels x height x width."""
    mean, scale = _given_transform(net, document, options)
    channels, *inputs = input_shape
    crop = (inputs[0], inputs[1])
    size = options.size or (folder.shape[1:] if folder else crop)
    return _preprocessing((channels, size[0], size[1]), crop, mean, scale, folder, options)


def _preprocessing(
    shape: tuple[int, int, int],
    crop: tuple[int, int],
    mean: NDArray[np.float32] | None,
    scale: float,
    folder: DataFolder | None,
    options: PredictionOptions,
) -> Preprocessing:
    return Preprocessing(
        channels=_channels(shape[0], folder, options),
        size=shape[1:],
        crop=crop,
        resize=options.resize or (folder.resize.how if folder and folder.resize else None),
        mean=_per_channel(mean, shape[0]),
        scale=scale,
        channel_count=shape[0],
    )


@dataclass(frozen=True)
class _TrainingNet:
    """A net that reads its test images by a layer that says what it does to them."""

    name: str
    layer: caffe_pb2.LayerParameter
    accuracy: caffe_pb2.LayerParameter | None

    @classmethod
    def read(cls, document: Document, name: str, options: PredictionOptions) -> _TrainingNet | None:
        """The net in a prototxt; None if it brings its input in another way."""
        net = parse_net(document.source, name)
        if net.input or net.layers:
            return None
        state = data_layers.net_state(net, caffe_pb2.TEST)
        inputs = deployed_inputs(net, name)
        if not any(layer.type in _TRANSFORMING for layer, _ in inputs):
            return None
        if len(inputs) != 1 or inputs[0][1] != [inputs[0][0].top[0]]:
            blobs = ", ".join(repr(top) for _, tops in inputs for top in tops)
            raise PredictionError(
                f"{name}: it computes with {blobs}; it must be one blob of images"
            )
        (layer, _), *_ = inputs
        if options.mean is not None or options.scale is not None:
            raise PredictionError(
                f"{name}: layer {layer.name!r} says what is done to the pixels (transform_param), "
                "so that --mean and --scale are for nets without a data layer"
            )
        if options.data is not None and layer.type == "Data":
            data_layers.use_folder(net, state, Path(options.data))
        metrics = net_metrics(net, state)
        accuracy = next(
            (
                one
                for one in net.layer
                if one.type == "Accuracy" and metrics.accuracy in one.top
                if data_layers.included(one, state)
            ),
            None,
        )
        return cls(name, layer, accuracy)

    @property
    def top(self) -> str:
        """The blob of images."""
        return str(self.layer.top[0])

    @property
    def folder(self) -> Path | None:
        """The folder of the database."""
        source = self.layer.data_param.source
        return Path(source).parent if source else None

    @property
    def batch(self) -> int:
        return int(self.layer.data_param.batch_size) or _BATCH

    @property
    def scale(self) -> float:
        return float(self.layer.transform_param.scale)

    @property
    def compared(self) -> str | None:
        """The blob that the Accuracy layer compares with the labels."""
        return str(self.accuracy.bottom[0]) if self.accuracy else None

    @property
    def ignored_label(self) -> int | None:
        if self.accuracy and self.accuracy.accuracy_param.HasField("ignore_label"):
            return int(self.accuracy.accuracy_param.ignore_label)
        return None

    def mean(self) -> NDArray[np.float32] | None:
        transform = self.layer.transform_param
        if transform.mean_file:
            path = Path(transform.mean_file)
            if not path.is_file():
                raise FileNotFoundError(
                    f"{path} is missing, which layer {self.layer.name!r} of {self.name} subtracts "
                    "(transform_param.mean_file); --data DIR reads that of another folder"
                )
            return read_mean(path)
        return _values(transform.mean_value)

    def image_shape(
        self, folder: DataFolder | None, options: PredictionOptions
    ) -> tuple[int, int, int]:
        """Channels, height and width of the images before the middle is cut out."""
        shape = folder.shape if folder else None
        if shape is None and self.layer.data_param.source:
            shape = data_layers.lmdb_shape(Path(self.layer.data_param.source))
        transform = self.layer.transform_param
        if shape is None and transform.mean_file:
            mean = self.mean()
            shape = mean.shape if mean is not None else None
        channels = shape[0] if shape else len(transform.mean_value)
        if options.channels:
            channels = 1 if options.channels == "gray" else 3
        size = options.size or (shape[1:] if shape else None)
        if not channels or not size:
            raise PredictionError(
                f"{self.name}: the size of its images is not known, as there is no "
                f"{self.layer.data_param.source or 'LMDB'}: give --data DIR, the folder that "
                "ul2q data made, or --size HxW and --channels"
            )
        return channels, size[0], size[1]

    def crop(self, shape: Sequence[int]) -> tuple[int, int]:
        """Height and width that the data layer cuts out."""
        cut = int(self.layer.transform_param.crop_size)
        return (cut, cut) if cut else (shape[1], shape[2])


def _data_folder(training: _TrainingNet | None, options: PredictionOptions) -> DataFolder | None:
    """What the folder of the net's data says; None if nothing stands there."""
    if options.data is not None:
        folder = Path(options.data)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder; ul2q data makes one")
        return read_data_folder(folder)
    return read_data_folder(training.folder) if training and training.folder else None


def _deployed(document: Document) -> caffe_pb2.NetParameter:
    """The net without losses; one in the old format is one that has none."""
    net = parse_net(document.source, document.name)
    if net.input or net.layers:
        return net
    return parse_net(deploy_net(document), document.name)


def _given_transform(
    net: Path, document: Document, options: PredictionOptions
) -> tuple[NDArray[np.float32] | None, float]:
    """Mean and scale of a net that does not say them."""
    if options.mean is None or options.scale is None:
        missing = " and ".join(
            name
            for name, value in (("--mean", options.mean), ("--scale", options.scale))
            if value is None
        )
        comment = _PIXEL_COMMENT.search(document.source)
        noted = f" (its comment: {comment[1]!r})" if comment else ""
        raise PredictionError(
            f"{net}: a net without a data layer does not say what its images went through{noted}: "
            f"give {missing} (--mean FILE, --mean 104,117,123 or --mean none; --scale 1 for none), "
            "or the net that trains and tests"
        )
    mean = options.mean
    if isinstance(mean, str | PathLike):
        return read_mean(mean), options.scale
    return _values(mean), options.scale


def _values(mean: Sequence[float]) -> NDArray[np.float32] | None:
    if not len(mean):
        return None
    return np.array(mean, np.float32)[:, np.newaxis, np.newaxis]


def _per_channel(mean: NDArray[np.float32] | None, channels: int) -> NDArray[np.float32] | None:
    """The mean, one value for all channels repeated for each."""
    if mean is not None and mean.shape == (1, 1, 1):
        return np.repeat(mean, channels, axis=0)
    return mean


def _channels(count: int, folder: DataFolder | None, options: PredictionOptions) -> Channels | None:
    """The order of the channels, so far as it is known."""
    if options.channels:
        return options.channels
    if count == 1:
        return "gray"
    return "bgr" if folder and folder.shape[0] == 3 and count == 3 else None

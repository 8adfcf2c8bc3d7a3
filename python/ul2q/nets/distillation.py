"""Join a net and a frozen teacher, whose softened outputs it learns, in one prototxt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.nets.data_layers import included, net_state
from ul2q.nets.deploy import brings_data
from ul2q.nets.layer_fields import layer_fields
from ul2q.nets.layer_types import ACTIVATION
from ul2q.nets.logits_path import HARD_LOSS, LogitsPath, input_layer
from ul2q.nets.new_names import NewNames
from ul2q.nets.prototxt import PrototxtError
from ul2q.nets.prototxt_text import Document, quoted
from ul2q.nets.quantization import OptionsError
from ul2q.nets.rewriter import upgraded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ul2q.nets.prototxt_text import Field
    from ul2q.util.paths import StrPath

LOSS = "DistillationLoss"
# The data layers that apply a transform_param to what they read.
_TRANSFORMING = ("Data", "ImageData", "MemoryData", "WindowData")
_TRANSFORM_FIELDS = ("scale", "mean_file", "mean_value", "force_color", "force_gray")
# Of PSPNet's BN, which testing gives the averages; SegNet's has none.
_AVERAGES_OF_BN = ("slope_filler", "bias_filler", "momentum", "frozen")


@dataclass(frozen=True)
class DistillationOptions:
    """How a student learns from its teacher.

    The loss is weight · T² · KL(teacher ‖ student) + hard_weight · the loss of the labels, as in
    Hinton, Vinyals and Dean, 2015.

    Attributes:
        temperature: T, above 0, by which the logits of both are divided.
        weight: of the DistillationLoss, above 0.
        hard_weight: what the loss_weight of the student's own losses is multiplied by, at least 0;
            None: 1 - weight, or 0 for a weight above 1.
        logits: the student's blob that learns; None: what its SoftmaxWithLoss reads.
        teacher_logits: the teacher's; None: what its SoftmaxWithLoss or Softmax reads.
        prefix: begins the names of the teacher's layers and blobs in the joint net.
    """

    temperature: float = 4.0
    weight: float = 0.9
    hard_weight: float | None = None
    logits: str | None = None
    teacher_logits: str | None = None
    prefix: str = "teacher_"

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            OptionsError: the message names the option.
        """
        for name in ("temperature", "weight"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise OptionsError(f"{name} is {value:g}; must be positive and finite")
        if not (math.isfinite(self.label_weight) and self.label_weight >= 0):
            raise OptionsError(f"hard_weight is {self.hard_weight:g}; must be 0 or more, finite")
        if not self.prefix:
            raise OptionsError("prefix is empty; the teacher's layers need names of their own")

    @property
    def label_weight(self) -> float:
        """The weight of the student's own losses."""
        return max(0.0, 1 - self.weight) if self.hard_weight is None else self.hard_weight


@dataclass(frozen=True)
class DistillationNet:
    """A student and its teacher in one net.

    Attributes:
        text: the prototxt.
        teacher: the teacher up to its logits behind an Input layer, by its own names.
        frozen: the same layers by their names in the joint net, likewise behind an Input layer.
        names: of each layer of the teacher's, its name in the joint net.
        notes: what else there is to know, a sentence each.
    """

    text: str
    teacher: caffe_pb2.NetParameter
    frozen: caffe_pb2.NetParameter
    names: dict[str, str]
    notes: tuple[str, ...]


def distil_net(
    student: StrPath | Document,
    teacher: StrPath | Document,
    options: DistillationOptions | None = None,
    *,
    shape: Sequence[int] | None = None,
    data: StrPath | None = None,
) -> DistillationNet:
    """Give a net that trains a frozen teacher in phase TRAIN.

    - The teacher's layers that its logits need, as phase TEST has them, stand behind the student's
      data layer and read its top. Their data layers go, and so do losses and accuracies. Their
      names, and those of their tops and shared parameters, get the prefix.
    - Each has `lr_mult: 0` and `decay_mult: 0` for each of its blobs, `propagate_down: false` for
      each bottom, and is there in phase TRAIN alone. BatchNorm has `use_global_stats: true`, and no
      Dropout drops.
    - A DistillationLoss of both logits stands before the student's SoftmaxWithLoss, with its axis,
      normalization and ignore_label. The student's own losses stay, times `hard_weight`.

    All else of the student's text stays, comments too.

    Args:
        student: the path of the prototxt of a net that trains, or a `Document`.
        teacher: a net that trains and tests, or one that is deployed.
        options: how it learns.
        shape: of one image, channels x height x width, as the student sees it; None: what its data
            layer tells, or the LMDB that it reads.
        data: a folder with train_lmdb, read for the shape in the place of the data layer's.

    Raises:
        FileNotFoundError: there is no such file, or no train_lmdb in `data`.
        PrototxtError: one of the nets is faulty, has no logits or several, or several inputs; the
            teacher's input is of another shape than the student's, or its pixels are transformed
            in another way; a layer of the teacher's changes in training; the logits differ in
            shape; names clash. The message names net, layer and blob.
        OptionsError: a blob of the options is not there.
        caffe.CaffeError: Caffe refuses one of the nets for images of this shape.
    """
    options = options or DistillationOptions()
    document, source = (
        upgraded(one if isinstance(one, Document) else Document.read(Path(one)))
        for one in (student, teacher)
    )
    learner = LogitsPath.of(document, caffe_pb2.TRAIN, "logits", options.logits)
    known = LogitsPath.of(source, caffe_pb2.TEST, "teacher_logits", options.teacher_logits)
    size = tuple(shape) if shape is not None else learner.image_shape(data)
    notes = _compare_inputs(learner, known, size)
    notes += _refuse_changes(known)
    shapes = [one.logits_shape(size) for one in (learner, known)]
    if shapes[0] != shapes[1]:
        of_student, of_teacher = (" x ".join(map(str, one[1:])) for one in shapes)
        raise PrototxtError(
            f"{known.name}: the teacher's logits {known.logits!r} are {of_teacher} for an image, "
            f"the student's {learner.logits!r} {of_student} ({learner.name}): both must tell the "
            "same classes"
        )
    frozen = _Frozen(known, learner, options.prefix, size)
    text = _joined(document, learner, known, frozen, options)
    notes += frozen.notes
    return DistillationNet(
        text, known.behind_input(size), frozen.behind_input(size), frozen.names, tuple(notes)
    )


class _Frozen:
    """The teacher's layers as they stand in the joint net.

    Attributes:
        layers: in order.
        names: of each layer of the teacher's with its own name, that here.
        logits: the blob.
        notes: what else there is to know.
    """

    def __init__(
        self, known: LogitsPath, learner: LogitsPath, prefix: str, size: Sequence[int]
    ) -> None:
        self._input = learner.top
        # The student's data are never written to: a layer in place on its own has another top here.
        self._blobs = {known.top: learner.top}
        self.names: dict[str, str] = {}
        self.notes: list[str] = []
        built = caffe.Net.from_proto(known.behind_input(size), caffe.TEST)
        self.layers = [
            self._layer(known.net.layer[i], prefix, len(built.params.get(name, ())))
            for i in known.layers
            for name in [known.net.layer[i].name]
        ]
        self.logits = self._blobs[known.logits]
        taken = {name for layer in learner.net.layer for name in (layer.name, *layer.top)}
        ours = {name for layer in self.layers for name in (layer.name, *layer.top)}
        if clash := sorted(taken & ours):
            raise PrototxtError(
                f"{learner.name}: has {clash[0]!r} already, as a layer of the teacher's would be "
                f"called; give another prefix than {prefix!r}"
            )

    def _layer(
        self, own: caffe_pb2.LayerParameter, prefix: str, blobs: int
    ) -> caffe_pb2.LayerParameter:
        layer = caffe_pb2.LayerParameter()
        layer.CopyFrom(own)
        for field in ("include", "exclude", "loss_weight", "propagate_down", "phase"):
            layer.ClearField(field)
        self.names[own.name] = layer.name = prefix + own.name
        layer.bottom[:] = [self._blobs[name] for name in own.bottom]
        self._blobs.update({name: prefix + name for name in own.top})
        layer.top[:] = [self._blobs[name] for name in own.top]
        if layer.type == "Dropout":
            layer.type = "Power"  # without fields, a copy
            layer.ClearField("dropout_param")
        elif layer.type == "BatchNorm":
            layer.batch_norm_param.use_global_stats = True
        elif layer.type == "BN" and any(map(layer.bn_param.HasField, _AVERAGES_OF_BN)):
            layer.bn_param.frozen = True
        shared = [param.name for param in own.param]
        del layer.param[:]
        for index in range(blobs):
            param = layer.param.add(lr_mult=0, decay_mult=0)
            if index < len(shared) and shared[index]:
                param.name = prefix + shared[index]
        layer.propagate_down.extend([False] * len(layer.bottom))
        layer.include.add(phase=caffe_pb2.TRAIN)
        return layer

    def behind_input(self, size: Sequence[int]) -> caffe_pb2.NetParameter:
        """The layers and an Input layer for one image, to run in phase TRAIN."""
        layers = [input_layer(self._input, size), *self.layers]
        return caffe_pb2.NetParameter(name="teacher", layer=layers)


def _compare_inputs(learner: LogitsPath, known: LogitsPath, size: Sequence[int]) -> list[str]:
    """Refuse a teacher that would see other images than it was trained with.

    Returns:
        Notes on what could not be compared.
    """
    ours, theirs = learner.data_layer, known.data_layer
    try:
        wanted = known.image_shape(None)
    except PrototxtError:  # not told but for the crop; Caffe refuses weights of other images
        crop = theirs.transform_param.crop_size
        wanted = (size[0], crop, crop) if crop else tuple(size)
    if wanted != tuple(size):
        raise PrototxtError(
            f"{known.name}: the teacher's input {known.top!r} is {_times(wanted)} (layer "
            f"{theirs.name!r}), the student's {learner.top!r} {_times(size)} (layer {ours.name!r} "
            f"of {learner.name}): the teacher must take the student's images"
        )
    if ours.type not in _TRANSFORMING or theirs.type not in _TRANSFORMING:
        other = theirs if theirs.type not in _TRANSFORMING else ours
        whose = "teacher's" if other is theirs else "student's"
        return [
            f"the {whose} layer {other.name!r} ({other.type}) does not tell what was done to its "
            "pixels: the teacher must have been trained on what the student's data layer gives"
        ]
    for field in _TRANSFORM_FIELDS:
        told = [_told(layer.transform_param, field) for layer in (ours, theirs)]
        if told[0] != told[1]:
            raise PrototxtError(
                f"{known.name}: transform_param.{field} of the teacher's layer {theirs.name!r} is "
                f"{told[1]}, of the student's layer {ours.name!r} {told[0]} ({learner.name}): the "
                "teacher must see the pixels that it was trained on; train one of them anew, or "
                "write the difference into the teacher as a Power or Scale layer behind its data"
            )
    return []


def _refuse_changes(known: LogitsPath) -> list[str]:
    """Refuse a teacher that is another net in phase TRAIN, whatever its learning rates.

    Returns:
        Notes on layers that may be.
    """
    notes = []
    for i in known.layers:
        layer = known.net.layer[i]
        stochastic = (
            layer.type == "Pooling"
            and layer.pooling_param.pool == caffe_pb2.PoolingParameter.STOCHASTIC
        )
        if layer.type == ACTIVATION or stochastic:
            why = "pools at random" if stochastic else "goes on fitting its scale"
            raise PrototxtError(
                f"{known.name}: layer {layer.name!r} ({layer.type}) {why} in training; take a "
                "teacher without such layers, as the float net is"
            )
        if layer.type == "Python":
            notes.append(
                f"the teacher's layer {layer.name!r} (Python) must do in training what it does in "
                "testing"
            )
    return notes


def _joined(
    document: Document,
    learner: LogitsPath,
    known: LogitsPath,
    frozen: _Frozen,
    options: DistillationOptions,
) -> str:
    """The text of the joint net."""
    entries = layer_fields(document)
    behind = learner.source
    while behind + 1 < len(entries) and brings_data(learner.net.layer[behind + 1]):
        behind += 1
    for layer in frozen.layers:
        document.insert_after(entries[behind], "layer", list(_fields(layer)))
    hard = _hard_loss(learner)
    place = len(entries) - 1 if hard is None else hard - 1
    loss = _loss_layer(learner, frozen, hard, options)
    document.insert_after(entries[place], "layer", list(_fields(loss)))
    if options.label_weight != 1:
        _weigh_losses(entries, learner, document, options.label_weight)
    heading = (
        f"# With {frozen.layers[0].name!r} to {frozen.logits!r}, the frozen teacher of "
        f"{Path(known.name).name}, in phase TRAIN: `ul2q distil`."
    )
    return f"{heading}{document.newline}{document}"


def _hard_loss(learner: LogitsPath) -> int | None:
    """The index of the student's loss that compares the logits with labels."""
    state = net_state(learner.net, learner.phase)
    for i, layer in enumerate(learner.net.layer):
        if layer.type == HARD_LOSS and included(layer, state) and layer.bottom[0] == learner.logits:
            return i
    return None


def _loss_layer(
    learner: LogitsPath, frozen: _Frozen, hard: int | None, options: DistillationOptions
) -> caffe_pb2.LayerParameter:
    names = NewNames(learner.net)
    name = names.new("distillation_loss")
    loss = caffe_pb2.LayerParameter(
        name=name,
        type=LOSS,
        bottom=[learner.logits, frozen.logits],
        top=[name],
        loss_weight=[options.weight],
        propagate_down=[True, False],
    )
    loss.distillation_loss_param.temperature = options.temperature
    loss.include.add(phase=caffe_pb2.TRAIN)
    if hard is not None:
        own = learner.net.layer[hard]
        for field in ("loss_param", "softmax_param"):
            if own.HasField(field):
                getattr(loss, field).CopyFrom(getattr(own, field))
        if own.loss_param.HasField("ignore_label"):
            loss.bottom.append(own.bottom[1])
            loss.propagate_down.append(False)
    return loss


def _weigh_losses(
    entries: Sequence[Field], learner: LogitsPath, document: Document, factor: float
) -> None:
    """Multiply the weights of the student's own losses in phase TRAIN."""
    state = net_state(learner.net, learner.phase)
    for entry, layer in zip(entries, learner.net.layer, strict=True):
        if entry.block is None or not included(layer, state) or layer.type == LOSS:
            continue
        if weights := entry.block.all("loss_weight"):
            texts = [f"loss_weight: {_number(factor * one)}" for one in layer.loss_weight]
            document.replace(weights[0], " ".join(texts))
            for other in weights[1:]:
                if other.start != weights[0].start:
                    document.remove(other)
        elif layer.type.endswith("Loss"):
            document.append(entry.block, f"loss_weight: {_number(factor)}")


def _fields(layer: caffe_pb2.LayerParameter) -> Iterator[str]:
    """The text of each field of a layer, name, type, bottoms and tops first."""
    yield f"name: {quoted(layer.name)}"
    yield f"type: {quoted(layer.type)}"
    for field in ("bottom", "top"):
        yield from (f"{field}: {quoted(blob)}" for blob in getattr(layer, field))
    names = [descriptor.name for descriptor, _ in layer.ListFields()]
    for name in names:
        if name not in ("name", "type", "bottom", "top"):
            one = caffe_pb2.LayerParameter()
            one.CopyFrom(layer)
            for other in names:
                if other != name:
                    one.ClearField(other)
            yield text_format.MessageToString(one, as_one_line=True, as_utf8=True).strip()


def _told(transform: caffe_pb2.TransformationParameter, field: str) -> str:
    value = getattr(transform, field)
    if field == "mean_value":
        return ", ".join(map(_number, value)) or "not given"
    if field == "scale":
        return _number(value)
    return repr(value)


def _number(value: float) -> str:
    return f"{value:.7g}"


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))

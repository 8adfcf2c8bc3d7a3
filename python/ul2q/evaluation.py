"""Evaluates a trained net on its test data."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
from caffe.proto import caffe_pb2

from ul2q.data.data_folder import read_data_folder
from ul2q.errors import UserError
from ul2q.models.caffemodel import check_weights_file
from ul2q.models.weights import activations_without_averages, load_weights, told
from ul2q.nets import data_layers
from ul2q.nets.class_scores import ClassCounts, score_blobs
from ul2q.nets.layer_checks import check_layers, place_of_error
from ul2q.nets.metrics import Metrics, net_metrics
from ul2q.nets.net_outputs import at_layer_not_finite, mean_outputs, not_finite
from ul2q.nets.prototxt import read_net

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ul2q.util.paths import StrPath

TOP = 5  # places among which the image's own class is looked for, too

_log = logging.getLogger(__name__)


class EvaluationError(UserError, ValueError):
    """A net that cannot be evaluated as it stands."""


@dataclass(frozen=True)
class Evaluation:
    """What a test of a net gives.

    Attributes:
        net: its file.
        weights: the file with its weights.
        outputs: the mean of every output over the batches.
        metrics: which of them are accuracies and losses.
        iterations: how many batches there were.
        data: the databases that were read.
        counts: which class the images were taken for; None if the net has no Accuracy layer.
    """

    net: Path
    weights: Path
    outputs: dict[str, float]
    metrics: Metrics
    iterations: int
    data: tuple[Path, ...]
    counts: ClassCounts | None

    def class_names(self) -> list[str]:
        """A name for each class: those of the data's folder, if it has one for each, or the labels.

        Raises:
            DataError: what stands in the folder is damaged.
        """
        classes = len(self.counts.ranks) if self.counts else 0
        folder = read_data_folder(self.data[0].parent) if self.data else None
        known = folder.classes if folder else ()
        return list(known) if len(known) == classes else [str(label) for label in range(classes)]

    def class_table(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """Headings and rows: for each class its name, how many images it has, and its accuracy.

        Raises:
            EvaluationError: the net has no Accuracy layer.
            DataError: what stands in the data's folder is damaged.
        """
        return self._require_counts().class_table(self.class_names())

    def confusion_table(self) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
        """Headings and rows: for each class, how many of its images were taken for which.

        Raises:
            EvaluationError, DataError: as of `class_table`.
        """
        return self._require_counts().confusion_table(self.class_names())

    @property
    def top_accuracy(self) -> float | None:
        """The share of images whose class is among the first five; None for so few classes."""
        if self.counts is None or len(self.counts.ranks) <= TOP:
            return None
        return self.counts.accuracy(TOP)

    def _require_counts(self) -> ClassCounts:
        if self.counts is None:
            raise EvaluationError(
                f"{self.net} has no Accuracy layer, which knows scores and labels"
            )
        return self.counts

    def as_json(self) -> dict[str, Any]:
        """All numbers, as the module `json` writes them.

        Raises:
            DataError: what stands in the data's folder is damaged.
        """
        result: dict[str, Any] = {
            "weights": str(self.weights),
            "outputs": self.outputs,
            "iterations": self.iterations,
            "data": [str(source) for source in self.data],
        }
        if self.counts is None:
            return result
        totals = self.counts.confusion.sum(axis=1).tolist()
        rows = zip(self.class_names(), totals, self.counts.class_accuracies(), strict=True)
        return {
            **result,
            "images": self.counts.images,
            "accuracy": self.counts.accuracy(),
            "top5_accuracy": self.counts.accuracy(TOP),
            "classes": [
                {"name": name, "images": total, "accuracy": accuracy}
                for name, total, accuracy in rows
            ],
            "confusion": self.counts.confusion.tolist(),
        }


def evaluate(
    net: StrPath, weights: StrPath, *, iterations: int | None = None, data: StrPath | None = None
) -> dict[str, float]:
    """The mean of every output of a net in phase TEST: the `outputs` of `evaluate_net`."""
    return evaluate_net(net, weights, iterations=iterations, data=data).outputs


def evaluate_net(
    net: StrPath, weights: StrPath, *, iterations: int | None = None, data: StrPath | None = None
) -> Evaluation:
    """Test a net on its test data: the mean of every output over `iterations` batches, and more.

    An output of several numbers gives one entry each: `name[0]`, `name[1]`, …

    Args:
        net: a NetParameter as text, with a data layer in phase TEST.
        weights: a .caffemodel or .caffemodel.h5 that holds every layer of the net that has
            parameters. It may lack QuantizedActivation layers, as a float net's does: they then
            fit each batch, and a warning is logged.
        iterations: how many batches; None for one pass over the LMDB. If the batch size does
            not divide its entries, the pass is rounded up, a warning is logged, and the first
            entries count twice.
        data: a folder with test_lmdb for the Data layers to read.

    Raises:
        FileNotFoundError: a file or a database is missing.
        PrototxtError: the net is faulty.
        WeightsError: the weights file is no such file, or lacks a layer.
        EvaluationError: the net has inputs in place of data, iterations is below 1, or None
            and the length of a pass is not known; or an output is NaN or infinite.
        caffe.CaffeError: Caffe refuses the net.
    """
    net = Path(net)
    weights = Path(weights)
    data = None if data is None else Path(data)
    if iterations is not None and iterations < 1:
        raise EvaluationError(f"iterations must be at least 1, it is {iterations}")
    param = read_net(net)
    check_weights_file(weights)
    state = data_layers.net_state(param, caffe_pb2.TEST)
    check_layers(param, state, str(net))
    if data is not None:
        data_layers.use_folder(param, state, data)
    sources = data_layers.sources(param, state)
    if param.input or any(layer.type == "Input" for layer in param.layer):
        raise EvaluationError(
            f"{net} takes its input from outside, as a deploy net does: give one with a data layer"
        )
    if iterations is None:
        iterations = _one_pass(net, param, state)
    caffe.set_mode_cpu()
    built = _build(param, net)
    not_taken = load_weights(built, weights, complete=True, net_name=str(net))
    known = {layer.name for layer in param.layer}  # of phase TRAIN, too, as a teacher's
    if foreign := [one for one in not_taken if one.layer not in known]:
        _log.warning("%s", told(foreign, weights, str(net)))
    if unfitted := activations_without_averages(built):
        _log.warning(
            "%s has no averages for the activations of %s: they are fitted to each batch; "
            "`ul2q calibrate` gathers them",
            weights,
            ", ".join(map(repr, unfitted)),
        )
    blobs, counts = score_blobs(param, state), ClassCounts()
    outputs = mean_outputs(
        built, iterations, after_batch=lambda: counts.add(built, blobs) if blobs else None
    )[0]
    if wrong := not_finite(outputs):
        raise EvaluationError(
            f"{net} with {weights}: output {wrong}{at_layer_not_finite(built)}; these weights "
            "have diverged, or the data do not fit them"
        )
    return Evaluation(
        net=net,
        weights=weights,
        outputs=outputs,
        metrics=net_metrics(param, state),
        iterations=iterations,
        data=tuple(sources),
        counts=counts if counts.images else None,
    )


def _build(param: caffe_pb2.NetParameter, path: Path) -> caffe.Net:
    try:
        return caffe.Net.from_proto(param, caffe.TEST)
    except caffe.CaffeFileNotFoundError:
        raise
    except caffe.CaffeError as error:
        place = place_of_error(str(error), [str(path)]) or f"{path}: "
        raise caffe.CaffeError(f"{place}{error}") from error


def _one_pass(path: Path, net: caffe_pb2.NetParameter, state: caffe_pb2.NetState) -> int:
    """How many batches it takes to see every entry of the net's LMDBs once."""
    passes = set(_passes(net, state))
    if len(passes) != 1:
        known = "has several" if passes else "has no LMDB to tell"
        raise EvaluationError(f"{path} {known} length of one pass: give --iterations N")
    return passes.pop()


def _passes(net: caffe_pb2.NetParameter, state: caffe_pb2.NetState) -> Iterator[int]:
    for layer in data_layers.data_layers(net, state):
        if layer.data_param.backend != caffe_pb2.DataParameter.LMDB:
            continue
        batch = layer.data_param.batch_size
        entries = data_layers.lmdb_entries(Path(layer.data_param.source))
        if batch < 1 or entries < 1:
            raise EvaluationError(
                f"layer {layer.name!r}: batch_size is {batch} and its LMDB has {entries} entries; "
                "both must be at least 1"
            )
        iterations = -(-entries // batch)
        if entries % batch:
            _log.warning(
                "layer %r: batch_size %d does not divide %d entries; %d iterations count the "
                "first %d entries twice",
                layer.name,
                batch,
                entries,
                iterations,
                iterations * batch - entries,
            )
        yield iterations

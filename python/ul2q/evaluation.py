"""Evaluates a trained net on its test data."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
from caffe.proto import caffe_pb2

from ul2q.errors import UserError
from ul2q.models.caffemodel import check_weights_file
from ul2q.models.weights import activations_without_averages, load_weights, told
from ul2q.nets import data_layers
from ul2q.nets.layer_checks import check_layers, place_of_error
from ul2q.nets.net_outputs import at_layer_not_finite, mean_outputs, not_finite
from ul2q.nets.prototxt import read_net

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)


class EvaluationError(UserError, ValueError):
    """A net that cannot be evaluated as it stands."""


def evaluate(
    net: Path, weights: Path, *, iterations: int | None = None, data: Path | None = None
) -> dict[str, float]:
    """The mean of every output of a net in phase TEST over `iterations` batches.

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
    if iterations is not None and iterations < 1:
        raise EvaluationError(f"iterations must be at least 1, it is {iterations}")
    param = read_net(net)
    check_weights_file(weights)
    state = data_layers.net_state(param, caffe_pb2.TEST)
    check_layers(param, state, str(net))
    if data is not None:
        data_layers.use_folder(param, state, data)
    data_layers.sources(param, state)
    if param.input or any(layer.type == "Input" for layer in param.layer):
        raise EvaluationError(
            f"{net} takes its input from outside, as a deploy net does: give one with a data layer"
        )
    if iterations is None:
        iterations = _one_pass(net, param, state)
    caffe.set_mode_cpu()
    built = _build(param, net)
    not_taken = load_weights(built, weights, complete=True, net_name=str(net))
    if foreign := [one for one in not_taken if one.layer not in built.params]:
        _log.warning("%s", told(foreign, weights, str(net)))
    if unfitted := activations_without_averages(built):
        _log.warning(
            "%s has no averages for the activations of %s: they are fitted to each batch",
            weights,
            ", ".join(map(repr, unfitted)),
        )
    outputs = mean_outputs(built, iterations)[0]
    if wrong := not_finite(outputs):
        raise EvaluationError(
            f"{net} with {weights}: output {wrong}{at_layer_not_finite(built)}; these weights "
            "have diverged, or the data do not fit them"
        )
    return outputs


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

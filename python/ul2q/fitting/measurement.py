"""Measure the options of a net with trained weights, choose, and fit the activations' scales."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import caffe

from ul2q.calibration import gather_activation_averages
from ul2q.fitting.candidates import (
    AUTO,
    Candidate,
    FittingError,
    activation_quantizations,
    choose,
    quantizations,
)
from ul2q.fitting.net_errors import given, layer_errors, outputs, outputs_error, weight_errors
from ul2q.models.weights import load_weights
from ul2q.nets.deploy import deploy_net
from ul2q.nets.layer_types import ACTIVATION
from ul2q.nets.prototxt import parse_net
from ul2q.nets.prototxt_text import Document
from ul2q.nets.rewriter import quantize_net, upgraded

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ul2q.fitting.net_errors import Batch
    from ul2q.nets.quantization import NetQuantization
    from ul2q.util.paths import StrPath


@dataclass(frozen=True)
class Measurement:
    """What the options do to a net, and which are taken.

    Attributes:
        candidates: each fit and granularity of weights, the simplest first; their `net_error` is
            that of quantised weights alone.
        chosen: the options with those that were free filled in.
        activation_errors: by method and fit of the activations, the net's relative output error
            with weights and activations quantised; empty if activations stay float, or without
            inputs.
        net: the quantised net with its weights and the averages of its activations, in phase TEST
            without data layers; None if activations stay float, or without inputs.
    """

    candidates: tuple[Candidate, ...]
    chosen: NetQuantization
    activation_errors: dict[tuple[str, str], float]
    net: caffe.Net | None

    @property
    def taken(self) -> Candidate:
        """The candidate that was chosen."""
        return next(
            one
            for one in self.candidates
            if (one.fit, one.granularity) == (self.chosen.fit, self.chosen.granularity)
        )

    @property
    def better(self) -> Candidate | None:
        """What would be chosen if all were free, where that is another one."""
        best = choose(self.candidates, self.chosen, AUTO)
        return None if best.error > 0.9 * self.taken.error else best

    @property
    def net_error(self) -> float | None:
        """The relative output error of the net that comes out; None without inputs."""
        return self.activation_errors.get(_key(self.chosen), self.taken.net_error)


def measure(
    net: StrPath | Document,
    weights: StrPath,
    options: NetQuantization,
    *,
    free: Collection[str] = (),
    batches: Sequence[Batch] = (),
    calibration: Sequence[Batch] = (),
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Measurement:
    """Measure each fit and granularity on trained weights, and choose.

    With inputs, the outputs of the quantised net are compared with those of the float net.

    Args:
        net: the path of a prototxt, or `Document(text)`.
        weights: its .caffemodel or .caffemodel.h5.
        options: how it is to be quantised.
        free: the fields of `options`, of `AUTO`, that are to be chosen: the simplest one whose
            error is at most 1.1 times the least. Without inputs, `activation_fit` becomes
            "empirical".
        batches: inputs of the deployed net, float32; all errors of outputs are those on them.
        calibration: others, which the scales of activations are fitted to, as
            `gather_activation_averages` does; few large batches see more of the extremes than many
            small ones. None: `batches`.
        shapes: by blob, the shape of one example, for a net with data layers that do not say it.

    Raises:
        FileNotFoundError: a file is missing.
        PrototxtError, OptionsError: as of `quantize_net` and `deploy_net`.
        WeightsError: the weights are none, or not those of the net.
        FittingError: the batches are not for the net's inputs.
        caffe.CaffeError: Caffe refuses the net, or a value is not finite.
    """
    document = upgraded(net if isinstance(net, Document) else Document.read(Path(net)))
    measured = _Nets(document, Path(weights), dict(shapes or {}))
    float_net = measured.float()
    _check([*batches, *calibration], float_net, document.name)
    expected = outputs(float_net, batches)
    alone = replace(options, activation_bits=None, activation_method=None)
    nets = {(one.fit, one.granularity): measured.quantized(one) for one in quantizations(alone)}
    by_layer = layer_errors(float_net, {" ".join(key): one for key, one in nets.items()}, batches)
    candidates = tuple(
        Candidate(
            fit,
            granularity,
            weight_errors(one),
            by_layer[f"{fit} {granularity}"],
            outputs_error(expected, outputs(one, batches)) if batches else None,
        )
        for (fit, granularity), one in nets.items()
    )
    taken = choose(candidates, options, free)
    chosen = replace(options, fit=taken.fit, granularity=taken.granularity)
    if not chosen.quantizes_activations or not batches:
        if "activation_fit" in free and chosen.quantizes_activations:
            chosen = replace(chosen, activation_fit="empirical")
        return Measurement(candidates, chosen, {}, None)
    errors: dict[tuple[str, str], float] = {}
    calibrated: dict[tuple[str, str], tuple[NetQuantization, caffe.Net]] = {}
    for option in activation_quantizations(chosen, free):
        one = measured.quantized(option)
        if any(layer.type == ACTIVATION for layer in one.layers):  # not where inputs are all
            gather_activation_averages(one, given(one, calibration or batches))
        errors[_key(option)] = outputs_error(expected, outputs(one, batches))
        calibrated[_key(option)] = option, one
    best = min(errors, key=lambda key: errors[key])
    return Measurement(candidates, calibrated[best][0], errors, calibrated[best][1])


def _key(options: NetQuantization) -> tuple[str, str]:
    """Method and fit of activations."""
    return options.activation_method or "ul2q", options.activation_fit


class _Nets:
    """Builds nets with the weights, in phase TEST and without data layers."""

    def __init__(
        self, document: Document, weights: Path, shapes: Mapping[str, Sequence[int]]
    ) -> None:
        self._source, self._name = document.source, document.name
        self._weights = weights
        self._shapes = shapes
        caffe.set_mode_cpu()

    def float(self) -> caffe.Net:
        """The net as it is."""
        return self._build(self._source)

    def quantized(self, options: NetQuantization) -> caffe.Net:
        """The net as `quantize_net` makes it."""
        return self._build(quantize_net(Document(self._source, self._name), options).text)

    def _build(self, text: str) -> caffe.Net:
        param = parse_net(text, self._name)
        if not param.input:
            text = deploy_net(Document(text, self._name), self._shapes)
            param = parse_net(text, self._name)
        net = caffe.Net.from_proto(param, caffe.TEST)
        load_weights(net, self._weights, complete=True, net_name=self._name)
        return net


def _check(batches: Sequence[Batch], net: caffe.Net, name: str) -> None:
    for batch in batches:
        if batch.keys() != set(net.inputs):
            raise FittingError(
                f"{name}: the net takes {', '.join(map(repr, net.inputs)) or 'no inputs'}, and a "
                f"batch has {', '.join(map(repr, batch)) or 'none'}"
            )

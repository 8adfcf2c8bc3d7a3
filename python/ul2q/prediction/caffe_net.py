"""Scores by Caffe: the net without data and losses, and which of its blobs ranks the classes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import caffe

from ul2q.models.weights import load_weights
from ul2q.nets.net_outputs import at_layer_not_finite, not_finite
from ul2q.prediction.errors import PredictionError
from ul2q.util.near_names import near_names

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from caffe.proto import caffe_pb2
    from numpy.typing import NDArray

    from ul2q.prediction.options import Engine


class Scores(NamedTuple):
    """What a net says of some images.

    Attributes:
        ranking: images x classes, float32: by which classes are compared, as the Accuracy layer
            does; before the softmax, whose rounding can make two classes equal.
        output: images x classes, float32: what is told, probabilities where the net ends in them.
    """

    ranking: NDArray[np.float32]
    output: NDArray[np.float32]


class CaffeNet:
    """A net that Caffe runs on the CPU."""

    engine: Engine = "caffe"

    def __init__(
        self,
        param: caffe_pb2.NetParameter,
        weights: Path,
        *,
        name: str,
        compared: str | None = None,
        blob: str | None = None,
    ) -> None:
        """Build the net and load its weights.

        Args:
            param: the net without data layers, with one input N x C x H x W.
            weights: its .caffemodel or .caffemodel.h5.
            name: of the net's file, for messages.
            compared: the blob that the Accuracy layer of the training net compares with the
                labels, if there is one.
            blob: the output that has the scores; None if the net has one output, or if `compared`
                leads to it.

        Raises:
            PredictionError: the net has several inputs, or outputs and `blob` is not given, or
                its output is not a score a class.
            WeightsError: the weights are none, or do not belong to the net.
            caffe.CaffeError: Caffe refuses the net.
        """
        caffe.set_mode_cpu()
        self._name = name
        self._net = caffe.Net.from_proto(param, caffe.TEST)
        if len(self._net.inputs) != 1 or len(self._net.blobs[self._net.inputs[0]].shape) != 4:
            raise PredictionError(
                f"{name}: its inputs are {', '.join(map(repr, self._net.inputs)) or 'none'}; "
                "there must be one, batch x channels x height x width"
            )
        self._weights = weights
        self._output, self._ranking = _scores(param, self._net.outputs, name, compared, blob)
        shape = self._net.blobs[self._output].shape
        if len(shape) < 2 or math.prod(shape[2:]) != 1:
            raise PredictionError(
                f"{name}: output {self._output!r} is {' x '.join(map(str, shape))}, which is not "
                "one score a class: images x classes"
            )
        load_weights(self._net, weights, complete=True)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        _, channels, height, width = self._net.blobs[self._net.inputs[0]].shape
        return channels, height, width

    @property
    def classes(self) -> int:
        """How many classes get a score."""
        return int(self._net.blobs[self._output].shape[1])

    @property
    def output(self) -> str:
        """The blob whose scores are told."""
        return self._output

    @property
    def ranking(self) -> str:
        """The blob by which classes are compared."""
        return self._ranking

    @property
    def net(self) -> caffe.Net:
        """The net itself."""
        return self._net

    def scores(self, inputs: NDArray[np.float32]) -> Scores:
        """Run the net.

        Args:
            inputs: images x channels x height x width.

        Raises:
            PredictionError: a score is NaN or infinite.
        """
        blob = self._net.blobs[self._net.inputs[0]]
        if tuple(blob.shape) != inputs.shape:
            blob.reshape(*inputs.shape)
            self._net.reshape()
        blob.data[...] = inputs
        self._net.forward()
        ranking, output = (
            self._net.blobs[name].data.reshape(len(inputs), -1).copy()
            for name in (self._ranking, self._output)
        )
        if wrong := not_finite({self._ranking: float(ranking.sum())}):
            raise PredictionError(
                f"{self._name} with {self._weights}: output {wrong}"
                f"{at_layer_not_finite(self._net)}; these weights have "
                "diverged, or the images do not fit them"
            )
        return Scores(ranking, output)


def _scores(
    net: caffe_pb2.NetParameter,
    outputs: Sequence[str],
    name: str,
    compared: str | None,
    blob: str | None,
) -> tuple[str, str]:
    """The output that is told, and the blob that ranks the classes."""
    writers = {top: layer for layer in net.layer for top in layer.top}
    before = {}  # by output, what its softmax is taken of
    for output in outputs:
        writer = writers.get(output)
        softmax = writer is not None and writer.type == "Softmax" and output not in writer.bottom
        before[output] = writer.bottom[0] if writer is not None and softmax else output
    if blob is not None:
        if blob not in before:
            raise PredictionError(
                f"{name}: {blob!r} is no output of the net{near_names(blob, outputs)}; "
                f"its outputs are {', '.join(map(repr, outputs))}"
            )
        return blob, before[blob]
    for output, scores in before.items():
        if compared in (scores, output):
            return output, compared or scores
    if len(before) == 1:
        return next(iter(before.items()))
    raise PredictionError(
        f"{name}: it has {len(before)} outputs, {', '.join(map(repr, outputs))}: "
        "say which has the scores, by --blob NAME"
    )

"""Scores by the same net in integers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ul2q.deploy import lower
from ul2q.prediction.caffe_net import CaffeNet, Scores
from ul2q.prediction.errors import PredictionError
from ul2q.runtime import compile as compile_net

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.prediction.options import Engine


class IntegerNet:
    """What `CaffeNet` computes in floats, in integers where weights and activations have codes."""

    engine: Engine = "runtime"

    def __init__(self, net: CaffeNet) -> None:
        """Compile the net.

        Raises:
            DeployError: a layer cannot be lowered.
            ModelError: a layer is not for the runtime.
        """
        self._classes = net.classes
        self._ranking, self._output = net.ranking, net.output
        graph = lower(net.net, outputs=tuple(dict.fromkeys((self._ranking, self._output))))
        self._model = compile_net(graph)

    @property
    def classes(self) -> int:
        """How many classes get a score."""
        return self._classes

    def scores(self, inputs: NDArray[np.float32]) -> Scores:
        """Run the net.

        Args:
            inputs: images x channels x height x width.

        Raises:
            ModelError: the inputs hold NaN or infinity.
            PredictionError: a score is NaN or infinite.
        """
        made = self._model(inputs)
        ranking, output = (
            made[name].reshape(len(inputs), -1) for name in (self._ranking, self._output)
        )
        if not np.isfinite(ranking).all():
            raise PredictionError(
                f"output {self._ranking!r} holds NaN or infinity; these weights have diverged, or "
                "the images do not fit them"
            )
        return Scores(ranking, output)

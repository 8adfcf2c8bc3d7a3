"""LSTM and RNN over time steps, as Caffe has them.

Both read x, T × N × the rest, and marks, T × N: 0 where a sequence begins, else 1. Behind them
may stand a static input, N × the rest, and, where the states are exposed, the first state (of LSTM
h, then c), 1 × N × H. The outputs are T × N × H, and the last state. Without exposed states, the
first state is 0: Caffe's own layers begin with the state that their last pass ended with, which
makes no difference where the first mark of a sequence is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ul2q.deploy.ops.elementwise import sigmoid
from ul2q.deploy.ops.op import Array, Op
from ul2q.deploy.quantized import Weight, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self


@dataclass(frozen=True, eq=False)
class Recurrent(Op):
    """What both have.

    Attributes:
        parameters: of Lstm "input" 4H × D, "input_bias" 4H, "state" 4H × H, and with a static input
            "static" 4H × D; gates stand in the order input, forget, output, candidate. Of Rnn
            "input" H × D, "input_bias" H, "state" H × H, "output" H × H, "output_bias" H, and
            "static".
        has_static: whether there is a static input.
        exposes_state: whether first states are read and last ones are given out.
    """

    parameters: dict[str, Weight] = field(repr=False)
    has_static: bool
    exposes_state: bool

    @property
    def weights(self) -> dict[str, Weight]:
        """By their names."""
        return self.parameters

    def with_weights(self, weights: Mapping[str, Weight]) -> Self:
        """The operation with other values for these parameters."""
        return replace(self, parameters={**self.parameters, **weights})

    @property
    def hidden(self) -> int:
        """H, the size of the state."""
        return int(self.parameters["state"].shape[1])

    def _values(self, name: str) -> Array:
        return values_of(self.parameters[name]).astype(np.float64)

    def _inputs(self, inputs: tuple[Array, ...]) -> tuple[Array, Array, list[Array]]:
        """What the input adds in each step, the marks, and the first states."""
        x, marks, *others = inputs
        steps, streams = x.shape[:2]
        given = x.reshape(steps, streams, -1) @ self._values("input").T + self._values("input_bias")
        if self.has_static:
            given = given + others.pop(0).reshape(streams, -1) @ self._values("static").T
        states = [state.reshape(streams, self.hidden) for state in others]
        return given, marks[:, :, None], states


@dataclass(frozen=True, eq=False)
class Lstm(Recurrent):
    """c = f c + i g, h = o tanh(c), with i, f, o = σ(…), g = tanh(…) of W x + U h + b."""

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The states h of all steps."""
        given, marks, states = self._inputs(inputs)
        h, c = states or [np.zeros((given.shape[1], self.hidden))] * 2
        state = self._values("state").T
        out = []
        for step, mark in zip(given, marks, strict=True):
            i, f, o, g = np.split(step + (mark * h) @ state, 4, axis=1)
            c = mark * sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            out.append(h)
        last = (h[None], c[None]) if self.exposes_state else ()
        return (np.stack(out), *last)


@dataclass(frozen=True, eq=False)
class Rnn(Recurrent):
    """h = tanh(W x + U h + b), y = tanh(V h + d)."""

    def run(self, *inputs: Array) -> tuple[Array, ...]:
        """The outputs y of all steps."""
        given, marks, states = self._inputs(inputs)
        (h,) = states or [np.zeros((given.shape[1], self.hidden))]
        state, output = self._values("state").T, self._values("output").T
        out = []
        for step, mark in zip(given, marks, strict=True):
            h = np.tanh(step + (mark * h) @ state)
            out.append(np.tanh(h @ output + self._values("output_bias")))
        return (np.stack(out), *((h[None],) if self.exposes_state else ()))

"""Arguments of functions and methods that make no sense."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe
import pytest

from tests.caffe.bad_input.cases import GOOD_NET, case, make_net

if TYPE_CHECKING:
    from pathlib import Path


def use_the_gpu(_: Path) -> None:
    caffe.set_mode_gpu()
    caffe.set_mode_cpu()  # The cases that follow want it.
    pytest.skip("there is one")


def reshape_to_a_longer_input(folder: Path) -> None:
    net = make_net(folder, GOOD_NET)
    net.blobs["x"].reshape(1, 5)
    net.reshape()


def forward_a_longer_input(folder: Path) -> None:
    net = make_net(folder, GOOD_NET)
    net.blobs["x"].reshape(1, 5)
    net.forward()


CASES = [
    case(
        "call: phase", lambda folder: make_net(folder, GOOD_NET, 7), "phase is 7", error=ValueError
    ),
    case(
        "call: layers of a forward pass",
        lambda folder: make_net(folder, GOOD_NET)._forward(0, 99),
        "layers_.size()",
    ),
    case(
        "call: negative shape",
        lambda folder: make_net(folder, GOOD_NET).blobs["x"].reshape(-1, 3),
        "shape[i] >= 0",
    ),
    case("call: GPU", use_the_gpu, "Cannot use the GPU"),
    case(
        "call: solver_count",
        lambda _: caffe.set_solver_count(0),
        "solver_count is 0",
        error=ValueError,
    ),
    case("call: log level", lambda _: caffe.init_log(9), "level is 9", error=ValueError),
    case(
        "call: an input that no longer fits",
        reshape_to_a_longer_input,
        "Layer 'L' (InnerProduct): ",
        "Input size incompatible",
    ),
    case(
        "call: forward with an input that no longer fits",
        forward_a_longer_input,
        "Layer 'L' (InnerProduct): ",
        "incompatible",
    ),
]

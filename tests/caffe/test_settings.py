"""Settings of the process: mode, device and seed; and the timer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest

from tests.small_nets import NOISE, assert_same, parameters

if TYPE_CHECKING:
    from tests.small_nets import NetMaker


def test_there_is_no_gpu() -> None:
    try:
        caffe.set_mode_gpu()
    except caffe.CaffeError as error:
        assert re.search("built without CUDA|CUDA finds none", str(error))
    else:
        caffe.set_mode_cpu()  # The tests that follow want it.
        pytest.skip("there is one")
    with pytest.raises(caffe.CaffeError, match=r"CPU-only|CUDA finds none"):
        caffe.set_device(0)
    caffe.set_mode_cpu()


def test_the_seed_makes_runs_repeatable(make_net: NetMaker) -> None:
    runs = []
    for seed in (5, 5, 6):
        caffe.set_random_seed(seed)
        net = make_net(NOISE)
        net.forward()
        runs.append([*parameters(net), net.blobs["x"].data.copy()])
    assert_same(runs[0], runs[1])
    assert not np.array_equal(runs[0][0], runs[2][0])


def test_timer() -> None:
    timer = caffe.Timer()
    timer.start()
    sum(range(10_000))
    timer.stop()
    assert 0 <= timer.ms < 10_000

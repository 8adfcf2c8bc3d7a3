"""Inputs that are given in bytes, against Caffe with what a data layer makes of them."""

from __future__ import annotations

import numpy as np
import pytest

import ul2q
from tests.deploy.trained import assert_near, bundled
from ul2q.runtime import ModelError, Pixels

IMAGES = np.random.default_rng(5).integers(0, 256, (3, 3, 32, 32), np.uint8)
MEANS = np.array([120.0, 110.5, 101.25])


def test_first_layer_reads_bytes_in_integers() -> None:
    net = bundled("cifarnet", batch=3, weight_bits=2)
    model = ul2q.compile(net, pixels={"data": Pixels(MEANS.tolist(), 1 / 64)})
    assert "conv1: convolution of codes" in model.steps
    assert model.dtypes == {"data": np.uint8}
    want = net.forward(data=(IMAGES - MEANS.reshape(3, 1, 1)) / 64)
    assert_near(model(IMAGES), want, 1e-5)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        ({"image": Pixels()}, "pixels: there is no input 'image'; the net reads 'data'"),
        ({"data": Pixels((1, 2))}, "2 means; must be 1, or 3, one for each channel"),
        ({"data": Pixels(scale=0)}, "scale 0; both must be finite, and the scale above 0"),
        ({"data": Pixels(mean=np.nan)}, "mean nan, scale 1.0; both must be finite"),
    ],
)
def test_refuses_by_name(pixels: dict[str, Pixels], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ul2q.compile(bundled("cifarnet", weight_bits=2), pixels=pixels)


def test_takes_bytes_alone() -> None:
    model = ul2q.compile(bundled("cifarnet", weight_bits=2), pixels={"data": Pixels()})
    with pytest.raises(ModelError, match="'data' is of dtype float64; its pixels must be uint8"):
        model(IMAGES.astype(np.float64))

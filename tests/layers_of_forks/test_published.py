"""Published face detectors with SSD's layers, where their files lie beside the project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from tests.wild_nets import wild

if TYPE_CHECKING:
    from pathlib import Path

NETS = ("slim-320", "RFB-320")


@pytest.fixture(params=NETS)
def path(request: pytest.FixtureRequest) -> Path:
    """A net's prototxt; its weights lie beside it."""
    return wild(f"ultra-light-face/{request.param}.prototxt")


def image() -> Any:
    """A smooth picture of the nets' size, as they take it: -1 to 1."""
    y, x = np.mgrid[:240, :320]
    planes = [np.sin(x / (9 + c)) * np.cos(y / (7 + 2 * c)) for c in range(3)]
    return np.stack(planes)[None].astype(np.float32)


def run(path: Path) -> Any:
    net = caffe.Net(str(path), caffe.TEST, weights=str(path.with_suffix(".caffemodel")))
    net.blobs["input"].data[...] = image()
    net.forward()
    return net


def test_it_gives_boxes_and_scores(path: Path) -> None:
    net = run(path)
    boxes, scores = net.blobs["boxes"].data, net.blobs["scores"].data
    assert boxes.shape == (1, 4420, 4)
    assert scores.shape == (1, 4420, 2)
    np.testing.assert_allclose(scores.sum(2), 1, rtol=1e-5)
    assert np.isfinite(boxes).all()


def test_its_permuted_blobs_are_transposed(path: Path) -> None:
    net = run(path)
    layers = text_format.Parse(path.read_text(encoding="utf-8"), caffe_pb2.NetParameter()).layer
    permuted = [layer for layer in layers if layer.type == "Permute"]
    assert len(permuted) == 8
    for layer in permuted:
        bottom, top = (net.blobs[name].data for name in (layer.bottom[0], layer.top[0]))
        np.testing.assert_array_equal(top, bottom.transpose(layer.permute_param.order))


def test_opencv_gives_the_same(path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    net = run(path)
    other = cv2.dnn.readNetFromCaffe(str(path), str(path.with_suffix(".caffemodel")))
    other.setInput(image())
    for name, blob in zip(("boxes", "scores"), other.forward(["boxes", "scores"]), strict=True):
        np.testing.assert_allclose(net.blobs[name].data, blob, atol=1e-4)

"""Published face detectors find a face, where their files lie beside the project."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import caffe
import numpy as np
import pytest
import skimage
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from PIL import Image

from tests.layers_of_forks import reference
from tests.wild_nets import wild
from ul2q.nets.quantization import NetQuantization
from ul2q.nets.rewriter import quantize_net

# The astronaut's, from brow to chin, in parts of the photograph: left, top, right, bottom.
FACE = np.array([0.36, 0.13, 0.53, 0.35])


def photograph(width: int, height: int) -> Any:
    """Channels x height x width, 0 to 255."""
    path = Path(skimage.__file__).parent / "data" / "astronaut.png"
    picture = Image.open(path).convert("RGB").resize((width, height))
    return np.asarray(picture, np.float32).transpose(2, 0, 1)


def with_detections(text: str) -> str:
    """A net that ends with scores and codes of boxes, and SSD's layers behind it."""
    net = text_format.Parse(text, caffe_pb2.NetParameter())
    heads = [layer.bottom[0] for layer in net.layer if layer.type == "Permute"]
    features = heads[::2]  # each has a head for scores and one for boxes
    assert len(features) == 4
    sizes = ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))
    layers = []
    for i, (feature, own) in enumerate(zip(features, sizes, strict=True)):
        layers.append(
            f'layer {{ name: "prior{i}" type: "PriorBox" bottom: "{feature}" top: "prior{i}" '
            "prior_box_param { "
            + " ".join(f"min_size: {size}" for size in own)
            + f" step: {8 << i} img_w: 320 img_h: 240 clip: true "
            "variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 } }"
        )
    bottoms = " ".join(f'bottom: "prior{i}"' for i in range(4))
    layers.append(
        f'layer {{ name: "priors" type: "Concat" {bottoms} top: "priors" '
        "concat_param { axis: 2 } }"
    )
    layers += [
        f'layer {{ name: "flat_{name}" type: "Flatten" bottom: "{name}" top: "flat_{name}" }}'
        for name in ("boxes", "scores")
    ]
    layers.append(
        'layer { name: "faces" type: "DetectionOutput" bottom: "flat_boxes" bottom: "flat_scores" '
        'bottom: "priors" top: "faces" detection_output_param { num_classes: 2 '
        "code_type: CENTER_SIZE confidence_threshold: 0.7 nms_param { nms_threshold: 0.3 } } }"
    )
    return text + "\n".join(layers)


@pytest.mark.parametrize("name", ["slim-320", "RFB-320"])
@pytest.mark.parametrize("bits", [None, 8])
def test_a_detector_with_ssds_layers(name: str, bits: int | None) -> None:
    path = wild(f"ultra-light-face/{name}.prototxt")
    text = path.read_text(encoding="utf-8")
    if bits is not None:
        options = NetQuantization(weight_bits=bits, fit="empirical", granularity="channel")
        text = quantize_net(path, options).text
    net = caffe.Net.from_proto(with_detections(text), caffe.TEST)
    net.copy_from(str(path.with_suffix(".caffemodel")))
    net.blobs["input"].data[...] = (photograph(320, 240) - 127) / 128
    net.forward()
    faces = net.blobs["faces"].data[0, 0]
    assert len(faces) == 1
    assert faces[0, 1] == 1
    assert faces[0, 2] > 0.9
    assert reference.overlap(faces[0, 3:], FACE) > 0.6


def test_a_cascades_first_net() -> None:
    """MTCNN's first net looks at windows of 12 pixels, here of a picture of 64."""
    path = wild("mtcnn/det1.prototxt")
    net = caffe.Net(str(path), caffe.TEST, weights=str(path.with_suffix(".caffemodel")))
    pixels = (photograph(64, 64).transpose(0, 2, 1) - 127.5) / 128  # it takes columns for rows
    net.blobs["data"].reshape(1, 3, 64, 64)
    net.blobs["data"].data[...] = pixels
    scores = net.forward()["prob1"][0, 1]
    assert scores.max() > 0.99
    x, y = np.unravel_index(scores.argmax(), scores.shape)
    window = np.array([2 * x, 2 * y, 2 * x + 12, 2 * y + 12]) / 64
    assert reference.overlap(window, FACE) > 0.6

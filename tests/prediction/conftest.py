"""A folder with colour images of four classes, their import, and nets with random weights."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest
from PIL import Image

from ul2q.data import import_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = ("ant", "bee", "cow", "dog")
TEST_IMAGES = 5  # of each class
SIZE = (10, 12)  # height and width

NET = """\
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { TRANSFORM mirror: true }
  data_param { source: "data/animals/train_lmdb" batch_size: 8 backend: LMDB } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { TRANSFORM }
  data_param { source: "data/animals/test_lmdb" batch_size: 5 backend: LMDB } }
layer { name: "conv" type: "QuantizedConvolution" bottom: "data" top: "conv"
  convolution_param { num_output: 6 kernel_size: 3 weight_filler { type: "gaussian" std: 0.1 } }
  quantization_param { weight { bits: 2 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "drop" type: "Dropout" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.02 } } }
layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy"
  include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
"""
MEAN_FILE = 'mean_file: "data/animals/mean.binaryproto"'


@dataclass(frozen=True)
class Animals:
    """The working folder, with images/CLASS/N.png and data/animals.

    Attributes:
        images: by path, height x width x 3 (R, G, B).
    """

    folder: Path
    images: dict[str, NDArray[np.uint8]]

    def net(self, transform: str = MEAN_FILE, *replacements: tuple[str, str]) -> Path:
        """Write NET with a transform_param and with replacements, each of which must apply."""
        text = NET.replace("TRANSFORM", transform)
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path = self.folder / "train_test.prototxt"
        path.write_text(text, encoding="utf-8")
        return Path(path.name)

    def weights(self, net: Path, seed: int = 1) -> Path:
        """Random weights for a net, as they stand in a caffemodel."""
        caffe.set_random_seed(seed)
        path = Path("random.caffemodel")
        caffe.Net(str(net), caffe.TEST).save(str(path))
        return path


@pytest.fixture
def animals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Animals:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(4)
    images = {}
    for part, name, i in itertools.product(("train", "test"), CLASSES, range(TEST_IMAGES)):
        path = Path(part, name, f"{i}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        images[str(path)] = rng.integers(0, 256, (*SIZE, 3), np.uint8)
        Image.fromarray(images[str(path)]).save(path)
    import_folder(Path("train"), Path("test"), Path("data/animals"), jobs=1)
    return Animals(tmp_path, images)

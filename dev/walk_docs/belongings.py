"""What a reader of the pages has at hand: archives, images, a net of another Caffe. All made up."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ul2q.data.cifar import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

_SYNSETS = ("n01440764", "n01443537", "n01484850")


def bring(path: Path) -> None:
    """Put what a page calls so into a reader's folder.

    Raises:
        KeyError: nothing is known of that name.
    """
    make = _MAKERS[path.name]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        make(path)


def _images(labels: NDArray[np.int64], channels: int, side: int) -> NDArray[np.uint8]:
    """Images that a net can learn: each class has 4 x 4 squares of its own, each image some noise.

    Args:
        labels: of the classes 0 to 9.
        channels: of an image.
        side: its height and width, which 4 divides.
    """
    patterns = np.random.default_rng(1).integers(30, 226, (10, channels, 4, 4))
    noise = np.random.default_rng(2).integers(-25, 26, (len(labels), channels, 4, 4))
    squares = (patterns[labels] + noise).astype(np.uint8)
    return squares.repeat(side // 4, axis=2).repeat(side // 4, axis=3)


def _idx(array: NDArray[np.uint8]) -> bytes:
    """An array in MNIST's format, gzipped."""
    sizes = np.asarray(array.shape, ">i4").tobytes()
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes(), 1)


def _mnist(folder: Path) -> None:
    folder.mkdir()
    for name, count in (("train", 1000), ("t10k", 300)):
        labels = np.arange(count) % 10
        images = _images(labels, 1, 28)[:, 0]
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(_idx(images))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(_idx(labels.astype(np.uint8)))


def _cifar10(path: Path) -> None:
    """An archive in full size. It holds the "binary version", which may have any name."""
    labels = np.arange(10_000) % 10
    pixels = _images(labels, 3, 32).reshape(len(labels), -1)
    batch = np.column_stack([labels.astype(np.uint8), pixels]).tobytes()
    batches = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
    files = {f"{name}.bin": batch for name in batches}
    files["batches.meta.txt"] = "".join(f"{name}\n" for name in CLASSES).encode()
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _save(path: Path, label: int, channels: int = 3, side: int = 32) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = _images(np.array([label]), channels, side)[0].transpose(1, 2, 0)
    Image.fromarray(image if channels == 3 else image[:, :, 0]).save(path)


def _photos(folder: Path) -> None:
    """Some of CIFAR-10's classes, in sizes of their own."""
    for part, name, i in np.ndindex(2, 3, 4):
        label = 3 + name
        side = 40 if i % 2 else 32
        _save(folder / ("train", "test")[part] / CLASSES[label] / f"{i}.jpg", label, side=side)


def _imagenet(folder: Path) -> None:
    for label, i in np.ndindex(len(_SYNSETS), 2):
        _save(folder / "train" / _SYNSETS[label] / f"{i}.JPEG", label, side=264)
        _save(folder / "val" / f"ILSVRC2012_val_{2 * label + i + 1:08}.JPEG", label, side=264)


def _val_labels(path: Path) -> None:
    rows = [f"ILSVRC2012_val_{i + 1:08}.JPEG {i // 2}\n" for i in range(2 * len(_SYNSETS))]
    path.write_text("".join(rows), encoding="utf-8")


_FORK = """\
name: "lenet_ulq"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 1 dim: 28 dim: 28 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"%s
  convolution_param { num_output: 8 kernel_size: 5 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "conv1" top: "prob" }
"""


def _fork_net(path: Path) -> None:
    method = ' weights_compress: "ULQ" weights_compress_param { maxbits: 2 }'
    path.write_text(_FORK % method, encoding="utf-8")


def _fork_weights(path: Path) -> None:
    import caffe  # noqa: PLC0415 - only for this page

    caffe.Net.from_proto(_FORK % "", caffe.TEST).save(path)


_MAKERS: dict[str, Callable[[Path], None]] = {
    "mnist": _mnist,
    "cifar-10-python.tar.gz": _cifar10,
    "photos": _photos,
    "imagenet": _imagenet,
    "val.txt": _val_labels,
    "digit.png": lambda path: _save(path, 7, channels=1, side=28),
    "cat.jpg": lambda path: _save(path, 3),
    "lenet_ulq.prototxt": _fork_net,
    "lenet_ulq.caffemodel": _fork_weights,
}

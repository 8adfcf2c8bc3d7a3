"""Write the nets of prototxt/ that follow from others: `make nets`.

By hand are the solvers and `train_test_float.prototxt` of each net. From that follow the nets of 2
bits, those that are deployed, and LeNet's for the paper's batch. A first line in each says from
which file it is, and how.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.nets.deploy import deploy_net
from ul2q.nets.prototxt import parse_net
from ul2q.nets.prototxt_text import Document
from ul2q.nets.quantization import NetQuantization
from ul2q.nets.rewriter import quantize_net

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDER = Path(__file__).resolve().parents[1] / "prototxt"

# The images of each net, channels x height x width, which its LMDBs have but its prototxt does not
# tell. That of resnet18 does, by its crop.
IMAGES = {
    "lenet": (1, 28, 28),
    "cifarnet": (3, 32, 32),
    "vgg7_64": (3, 32, 32),
    "resnet18": None,
}
PAPERS_LENET_BATCH = 50


@dataclass(frozen=True)
class Derived:
    """A file that follows from another one of its folder.

    Attributes:
        path: below prototxt/.
        source: the path of that other one.
        how: for the first line.
        text: makes the one's text of the other's.
    """

    path: str
    source: str
    how: str
    text: Callable[[str], str]


def derived_nets(folder: Path = FOLDER) -> dict[str, str]:
    """The text of each file that this command writes, by its path below `folder`.

    Args:
        folder: has the nets that are written by hand, as prototxt/ has them.
    """
    bodies: dict[str, str] = {}  # without the first line
    texts: dict[str, str] = {}
    for one in (derived for net in IMAGES for derived in _derived(net)):
        source = bodies.get(one.source) or (folder / one.source).read_text(encoding="utf-8")
        bodies[one.path] = one.text(source)
        heading = f"# Written by `make nets` from prototxt/{one.source}: {one.how}.\n"
        texts[one.path] = heading + bodies[one.path]
    return texts


def stale_nets(folder: Path = FOLDER) -> dict[str, str]:
    """Those of `derived_nets` that `folder` does not have so."""
    return {
        name: text
        for name, text in derived_nets(folder).items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    }


def _derived(net: str) -> list[Derived]:
    """The files of a net, each behind the one that it follows from."""
    image = IMAGES[net]
    shapes = {"data": image} if image else {}
    files = [
        _quantized(f"{net}/train_test_float.prototxt"),
        Derived(
            f"{net}/deploy_float.prototxt",
            f"{net}/train_test_float.prototxt",
            "without data layers, losses and accuracies",
            lambda text: deploy_net(Document(text), shapes),
        ),
        _quantized(f"{net}/deploy_float.prototxt"),
    ]
    if net == "lenet":
        batch = Derived(
            "lenet/train_test_mnist_float.prototxt",
            "lenet/train_test_float.prototxt",
            f"training batches of {PAPERS_LENET_BATCH}, the paper's, on which the schedule of "
            "solver_mnist_float counts",
            lambda text: _with_training_batch(text, PAPERS_LENET_BATCH),
        )
        files += [batch, _quantized(batch.path)]
    return files


def _quantized(source: str) -> Derived:
    """The net of 2 bits."""
    return Derived(
        source.replace("_float", "_2bit"),
        source,
        "`ul2q quantize --weight-bits 2 --last-bits 8`",
        lambda text: quantize_net(Document(text), NetQuantization(weight_bits=2, last_bits=8)).text,
    )


def _with_training_batch(text: str, size: int) -> str:
    """The net with another batch size in the data layers of phase TRAIN."""
    document = Document(text)
    layers = parse_net(text, document.name).layer
    for entry, layer in zip(document.separate("layer"), layers, strict=True):
        data = entry.block.get("data_param") if entry.block else None
        if data and data.block and layer.include[0].phase == caffe_pb2.TRAIN:
            for batch in data.block.all("batch_size"):
                document.set(batch, str(size))
    return str(document)


if __name__ == "__main__":
    for name, text in stale_nets().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"written: prototxt/{name}")

"""What the tests of several packages have in common: makers of small nets, and a workspace."""

from __future__ import annotations

import itertools
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from hypothesis import settings

from tests.small_nets import LINEAR, NetMaker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# The same examples in every run: what fails is what has changed.
settings.register_profile("steady", derandomize=True, database=None, deadline=None)
settings.load_profile("steady")

CLASSES = 4
TRAIN_COUNT = 40
TEST_COUNT = 20

NET = """\
name: "mini"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  transform_param { scale: 0.00390625 }
  data_param { source: "data/train_lmdb" batch_size: 10 backend: LMDB } }
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TEST }
  transform_param { scale: 0.00390625 }
  data_param { source: "data/test_lmdb" batch_size: 5 backend: LMDB } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "drop" type: "Dropout" bottom: "ip" top: "drop" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "drop" bottom: "label" top: "loss" }
layer { name: "accuracy" type: "Accuracy" bottom: "drop" bottom: "label" top: "accuracy"
  include { phase: TEST } }
"""

SOLVER: dict[str, object] = {
    "net": '"net.prototxt"',
    "base_lr": 0.1,
    "lr_policy": '"step"',
    "stepsize": 8,
    "gamma": 0.5,
    "momentum": 0.9,
    "max_iter": 20,
    "display": 2,
    "test_iter": 4,
    "test_interval": 5,
    "snapshot_prefix": '"mini"',
    "random_seed": 3,
}


@dataclass(frozen=True)
class Workspace:
    """A folder with net.prototxt, data/train_lmdb and data/test_lmdb; the working directory."""

    folder: Path
    images: NDArray[Any]
    labels: NDArray[Any]
    test_images: NDArray[Any]
    test_labels: NDArray[Any]

    def net(self, *replacements: tuple[str, str], name: str = "net.prototxt") -> Path:
        """Write NET, changed; each replacement must apply."""
        text = NET
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        return self.write(name, text)

    def solver(self, *, name: str = "solver.prototxt", **fields: object) -> Path:
        """Write SOLVER with fields changed, added, or (by None) left out; a list repeats one."""
        lines = []
        for key, value in (SOLVER | fields).items():
            values = value if isinstance(value, list) else [value]
            lines += [f"{key}: {v}\n" for v in values if v is not None]
        return self.write(name, "".join(lines))

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return Path(name)


@pytest.fixture(scope="session", autouse=True)
def _heed_ctrl_c() -> Iterator[None]:
    """Ctrl-C works in the tests, also where a shell runs them in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.fixture(scope="session")
def mini_data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """60 images of 1×8×8: noise, with the quadrant of the class brighter."""
    rng = np.random.default_rng(5)
    labels = rng.integers(CLASSES, size=TRAIN_COUNT + TEST_COUNT)
    images = rng.integers(0, 160, size=(len(labels), 1, 8, 8))
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 60
    images = images.astype(np.uint8)
    folder = tmp_path_factory.mktemp("mini")
    write_lmdb(folder / "train_lmdb", images[:TRAIN_COUNT], labels[:TRAIN_COUNT])
    write_lmdb(folder / "test_lmdb", images[TRAIN_COUNT:], labels[TRAIN_COUNT:])
    return {"folder": folder, "images": images, "labels": labels}


@pytest.fixture
def workspace(
    mini_data: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    (tmp_path / "data").symlink_to(mini_data["folder"])
    monkeypatch.chdir(tmp_path)
    space = Workspace(
        tmp_path,
        mini_data["images"][:TRAIN_COUNT],
        mini_data["labels"][:TRAIN_COUNT],
        mini_data["images"][TRAIN_COUNT:],
        mini_data["labels"][TRAIN_COUNT:],
    )
    space.net()
    space.solver()
    return space


@pytest.fixture
def make_net(tmp_path: Path) -> NetMaker:
    """Write the text of a net to a file of its own, and load it."""
    numbers = itertools.count()

    def make(text: str = LINEAR, phase: int = caffe.TRAIN, weights: Path | None = None) -> Any:
        path = tmp_path / f"net{next(numbers)}.prototxt"
        path.write_text(text, encoding="utf-8")
        return caffe.Net(path, phase, weights=weights)

    return make


def write_lmdb(path: Path, images: NDArray[Any], labels: NDArray[Any]) -> None:
    """Write uint8 images of N × C × H × W as Caffe's Datum messages."""
    with (
        lmdb.open(str(path), map_size=1 << 22) as environment,
        environment.begin(write=True) as transaction,
    ):
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            channels, height, width = image.shape
            datum = caffe_pb2.Datum(
                channels=channels,
                height=height,
                width=width,
                data=image.tobytes(),
                label=int(label),
            )
            transaction.put(b"%08d" % i, datum.SerializeToString())

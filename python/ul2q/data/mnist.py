"""Import MNIST and Fashion-MNIST, four IDX files each, as LMDBs for Caffe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ul2q.data.dataset import (
    MANIFEST,
    TEST,
    TRAIN,
    Dataset,
    file_hashes,
    standing_import,
    write_manifest,
)
from ul2q.data.errors import DataError
from ul2q.data.idx import read_idx
from ul2q.data.lmdb_writer import Progress, Record, fill_lmdb
from ul2q.data.selection import alternating
from ul2q.data.staging import remove_leftovers, staged_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from ul2q.util.paths import StrPath

FASHION_MNIST_SOURCE = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts the four files."""

CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion-mnist": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
}
"""The names of the labels of each data set, 0 first."""

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def import_mnist(
    source: StrPath,
    output: StrPath,
    *,
    limit: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Import the MNIST digits into `output`/train_lmdb and `output`/test_lmdb, in MNIST's order.

    `output` becomes complete in one step, with an import.json that says what it was made from. If
    an import of the same files stands there already, nothing is written.

    Args:
        source: the folder with the four IDX files, gzipped or not, spelt as
            train-images-idx3-ubyte or as train-images.idx3-ubyte.
        output: the folder to be written; missing parents are made.
        limit: import that many images of each set at most, the first of each class in turn.
        force: replace an earlier import, which stays intact until the new one is complete.
        progress: called after every thousand records or so.

    Raises:
        FileNotFoundError: `source`, or one of its files, is missing.
        DataError: a file is damaged, or the four do not go together; `limit` is less than 1; or
            `output` holds something else and `force` is not set, or holds files that no import has
            written.
        OSError: the LMDBs cannot be written, as on a full disk.
    """
    source = Path(source)
    output = Path(output)
    return _import("mnist", source, output, limit, force, progress)


def import_fashion_mnist(
    output: StrPath,
    *,
    source: StrPath = FASHION_MNIST_SOURCE,
    limit: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Import Fashion-MNIST as `import_mnist` does MNIST."""
    output = Path(output)
    source = Path(source)
    try:
        return _import("fashion-mnist", source, output, limit, force, progress)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error}; `apt-get install dataset-fashion-mnist` puts the files into "
            f"{FASHION_MNIST_SOURCE}"
        ) from error


class _Split(NamedTuple):
    images: NDArray[np.uint8]  # of shape N x H x W
    labels: NDArray[np.uint8]  # of shape N

    def first(self, limit: int | None) -> _Split:
        """At most `limit` images in their order, the first of each class in turn."""
        if limit is None:
            return self
        chosen = sorted(alternating(self.labels.tolist(), limit))
        return _Split(self.images[chosen], self.labels[chosen])

    def records(self) -> Iterator[Record]:
        for image, label in zip(self.images, self.labels, strict=True):
            yield image[np.newaxis], int(label)


def _import(
    name: str,
    source: Path,
    output: Path,
    limit: int | None,
    force: bool,
    progress: Progress | None,
) -> Dataset:
    classes = CLASSES[name]
    files = _find_files(source)
    hashes = file_hashes(files)
    options = {} if limit is None else {"limit": limit}
    if not force and (standing := standing_import(output, name, hashes, classes, options)):
        remove_leftovers(output)
        return standing
    paths = list(files.values())
    train = _read_split(paths[0], paths[1], len(classes))
    test = _read_split(paths[2], paths[3], len(classes))
    _, height, width = train.images.shape
    if test.images.shape[1:] != (height, width):
        raise DataError(
            f"{paths[2]}: images of {_size(test.images)} pixels, but those in {paths[0]} have "
            f"{_size(train.images)}; both must be the same"
        )
    train, test = train.first(limit), test.first(limit)
    dataset = Dataset(
        train=output / TRAIN,
        test=output / TEST,
        train_count=len(train.labels),
        test_count=len(test.labels),
        shape=(1, height, width),
        classes=classes,
    )
    with staged_folder(output, force=force, replaceable=(TRAIN, TEST, MANIFEST)) as folder:
        for what, split in ((TRAIN, train), (TEST, test)):
            total = len(split.labels)
            fill_lmdb(folder / what, split.records(), total=total, what=what, progress=progress)
        write_manifest(folder, name, hashes, dataset, options)
    return dataset


def _find_files(source: Path) -> dict[str, Path]:
    if not source.is_dir():
        raise FileNotFoundError(
            f"{source}: no such folder; it should hold {', '.join(_FILES)}, gzipped or not"
        )
    return {name: _find_file(source, name) for name in _FILES}


def _find_file(source: Path, name: str) -> Path:
    spellings = (name, name.replace("-idx", ".idx"))
    candidates = [source / f"{spelt}{end}" for end in ("", ".gz") for spelt in spellings]
    for path in candidates:
        if path.exists():
            return path
    names = ", ".join(path.name for path in candidates)
    raise FileNotFoundError(f"{source}: no {name}; looked for {names}")


def _read_split(images_path: Path, labels_path: Path, classes: int) -> _Split:
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3:
        raise DataError(
            f"{images_path}: {images.ndim} axes; images have 3: number x height x width"
        )
    if labels.ndim != 1:
        raise DataError(f"{labels_path}: {labels.ndim} axes; labels have 1")
    if len(images) != len(labels):
        raise DataError(
            f"{labels_path}: {len(labels)} labels for the {len(images)} images of {images_path}; "
            "both must be as many"
        )
    wrong = np.flatnonzero(labels >= classes)
    if wrong.size:
        raise DataError(
            f"{labels_path}: label {labels[wrong[0]]} at record {wrong[0]}; "
            f"labels must be 0 to {classes - 1}"
        )
    return _Split(images, labels)


def _size(images: NDArray[np.uint8]) -> str:
    return " x ".join(map(str, images.shape[1:]))

"""The images that a net is to classify: files, folders, LMDBs, IDX files, and their labels."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from ul2q.data.dataset import TEST, TRAIN
from ul2q.data.errors import DataError
from ul2q.data.idx import read_idx
from ul2q.data.image_reader import all_cores, image_reader
from ul2q.data.images import ImageError, Resize
from ul2q.data.listing import scan
from ul2q.data.lmdb_reader import read_images
from ul2q.data.lmdb_writer import count_records
from ul2q.prediction.errors import PredictionError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from ul2q.prediction.preprocessing import Preprocessing

_FEW = 64  # image files that one process decodes sooner than others would start
_IDX_IMAGES = b"\0\0\x08\x03"  # uint8, 3 axes
_GZIP_MAGIC = b"\x1f\x8b"


class Item(NamedTuple):
    """An image on its way to the net.

    Attributes:
        name: its file, or database and key.
        label: its class; None if it is not known.
        image: channels x height x width in the net's order; or why there is none.
    """

    name: str
    label: int | None
    image: NDArray[Any] | ImageError


class Images(Protocol):
    """Some images: how many there are, and each in turn."""

    @property
    def count(self) -> int:
        """How many there are."""

    def items(self) -> Iterator[Item]:
        """Each, in order."""


class Files:
    """Image files, read as the importers of `ul2q.data` read them."""

    def __init__(
        self,
        files: Sequence[tuple[str, int | None]],
        preprocessing: Preprocessing,
        jobs: int | None,
    ) -> None:
        """The paths with their labels; `jobs` processes decode, None: as many as pay."""
        self._files = files
        self._preprocessing = preprocessing
        self._jobs = jobs

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._files)

    def items(self) -> Iterator[Item]:
        """Each, in order."""
        rule = self._preprocessing.resize
        resize = Resize(*self._preprocessing.size, rule) if rule else None
        jobs = self._jobs or (1 if self.count < _FEW else all_cores())
        with image_reader(jobs, resize) as read:
            decoded = read(path for path, _ in self._files)
            for (path, label), pixels in zip(self._files, decoded, strict=True):
                yield Item(_shown(path), label, self._image(path, pixels))

    def _image(
        self, path: str, pixels: NDArray[np.uint8] | ImageError
    ) -> NDArray[Any] | ImageError:
        if isinstance(pixels, ImageError):
            return pixels
        image = self._preprocessing.from_file(pixels)
        fault = self._preprocessing.fault_of_file(image)
        return ImageError(f"{path}: {fault}") if fault else image


class Records:
    """The images of an LMDB, with the labels in it."""

    def __init__(self, path: Path, preprocessing: Preprocessing) -> None:
        """The database in the folder `path`."""
        self._path = path
        self._preprocessing = preprocessing
        self.count = count_records(path)

    def items(self) -> Iterator[Item]:
        """Each, in the order of the keys."""
        for key, label, stored in read_images(self._path):
            name, image = f"{self._path}: {key}", stored
            if not isinstance(stored, ImageError) and (fault := self._preprocessing.fault(stored)):
                image = ImageError(f"{name}: {fault}")
            yield Item(name, label, image)


class IdxImages:
    """The grey images of an IDX file, with the labels of the file that goes with it, if any."""

    def __init__(self, path: Path, preprocessing: Preprocessing) -> None:
        """The file, gzipped or not."""
        self._path = path
        self._preprocessing = preprocessing
        self._images = read_idx(path)
        labels = _idx_labels(path)
        self._labels = None if labels is None else read_idx(labels)
        if labels and self._labels is not None and self._labels.shape != self._images.shape[:1]:
            raise DataError(
                f"{labels}: {self._labels.size} labels for the {len(self._images)} images of {path}"
            )

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._images)

    def items(self) -> Iterator[Item]:
        """Each, in the file's order."""
        for index, pixels in enumerate(self._images):
            name = f"{self._path}: {index}"
            image: NDArray[Any] | ImageError = pixels[np.newaxis]
            if fault := self._preprocessing.fault(pixels[np.newaxis]):
                image = ImageError(f"{name}: {fault}")
            label = None if self._labels is None else int(self._labels[index])
            yield Item(name, label, image)


def find_images(
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    classes: Sequence[str],
    jobs: int | None = None,
) -> list[Images]:
    """The images that paths name, in their order.

    A path is an image file; an IDX file of images, which the labels of the file beside it belong
    to; an LMDB; or a folder of image files, those in it and those in a folder for each class.

    Args:
        paths: at least one.
        preprocessing: what image files are brought to.
        classes: the names of the labels; a folder of such a name gives its images their label.
        jobs: how many processes decode image files; None: as many as pay.

    Raises:
        FileNotFoundError: there is no such file or folder.
        DataError: a folder holds no images, or what they cannot be told from; an LMDB or IDX file
            is damaged.
        PredictionError: there are image files, and the order of the net's channels is not known;
            or `jobs` is less than 1.
    """
    if jobs is not None and jobs < 1:
        raise PredictionError(f"--jobs (jobs=) is {jobs}; must be at least 1")
    found: list[Images] = []
    files: list[tuple[str, int | None]] = []

    def flush() -> None:
        if files:
            if preprocessing.channels is None:
                raise PredictionError(
                    f"{files[0][0]}: the order of the net's channels is not known, as its data "
                    "folder has no import.json: give --channels bgr or --channels rgb"
                )
            found.append(Files(tuple(files), preprocessing, jobs))
            files.clear()

    for path in paths:
        if path.is_dir() and not (path / "data.mdb").is_file():
            files += _folder(path, classes)
        elif path.is_dir():
            flush()
            found.append(Records(path, preprocessing))
        elif not path.exists():
            raise FileNotFoundError(f"{path}: no such image, folder or LMDB")
        elif _is_idx(path):
            flush()
            found.append(IdxImages(path, preprocessing))
        else:
            files.append((str(path), None))
    flush()
    return found


def _folder(folder: Path, classes: Sequence[str]) -> list[tuple[str, int | None]]:
    entries = scan(folder)
    databases = [entry.name for entry in entries if entry.name in (TEST, TRAIN) and entry.is_dir()]
    if databases:
        raise DataError(f"{folder}: holds LMDBs, not images; name one: {folder / min(databases)}")
    labels = {name: label for label, name in enumerate(classes)}
    files: list[tuple[str, int | None]] = []
    for entry in entries:
        if not entry.is_dir():
            files.append((entry.path, None))
            continue
        inside = scan(Path(entry.path))
        if deeper := [one.path for one in inside if one.is_dir()]:
            raise DataError(f"{deeper[0]}: a folder within a class's folder; name it by itself")
        files += ((one.path, labels.get(entry.name)) for one in inside)
    if not files:
        raise DataError(f"{folder}: holds no images")
    return files


def _is_idx(path: Path) -> bool:
    """Whether a file begins as an IDX file of images does."""
    with path.open("rb") as file:
        head = file.read(4)
        if head[:2] != _GZIP_MAGIC:
            return head == _IDX_IMAGES
        file.seek(0)
        try:
            with gzip.GzipFile(fileobj=file) as stream:
                return stream.read(4) == _IDX_IMAGES
        except (OSError, EOFError):
            return False


def _idx_labels(images: Path) -> Path | None:
    """The file of labels that goes with a file of images by its name."""
    stem = images.name.removesuffix(".gz")
    for old, new in itertools.product(
        ("images-idx3", "images.idx3"), ("labels-idx1", "labels.idx1")
    ):
        for end in ("", ".gz"):
            path = images.with_name(stem.replace(old, new) + end)
            if old in stem and path.is_file():
                return path
    return None


def _shown(path: str) -> str:
    """A path in valid Unicode, which not every file's name is."""
    return path.encode("utf-8", "backslashreplace").decode()

"""Import CIFAR-10 from its official archives (https://www.cs.toronto.edu/~kriz/cifar.html).

Both archives hold six batches of 10,000 images of 32 x 32 pixels, each image as 3,072 bytes: the
red plane, the green one, the blue one. In the "binary version" a byte with the label precedes each
image; the "python version" has pickles of Python 2 with a byte array `data` and a list `labels`.
"""

from __future__ import annotations

import gzip
import io
import pickle
import pickletools
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from ul2q.data.dataset import Dataset, file_hashes
from ul2q.data.errors import DataError
from ul2q.data.image_set import Identity, Item, Split, standing_image_set, write_image_set
from ul2q.data.images import to_gray
from ul2q.data.selection import alternating, shuffled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from ul2q.data.lmdb_writer import Progress
    from ul2q.util.paths import StrPath

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_BATCH = 10_000  # images in a batch
_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_LARGEST = 2**26  # bytes of a file that is read; CIFAR-10's have half of that
_MOST_KEPT = 2**20  # objects that a pickle keeps to name them again; CIFAR-10's have 10 thousand
_GZIP_MAGIC = b"\x1f\x8b"


class _Version(NamedTuple):
    folder: str
    end: str
    names: str  # the file with the classes' names

    @property
    def train(self) -> tuple[str, ...]:
        return tuple(f"data_batch_{number}{self.end}" for number in range(1, 6))

    @property
    def test(self) -> str:
        return f"test_batch{self.end}"

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.train, self.test, self.names)


_PYTHON = _Version("cifar-10-batches-py", "", "batches.meta")
_BINARY = _Version("cifar-10-batches-bin", ".bin", "batches.meta.txt")
_VERSIONS = (_PYTHON, _BINARY)


def import_cifar10(
    source: StrPath,
    output: StrPath,
    *,
    gray: bool = False,
    limit: int | None = None,
    seed: int = 0,
    force: bool = False,
    progress: Progress | None = None,
) -> Dataset:
    """Import CIFAR-10 as uint8 images of 3 x 32 x 32, B, G, R, or as grey ones of 1 x 32 x 32.

    That is the order of Caffe's tools for image files, and of `import_folder`; BVLC's
    convert_cifar_data leaves R, G, B. The training set is shuffled, the test set keeps its order.
    `output` becomes complete in one step: train_lmdb, test_lmdb, mean.binaryproto,
    mean_values.txt, classes.txt and import.json. If an import of the same source stands there
    already, nothing is written.

    Args:
        source: cifar-10-python.tar.gz, cifar-10-binary.tar.gz, or the folder that one of them was
            unpacked to.
        output: the folder to be written; missing parents are made.
        gray: one channel, the luma.
        limit: import that many images of each set at most, the first of each class in turn.
        seed: of the training set's order; 0 or more.
        force: replace an earlier import, which stays intact until the new one is complete.
        progress: called after every thousand images or so.

    Raises:
        FileNotFoundError: `source`, or one of its files, is missing.
        DataError: the archive or a file in it is damaged; an option is out of range; or `output`
            holds something else and `force` is not set, or holds files that no import has written.
        OSError: the LMDBs cannot be written, as on a full disk.
    """
    source = Path(source)
    output = Path(output)
    found = _find(source)
    options = {"limit": limit, "seed": seed, **({"gray": True} if gray else {})}
    identity = Identity("cifar10", found.hashes, options, CLASSES)
    if not force and (standing := standing_image_set(output, identity)):
        return standing
    version, contents = found.read()
    read = _read_pickle if version is _PYTHON else _read_binary
    _check_names(found.name(version.names), contents[version.names], version)
    batches = {name: read(found.name(name), contents[name]) for name in version.files[:-1]}
    train = _joined([batches[name] for name in version.train])
    test = batches[version.test]
    train_order = shuffled(sorted(alternating(train.labels.tolist(), limit)), seed)
    test_order = sorted(alternating(test.labels.tolist(), limit))
    return write_image_set(
        output,
        identity,
        Split(train.items(train_order, source, gray=gray), len(train_order)),
        Split(test.items(test_order, source, gray=gray), len(test_order)),
        force=force,
        progress=progress,
    )


class _Batch(NamedTuple):
    images: NDArray[np.uint8]  # of shape N x 3 (R, G, B) x 32 x 32
    labels: NDArray[np.int64]  # of shape N

    def items(self, order: list[int], source: Path, *, gray: bool) -> Iterator[Item]:
        for i in order:
            image = self.images[i, ::-1]
            yield Item(str(source), int(self.labels[i]), to_gray(image) if gray else image)


def _joined(batches: list[_Batch]) -> _Batch:
    images, labels = zip(*batches, strict=True)
    return _Batch(np.concatenate(images), np.concatenate(labels))


@dataclass(frozen=True)
class _Archive:
    path: Path

    @property
    def hashes(self) -> dict[str, str]:
        return file_hashes({"archive": self.path})

    def name(self, file: str) -> str:
        return f"{self.path}: {file}"

    def read(self) -> tuple[_Version, dict[str, bytes]]:
        contents = _read_archive(self.path)
        version = max(_VERSIONS, key=lambda version: len(contents.keys() & set(version.files)))
        missing = [name for name in version.files if name not in contents]
        if missing:
            raise DataError(
                f"{self.path}: no {', '.join(missing)} in it; it must be cifar-10-python.tar.gz "
                "or cifar-10-binary.tar.gz, complete"
            )
        return version, contents


@dataclass(frozen=True)
class _Folder:
    path: Path
    version: _Version

    @property
    def hashes(self) -> dict[str, str]:
        return file_hashes({name: self.path / name for name in self.version.files})

    def name(self, file: str) -> str:
        return str(self.path / file)

    def read(self) -> tuple[_Version, dict[str, bytes]]:
        return self.version, {name: (self.path / name).read_bytes() for name in self.version.files}


def _find(source: Path) -> _Archive | _Folder:
    if source.is_file():
        return _Archive(source)
    if not source.exists():
        raise FileNotFoundError(
            f"{source}: no such file or folder; cifar-10-python.tar.gz, cifar-10-binary.tar.gz or "
            "what one of them unpacks to was looked for"
        )
    for version in _VERSIONS:
        for folder in (source, source / version.folder):
            if (folder / version.train[0]).is_file():
                missing = [name for name in version.files if not (folder / name).is_file()]
                if missing:
                    raise FileNotFoundError(f"{folder}: no {', '.join(missing)}; unpack it again")
                return _Folder(folder, version)
    raise FileNotFoundError(
        f"{source}: no {' and no '.join(version.train[0] for version in _VERSIONS)}, here or in "
        f"{' or '.join(version.folder for version in _VERSIONS)}"
    )


def _read_archive(path: Path) -> dict[str, bytes]:
    """The files of either version in a tar archive, by name without the folder."""
    try:
        with path.open("rb") as raw:
            if raw.peek(2)[:2] != _GZIP_MAGIC:
                return _read_members(path, raw)
            with gzip.GzipFile(fileobj=raw) as stream:
                contents = _read_members(path, stream)
                while stream.read(2**20):  # only at the end is the checksum compared
                    pass
                return contents
    except (EOFError, RecursionError, tarfile.TarError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: damaged, cut short, or not an archive ({error}); it must be "
            "cifar-10-python.tar.gz or cifar-10-binary.tar.gz: fetch it again"
        ) from error


class _Bounded:
    """A stream for `tarfile`, which reads a long name or a header of pax at once.

    A gzipped archive of 1 MB may have one of 1 GB.
    """

    def __init__(self, stream: gzip.GzipFile | io.BufferedReader) -> None:
        self._stream = stream
        self.tell = stream.tell
        self.seek = stream.seek

    def read(self, size: int) -> bytes:
        """The next `size` bytes, or what is left.

        Raises:
            tarfile.TarError: nothing of an archive that can be read here is so long.
        """
        if size > _LARGEST + tarfile.BLOCKSIZE:
            raise tarfile.TarError(f"it has a name or header of {size} bytes")
        return self._stream.read(size)


def _read_members(path: Path, stream: gzip.GzipFile | io.BufferedReader) -> dict[str, bytes]:
    wanted = {name for version in _VERSIONS for name in version.files}
    contents = {}
    with tarfile.open(fileobj=cast("IO[bytes]", _Bounded(stream)), mode="r:") as archive:
        for member in archive:
            name = member.name.rpartition("/")[2]
            if name not in wanted or not member.isfile():
                continue
            if member.size > _LARGEST:
                raise DataError(f"{path}: {name}: {member.size} bytes; CIFAR-10's have 31 million")
            file: IO[bytes] | None = archive.extractfile(member)
            assert file is not None  # noqa: S101 - it is a regular file
            contents[name] = file.read()
            if len(contents[name]) != member.size:
                raise EOFError(f"{name} ends early")
    return contents


def _check_names(name: str, content: bytes, version: _Version) -> None:
    if version is _PYTHON:
        names = _unpickle(name, content).get(b"label_names")
        found = names if isinstance(names, list) else []
    else:
        found = content.split()
    if found != [label.encode() for label in CLASSES]:
        raise DataError(f"{name}: not the classes of CIFAR-10: {', '.join(CLASSES)}")


def _read_binary(name: str, content: bytes) -> _Batch:
    expected = _BATCH * (1 + _PIXELS)
    if len(content) != expected:
        raise DataError(
            f"{name}: {len(content)} bytes where {_BATCH} images take {expected}; fetch it again"
        )
    rows = np.frombuffer(content, np.uint8).reshape(_BATCH, 1 + _PIXELS)
    return _checked(name, rows[:, 1:], rows[:, 0].astype(np.int64))


def _read_pickle(name: str, content: bytes) -> _Batch:
    batch = _unpickle(name, content)
    data, labels = batch.get(b"data"), batch.get(b"labels")
    if not isinstance(data, _PickledArray):
        raise DataError(f"{name}: no array `data` in it; fetch it again")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise DataError(f"{name}: no list `labels` of integers in it; fetch it again")
    if len(labels) != _BATCH:
        raise DataError(f"{name}: {len(labels)} labels; a batch has {_BATCH}")
    return _checked(
        name,
        data.pixels(name),
        np.array([label if label in range(10) else -1 for label in labels], np.int64),
    )


def _checked(name: str, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> _Batch:
    wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if wrong.size:
        raise DataError(
            f"{name}: the label of image {wrong[0]} is none of 0 to {len(CLASSES) - 1}; "
            "fetch it again"
        )
    return _Batch(pixels.reshape(-1, *_SHAPE), labels)


class _PickledType:
    """Stands for NumPy's `dtype` in a pickle: keeps what it was made of."""

    def __init__(self, code: object, *_: object) -> None:
        self.code = code

    def __setstate__(self, _: object) -> None:
        """Drop the byte order and the like, which a type of one byte does not have."""


class _PickledArray:
    """Stands for NumPy's `ndarray` in a pickle, so that no state from a file reaches NumPy."""

    def __init__(self, *_: object) -> None:
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def pixels(self, name: str) -> NDArray[np.uint8]:
        """The array, N x 3072.

        Args:
            name: of the file, for errors.

        Raises:
            DataError: the state is not that of such an array of bytes.
        """
        match self.state:
            case (_, (count, pixels), _PickledType(code=b"u1"), False | 0, bytes(data)):
                if (count, pixels, len(data)) == (_BATCH, _PIXELS, _BATCH * _PIXELS):
                    return np.frombuffer(data, np.uint8).reshape(_BATCH, _PIXELS)
        raise DataError(f"{name}: `data` is not an array of {_BATCH} x {_PIXELS} bytes")


class _Unpickler(pickle.Unpickler):
    """Makes dictionaries, lists, strings, numbers and byte arrays; refuses all else."""

    _ALLOWED: Mapping[tuple[str, str], Any] = {
        ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
        ("numpy", "ndarray"): _PickledArray,
        ("numpy", "dtype"): _PickledType,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not allowed")
        return self._ALLOWED[module, name]


def _check_memo(content: bytes) -> None:
    """Refuse a pickle that keeps an object at a place far beyond those that it has.

    The unpickler makes room for all places up to the highest: five bytes would ask for gigabytes.
    """
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name.endswith("PUT") and argument is not None and argument > _MOST_KEPT:
            raise pickle.UnpicklingError(f"it keeps an object at place {argument}")


def _unpickle(name: str, content: bytes) -> dict[Any, Any]:
    try:
        _check_memo(content)
        value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataError(
            f"{name}: damaged, or not as its authors pickled it ({error}); fetch it again"
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{name}: a pickle of {type(value).__name__}; a dictionary is expected")
    return value

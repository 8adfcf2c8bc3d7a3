"""Write images and labels as an LMDB of `Datum` records, what Caffe's Data layer reads.

Keys and records are those of BVLC's examples/mnist/convert_mnist_data.cpp: the record's number in
decimal with leading zeros, and a serialised Datum of raw uint8 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import lmdb
import numpy as np
from numpy.typing import NDArray

from ul2q.data.errors import DataError
from ul2q.data.staging import staged_folder

if TYPE_CHECKING:
    from ul2q.util.paths import StrPath

Record = tuple[NDArray[np.uint8], int]
"""An image, uint8, channels x height x width, and its label, a signed 32-bit integer."""

Progress = Callable[[int, int, str], None]
"""Called with how many records are done, how many there are, and what they are."""

_Pair = tuple[bytes, bytes]  # key and value

_FILES = ("data.mdb", "lock.mdb")
_BATCH = 1000  # the most records that a transaction has
_BATCH_SIZE = 32 * 2**20  # bytes after which a transaction ends
_FIRST_MAP_SIZE = 16 * 2**20  # bytes


def write_lmdb(
    path: StrPath,
    records: Iterable[Record],
    *,
    total: int,
    force: bool = False,
    progress: Progress | None = None,
) -> None:
    """Write an LMDB folder (data.mdb, lock.mdb) that is complete or not there at all.

    Args:
        path: the folder to be written; missing parents are made.
        records: the images and labels, in the order in which Caffe will read them.
        total: how many records there are.
        force: replace a database that stands at `path`; it stays intact until then.
        progress: called after each transaction.

    Raises:
        DataError: a record has a wrong type or shape; `records` gives more or fewer than `total`;
            or `path` cannot be used (see `staged_folder`).
        OSError: the database cannot be written, as on a full disk.
    """
    path = Path(path)
    with staged_folder(path, force=force, replaceable=_FILES) as folder:
        fill_lmdb(folder, records, total=total, what=path.name, progress=progress)


def fill_lmdb(
    folder: Path,
    records: Iterable[Record | None],
    *,
    total: int,
    what: str,
    progress: Progress | None = None,
) -> int:
    """Write an LMDB into a new or empty folder, as one part of a staged folder.

    Nothing is forced to the disk: that is left to the one who moves the folder into place.

    Args:
        folder: made if it is missing; its parent must exist.
        records: as for `write_lmdb`; None is left out.
        total: how many there are, with those that are left out.
        what: the database's name in errors and for `progress`.
        progress: as for `write_lmdb`.

    Returns:
        How many records were written.

    Raises:
        DataError, OSError: as for `write_lmdb`.
    """
    if total < 1:
        raise DataError(f"{what}: no records; Caffe cannot read an empty database")
    folder.mkdir(exist_ok=True)
    items = _items(records, total, what)
    done = written = 0
    try:
        with lmdb.open(str(folder), map_size=_FIRST_MAP_SIZE, mode=0o666, sync=False) as env:
            while batch := _next_batch(items):
                pairs = [pair for pair in batch if pair]
                _put(env, pairs)
                done += len(batch)
                written += len(pairs)
                if progress:
                    progress(done, total, what)
    except lmdb.Error as error:
        raise OSError(
            f"{what}: cannot write the database in {folder} ({error}); is the disk full?"
        ) from error
    return written


def count_records(path: StrPath) -> int:
    """The number of records in an LMDB folder.

    Raises:
        DataError: the folder holds no LMDB, or one that is cut short.
    """
    path = Path(path)
    try:
        # lock=False: closing a lock file would drop the locks that this process holds on it, if
        # it also trains from this database.
        with lmdb.open(str(path), readonly=True, lock=False, create=False) as env:
            size, pages = env.stat()["psize"], env.info()["last_pgno"] + 1
            entries = env.stat()["entries"]
    except lmdb.Error as error:
        raise DataError(f"{path}: cannot be read as an LMDB folder ({error})") from error
    if (path / _FILES[0]).stat().st_size < size * pages:
        raise DataError(f"{path}: the database is cut short")
    return entries


def _next_batch(items: Iterator[_Pair | None]) -> list[_Pair | None]:
    batch: list[_Pair | None] = []
    size = 0
    for pair in islice(items, _BATCH):
        batch.append(pair)
        size += len(pair[1]) if pair else 0
        if size >= _BATCH_SIZE:
            break
    return batch


def _items(records: Iterable[Record | None], total: int, what: str) -> Iterator[_Pair | None]:
    width = max(8, len(str(total - 1)))  # of equal length, so that LMDB's order is the records'
    count = key = 0
    for record in records:
        if count == total:
            raise DataError(f"{what}: more than the {total} records that were announced")
        count += 1
        if record is None:
            yield None
            continue
        yield b"%0*d" % (width, key), _datum(*record, f"{what}: record {key}")
        key += 1
    if count < total:
        raise DataError(f"{what}: only {count} of the {total} records that were announced")


def _datum(image: NDArray[np.uint8], label: int, what: str) -> bytes:
    from caffe.proto import caffe_pb2  # noqa: PLC0415 - it loads all of Caffe

    if image.dtype != np.uint8 or image.ndim != 3 or image.size == 0:
        raise DataError(
            f"{what}: {image.dtype} image of shape {image.shape}; "
            "it must be uint8, channels x height x width, each 1 or more"
        )
    if not -(2**31) <= label < 2**31:
        raise DataError(f"{what}: label {label}; it must fit in a signed 32-bit integer")
    channels, height, width = image.shape
    datum = caffe_pb2.Datum(
        channels=channels, height=height, width=width, data=image.tobytes(), label=label
    )
    return bytes(datum.SerializeToString())


def _put(env: lmdb.Environment, batch: list[tuple[bytes, bytes]]) -> None:
    while True:
        try:
            with env.begin(write=True) as transaction:
                for key, value in batch:
                    transaction.put(key, value, append=True)
            return
        except lmdb.MapFullError:
            env.set_mapsize(2 * env.info()["map_size"])

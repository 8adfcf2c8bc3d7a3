"""What the import tests share: readers of LMDBs and imports, and a way to fail at the N-th step."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import caffe
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from numpy.typing import NDArray

from ul2q.data import lmdb_writer, staging

Rows = list[tuple[bytes, NDArray[Any], int]]
Imported = list[tuple[bytes, int]]


def _read_lmdb(path: Path) -> Rows:
    """The key, image (C x H x W) and label of every record, in LMDB's order."""
    rows: Rows = []
    with lmdb.open(str(path), readonly=True, create=False) as env, env.begin() as transaction:
        for key, value in transaction.cursor():
            datum = caffe_pb2.Datum.FromString(bytes(value))
            pixels = np.frombuffer(datum.data, np.uint8)
            image = pixels.reshape(datum.channels, datum.height, datum.width)
            rows.append((bytes(key), image, datum.label))
    return rows


@pytest.fixture
def read_lmdb() -> Callable[[Path], Rows]:
    return _read_lmdb


@pytest.fixture
def read_image_set() -> Callable[[Path], Imported | None]:
    """The images and labels of an import: the training set, sorted, and the test set.

    None if there is no import.
    """

    def read(output: Path) -> Imported | None:
        if not output.exists():
            return None
        assert sorted(os.listdir(output)) == [
            "classes.txt",
            "import.json",
            "mean.binaryproto",
            "mean_values.txt",
            "test_lmdb",
            "train_lmdb",
        ]
        train, test = (
            [(image.tobytes(), label) for _, image, label in _read_lmdb(output / part)]
            for part in ("train_lmdb", "test_lmdb")
        )
        return sorted(train) + test

    return read


@pytest.fixture
def check_means() -> Callable[[Path, NDArray[Any]], None]:
    """Holds mean.binaryproto and mean_values.txt against N x C x H x W images."""

    def check(output: Path, images: NDArray[Any]) -> None:
        mean = images.astype(np.float64).mean(axis=0)
        blob = caffe_pb2.BlobProto.FromString((output / "mean.binaryproto").read_bytes())
        assert (blob.num, blob.channels, blob.height, blob.width) == (1, *mean.shape)
        np.testing.assert_allclose(np.reshape(blob.data, mean.shape), mean, rtol=1e-6)
        param = text_format.Parse(
            (output / "mean_values.txt").read_text(), caffe_pb2.TransformationParameter()
        )
        np.testing.assert_allclose(list(param.mean_value), mean.mean(axis=(1, 2)), rtol=1e-6)

    return check


@pytest.fixture
def data_layer(tmp_path: Path) -> Callable[..., Rows]:
    """The images that Caffe's Data layer reads from an LMDB, and their labels."""

    def read(path: Path, count: int, transform: str = "") -> Rows:
        net = tmp_path / "data_layer.prototxt"
        net.write_text(
            'layer { name: "data" type: "Data" top: "data" top: "label" '
            f"transform_param {{ {transform} }} "
            f'data_param {{ source: "{path}" batch_size: {count} backend: LMDB }} }}'
        )
        blobs = caffe.Net(str(net), caffe.TEST).forward()
        net.unlink()
        pairs = zip(blobs["data"].copy(), blobs["label"], strict=True)
        return [(b"", image, int(label)) for image, label in pairs]

    return read


class Faults:
    """Counts operations and makes the `first` one fail, and with `ever_after` all that follow."""

    def __init__(self, first: int, *, ever_after: bool) -> None:
        self.first = first
        self.ever_after = ever_after
        self.count = 0

    def check(self) -> None:
        self.count += 1
        if self.count == self.first or (self.ever_after and self.count > self.first):
            raise OSError(5, "injected fault")

    def guard(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.check()
            return operation(*args, **kwargs)

        return guarded


class _FaultyTransaction:
    def __init__(self, real: lmdb.Transaction, faults: Faults) -> None:
        self.real = real
        self.faults = faults

    def __enter__(self) -> "_FaultyTransaction":
        self.real.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._check()
        except lmdb.Error:
            self.real.abort()
            raise
        self.real.__exit__(kind, error, trace)

    def put(self, *args: Any, **kwargs: Any) -> bool:
        self._check()
        return self.real.put(*args, **kwargs)

    def _check(self) -> None:
        try:
            self.faults.check()
        except OSError as error:
            raise lmdb.DiskError("injected fault") from error


class _FaultyEnvironment:
    def __init__(self, real: lmdb.Environment, faults: Faults) -> None:
        self.real = real
        self.faults = faults

    def __enter__(self) -> "_FaultyEnvironment":
        return self

    def __exit__(self, *_: object) -> None:
        self.real.close()

    def begin(self, **kwargs: Any) -> _FaultyTransaction:
        return _FaultyTransaction(self.real.begin(**kwargs), self.faults)

    def set_mapsize(self, size: int) -> None:
        self.real.set_mapsize(size)

    def info(self) -> Any:
        return self.real.info()


@contextlib.contextmanager
def _injected(first: int, *, ever_after: bool) -> Iterator[None]:
    """Makes the `first` put, commit, fsync, rename, exchange, mkdir or file write fail."""
    faults = Faults(first, ever_after=ever_after)
    real_open = lmdb.open
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            lmdb, "open", lambda *args, **kw: _FaultyEnvironment(real_open(*args, **kw), faults)
        )
        patch.setattr(lmdb_writer, "_BATCH", 2)
        patch.setattr(os, "fsync", faults.guard(os.fsync))
        patch.setattr(os, "rename", faults.guard(os.rename))
        patch.setattr(staging, "_exchange", faults.guard(staging._exchange))
        patch.setattr(Path, "mkdir", faults.guard(Path.mkdir))
        patch.setattr(Path, "write_text", faults.guard(Path.write_text))
        patch.setattr(Path, "write_bytes", faults.guard(Path.write_bytes))
        yield


Contents = Any
Sweep = Callable[..., int]


@pytest.fixture
def fault_sweep() -> Sweep:
    """Runs an operation with its 1st, 2nd, 3rd … step failing, until it goes through.

    Each time the target, `around`/out, is a copy of the folder `kept` before, or not there.
    After each fault `contents()` must be `old` or `new`, and the folder around the target must
    hold nothing else. Returns how often the operation failed.
    """

    def sweep(
        operation: Callable[[], object],
        contents: Callable[[], Contents],
        around: Path,
        *,
        kept: Path | None,
        old: Contents,
        new: Contents,
        ever_after: bool,
    ) -> int:
        target = around / "out"
        for first in range(1, 200):
            shutil.rmtree(target, ignore_errors=True)
            if kept:
                shutil.copytree(kept, target)
            before = set(around.iterdir())
            try:
                with _injected(first, ever_after=ever_after):
                    operation()
            except OSError as error:
                assert "injected fault" in str(error)
                now = contents()
                assert now in (old, new), f"neither the old nor the new one at step {first}"
                assert set(around.iterdir()) == before | ({target} if now else set())
            else:
                assert contents() == new
                return first - 1
        raise AssertionError("the operation never went through")

    return sweep

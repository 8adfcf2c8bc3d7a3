"""What data set a database holds."""

from __future__ import annotations

import hashlib
import shutil
import struct
from typing import TYPE_CHECKING

import numpy as np

from tests.small_nets import datum, write_records
from ul2q.data.mnist import import_mnist
from ul2q.nets.data_sets import data_set

if TYPE_CHECKING:
    from pathlib import Path


def idx(*shape: int) -> bytes:
    head = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    return head + np.arange(np.prod(shape), dtype=np.uint8).tobytes()


def test_an_import_says_what_it_is(tmp_path: Path) -> None:
    for name, content in {
        "train-images-idx3-ubyte": idx(6, 4, 3),
        "train-labels-idx1-ubyte": idx(6),
        "t10k-images-idx3-ubyte": idx(3, 4, 3),
        "t10k-labels-idx1-ubyte": idx(3),
    }.items():
        (tmp_path / name).write_bytes(content)
    import_mnist(tmp_path, tmp_path / "digits")
    train, test = (data_set(tmp_path / "digits" / f"{name}_lmdb") for name in ("train", "test"))
    assert (train.name, train.records, test.name, test.records) == ("mnist", 6, "mnist", 3)
    note = (tmp_path / "digits" / "import.json").read_bytes()
    assert train.import_sha256 == test.import_sha256 == hashlib.sha256(note).hexdigest()
    assert str(test) == f"mnist ({tmp_path / 'digits' / 'test_lmdb'}, 3 records)"
    shutil.copytree(tmp_path / "digits", tmp_path / "copy")
    assert data_set(tmp_path / "copy" / "train_lmdb").is_same(train)
    assert not test.is_same(train)


def test_databases_without_an_import_are_told_apart_by_their_records(tmp_path: Path) -> None:
    records = [datum(i % 7) for i in range(40)]
    write_records(tmp_path / "a" / "train_lmdb", records)
    changed = {
        "the same": records,
        "fewer": records[:-1],
        "another first": [datum(9), *records[1:]],
        "another last": [*records[:-1], datum(9)],
    }
    first = data_set(tmp_path / "a" / "train_lmdb")
    assert (first.name, first.import_sha256, first.records) == (None, None, 40)
    for name, content in changed.items():
        write_records(tmp_path / name / "train_lmdb", content)
        other = data_set(tmp_path / name / "train_lmdb")
        assert other.is_same(first) == (name == "the same")
    for note in ("{", "[]", '{"dataset": 3}'):
        (tmp_path / "a" / "import.json").write_text(note)
        assert data_set(tmp_path / "a" / "train_lmdb") == first


def test_what_is_no_lmdb_is_told_apart_by_its_path(tmp_path: Path) -> None:
    one, other = data_set(tmp_path / "a"), data_set(tmp_path / "b")
    assert (one.records, one.sample_sha256) == (None, None)
    assert one.is_same(one)
    assert not one.is_same(other)

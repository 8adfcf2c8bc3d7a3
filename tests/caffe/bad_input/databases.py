"""LMDBs, LevelDBs and mean files that are missing, damaged or do not fit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
from caffe.proto import caffe_pb2

from tests.caffe.bad_input.cases import Case, case, layer, make_net
from tests.small_nets import write_records

if TYPE_CHECKING:
    from collections.abc import Callable


def write_lmdb(path: Path, count: int, *, damaged: int = -1) -> None:
    """Write `count` images of 1 × 3 × 4, the one with the index `damaged` damaged."""
    datum = caffe_pb2.Datum(channels=1, height=3, width=4, data=bytes(12), label=1)
    record = datum.SerializeToString()
    write_records(path, [b"\xff\xff" if i == damaged else record for i in range(count)])


def data_layer(
    source: Path | str, fields: str = "batch_size: 2 backend: LMDB", more: str = ""
) -> str:
    """Return a Data layer 'L' that reads images `d` and labels `l` from `source`."""
    return layer("Data", "", f"data_param {{ source: '{source}' {fields} }} {more}", tops="d l")


def data_case(
    name: str,
    prepare: Callable[[Path], object],
    *words: str,
    error: type[Exception] = caffe.CaffeError,
    **options: Any,
) -> Case:
    """Return the case of a Data layer, in training, whose source `prepare` makes in folder/db.

    `options` are those of `data_layer`; FOLDER in them stands for the folder.
    """

    def do(folder: Path) -> None:
        prepare(folder / "db")
        text = data_layer(folder / "db", **options).replace("FOLDER", str(folder))
        make_net(folder, text).forward()

    return case(f"Data: {name}", do, "Layer 'L' (Data): ", *words, error=error)


def nothing(_: Path) -> None:
    """Make no database."""


def spoil(path: Path, content: bytes) -> None:
    """Write `content` where LMDB has its data."""
    path.mkdir()
    (path / "data.mdb").write_bytes(content)


def cut_short(path: Path) -> None:
    """Write an LMDB and drop the second half of its file."""
    write_lmdb(path, 500)
    os.truncate(path / "data.mdb", (path / "data.mdb").stat().st_size // 2)


def mistake_pages(path: Path) -> None:
    """Write an LMDB whose leaves, but for the first, are marked as branches.

    LMDB finds that out by an assertion.
    """
    write_lmdb(path, 500)
    content = bytearray((path / "data.mdb").read_bytes())
    for page in range(2 * 4096, len(content), 4096):
        is_leaf = content[page + 10] == 2
        if is_leaf and b"0000" not in content[page : page + 4096]:
            content[page + 10] = 1
    (path / "data.mdb").write_bytes(content)


def good(path: Path) -> None:
    """Write an LMDB that can be read."""
    write_lmdb(path, 4)


def write_mean(path: Path, *shape: int) -> None:
    """Write a mean file of zeros."""
    blob = caffe_pb2.BlobProto(data=[0.0] * int(np.prod(shape)))
    blob.shape.dim.extend(shape)
    path.write_bytes(blob.SerializeToString())


def with_mean(*shape: int) -> Callable[[Path], None]:
    """Return a function that writes a good LMDB and, in its folder, a mean file of `shape`."""

    def prepare(path: Path) -> None:
        good(path)
        write_mean(path.parent / "mean", *shape)

    return prepare


def with_text_mean(path: Path) -> None:
    """Write a good LMDB, and text in place of the mean file."""
    good(path)
    (path.parent / "mean").write_text("no mean", encoding="ascii")


LEVELDB = "batch_size: 2 backend: LEVELDB"
MEAN = "transform_param { mean_file: 'FOLDER/mean' }"

CASES = [
    data_case("missing LMDB", nothing, "No such file", "/db", error=FileNotFoundError),
    data_case(
        "missing LevelDB",
        nothing,
        "No such file",
        "/db",
        error=FileNotFoundError,
        fields=LEVELDB,
    ),
    data_case("empty folder as LMDB", Path.mkdir, "/db", "No such file or directory"),
    data_case("file as LMDB", lambda path: path.write_bytes(b"no db"), "/db", "Not a directory"),
    data_case(
        "garbage as LMDB", lambda path: spoil(path, b"garbage" * 5000), "/db", "not an LMDB file"
    ),
    data_case("LMDB cut short", cut_short, "/db is cut short"),
    data_case(
        "wrong pages in an LMDB",
        mistake_pages,
        "The LMDB is damaged",
        fields="batch_size: 200 backend: LMDB",
    ),
    data_case("no records", lambda path: write_lmdb(path, 0), "/db holds no records"),
    data_case("folder without LevelDB", Path.mkdir, "/db", "does not exist", fields=LEVELDB),
    data_case(
        "batch of 0", good, "batch_size must be positive", fields="batch_size: 0 backend: LMDB"
    ),
    data_case("no batch size", good, "batch_size must be positive", fields="backend: LMDB"),
    data_case(
        "prefetch 0",
        good,
        "prefetch must be positive",
        fields="batch_size: 2 backend: LMDB prefetch: 0",
    ),
    data_case(
        "damaged first record",
        lambda path: write_lmdb(path, 4, damaged=0),
        "record '0000' of",
        "/db is damaged",
    ),
    data_case(
        "damaged record",
        lambda path: write_lmdb(path, 4, damaged=1),
        "record '0001' of",
        "/db is damaged",
    ),
    data_case("crop", good, "datum_height >= crop_size", more="transform_param { crop_size: 9 }"),
    data_case("missing mean", good, "No such file", "/mean", error=FileNotFoundError, more=MEAN),
    data_case("text as mean", with_text_mean, "/mean is damaged, or no caffe.BlobProto", more=MEAN),
    data_case(
        "mean of another size",
        with_mean(1, 1, 9, 9),
        "/mean is of 1 x 9 x 9",
        "the image of 1 x 3 x 4",
        more=MEAN,
    ),
    data_case("mean of other channels", with_mean(1, 2, 3, 4), "is of 2 x 3 x 4", more=MEAN),
    data_case("mean of other axes", with_mean(3, 4, 1), "is of 3 x 4 x 1", more=MEAN),
    data_case("mean of two axes", with_mean(3, 4), "/mean is of shape 3 4 (12)", more=MEAN),
    data_case("two means", with_mean(2, 1, 3, 4), "/mean is of shape 2 1 3 4 (24)", more=MEAN),
    data_case("empty mean", good, "mean_file is empty", more="transform_param { mean_file: '' }"),
    case(
        "Data: empty source",
        lambda folder: make_net(folder, data_layer("")),
        "Layer 'L' (Data): ",
        "data_param.source is empty",
    ),
    data_case(
        "mean values", good, "mean_value", more="transform_param { mean_value: 1 mean_value: 2 }"
    ),
    data_case(
        "mean file and value",
        with_mean(1, 1, 3, 4),
        "mean_file and mean_value at the same time",
        more="transform_param { mean_file: 'FOLDER/mean' mean_value: 1 }",
    ),
]

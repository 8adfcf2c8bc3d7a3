"""Layers that read data: MemoryData and LMDBs."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.small_nets import datum, lmdb_net, write_records

if TYPE_CHECKING:
    from pathlib import Path

    from tests.small_nets import NetMaker, SolverMaker

MEMORY = """
layer { name: "data" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 2 channels: 1 height: 2 width: 3 } }
layer { name: "copy" type: "Power" bottom: "data" top: "copy" }
layer { name: "copy_label" type: "Power" bottom: "label" top: "copy_label" }
"""


def test_memory_data_serves_the_arrays_in_turn(make_net: NetMaker) -> None:
    net = make_net(MEMORY)
    data = np.arange(36, dtype=np.float32).reshape(6, 1, 2, 3)
    labels = np.arange(6, dtype=np.float32)
    net.set_input_arrays(data, labels)
    for first in (0, 2, 4, 0):
        out = net.forward()
        np.testing.assert_array_equal(out["copy"], data[first : first + 2])
        np.testing.assert_array_equal(out["copy_label"].ravel(), labels[first : first + 2])


@pytest.mark.parametrize(
    ("data", "labels", "words"),
    [
        (np.zeros((2, 1, 2, 4)), np.zeros(2), "data array must be of shape N x 1 x 2 x 3"),
        (np.zeros((2, 6)), np.zeros(2), "data array must be of shape"),
        (np.zeros((2, 1, 2, 3)), np.zeros((2, 3, 1, 1)), "labels array must be of shape"),
        (np.zeros((2, 1, 2, 3)), np.zeros(4), "the same first dimension"),
        (np.zeros((3, 1, 2, 3)), np.zeros(3), "multiple of the batch size, 2"),
        (np.zeros((0, 1, 2, 3)), np.zeros(0), "multiple of the batch size, 2"),
    ],
)
def test_memory_data_refuses_arrays_of_other_shapes(
    data: Any, labels: Any, words: str, make_net: NetMaker
) -> None:
    net = make_net(MEMORY)
    with pytest.raises(ValueError, match=words):
        net.set_input_arrays(data.astype(np.float32), labels.astype(np.float32))
    with pytest.raises(caffe.CaffeError, match=r"call net\.set_input_arrays"):
        net.forward()


@pytest.mark.parametrize(
    ("data", "labels", "words"),
    [
        (np.zeros((2, 1, 2, 3)), np.zeros(2, np.float32), "data array is of float64; .*astype"),
        (
            np.zeros((2, 1, 2, 3), np.float32),
            np.zeros(2, int),
            "labels array is of int64; .*astype",
        ),
        (
            np.zeros((2, 1, 3, 2), np.float32).transpose(0, 1, 3, 2),
            np.zeros(2, np.float32),
            "data array is not contiguous .*ascontiguousarray",
        ),
    ],
)
def test_memory_data_says_how_an_array_must_lie_in_memory(
    data: Any, labels: Any, words: str, make_net: NetMaker
) -> None:
    """MemoryData serves the array itself, and would read other bytes."""
    with pytest.raises(TypeError, match=words):
        make_net(MEMORY).set_input_arrays(data, labels)


def test_memory_data_keeps_its_arrays(make_solver: SolverMaker) -> None:
    solver = make_solver(
        MEMORY.replace("channels: 1 height: 2 width: 3", "channels: 1 height: 100 width: 100"),
        base_lr=0,
    )
    shape = (2, 1, 100, 100)
    solver.net.set_input_arrays(np.full(shape, 3, np.float32), np.zeros(2, np.float32))
    gc.collect()
    # Memory that was freed would be theirs.
    others = [np.full(shape, 7, np.float32) for _ in range(50)]
    solver.net.forward()
    assert (solver.net.blobs["copy"].data == 3).all()
    assert len(others) == 50


def test_memory_data_lets_go_of_arrays_it_no_longer_needs(make_net: NetMaker) -> None:
    net = make_net(MEMORY)
    first = np.zeros((2, 1, 2, 3), np.float32)
    alive = weakref.ref(first)
    net.set_input_arrays(first, np.zeros(2, np.float32))
    del first
    gc.collect()
    assert alive() is not None
    net.set_input_arrays(np.zeros((2, 1, 2, 3), np.float32), np.zeros(2, np.float32))
    gc.collect()
    assert alive() is None


def test_records_of_an_lmdb_in_turn(make_net: NetMaker, tmp_path: Path) -> None:
    write_records(tmp_path / "lmdb", [datum(i) for i in range(4)])
    net = make_net(lmdb_net(tmp_path / "lmdb"))
    for first in (0, 2, 0):
        out = net.forward()
        np.testing.assert_array_equal(out["label"], [first, first + 1])
        np.testing.assert_array_equal(out["data"][:, 0, 0, 0], [first, first + 1])


@pytest.mark.parametrize(
    "damaged", [b"", b"\xff\xff\xff\xff", b"no datum at all", datum(3, size=5), datum(3)[:-5]]
)
@pytest.mark.parametrize("at", [1, 3])
def test_a_damaged_record_is_an_error_of_the_forward_pass(
    damaged: bytes, at: int, make_net: NetMaker, tmp_path: Path
) -> None:
    records = [datum(i) for i in range(4)]
    records[at] = damaged
    write_records(tmp_path / "lmdb", records)
    net = make_net(lmdb_net(tmp_path / "lmdb"))

    def three_passes() -> None:
        for _ in range(3):
            net.forward()

    for _ in range(2):
        with pytest.raises(caffe.CaffeError):
            three_passes()
    make_net().forward()


def test_a_missing_lmdb_is_an_error(make_net: NetMaker, tmp_path: Path) -> None:
    with pytest.raises(caffe.CaffeError, match="No such file or directory"):
        make_net(lmdb_net(tmp_path / "nothing"))

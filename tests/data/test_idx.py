"""The IDX reader, against files packed by hand."""

import contextlib
import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ul2q.data import DataError, read_idx
from ul2q.data import idx as idx_module


def idx(shape: tuple[int, ...], elements: bytes, element_type: int = 0x08) -> bytes:
    header = struct.pack(">HBB", 0, element_type, len(shape))
    return header + b"".join(struct.pack(">I", length) for length in shape) + elements


SIX = bytes([0, 1, 127, 128, 254, 255])
GOOD = idx((2, 3), SIX)
GZIPPED = gzip.compress(GOOD)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("name", ["images-idx3-ubyte", "images-idx3-ubyte.gz"])
@pytest.mark.parametrize(
    "shape", [(6,), (2, 3), (1, 3, 2), (1, 1, 6, 1), (1,) * 31 + (6,)], ids=len
)
def test_reads_any_number_of_axes(
    tmp_path: Path, shape: tuple[int, ...], name: str, packed: bool
) -> None:
    content = idx(shape, SIX)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if packed else content)
    array = read_idx(path)
    assert array.dtype == np.uint8
    assert array.shape == shape
    assert array.tobytes() == SIX


def test_the_last_axis_runs_fastest_and_lengths_are_big_endian(tmp_path: Path) -> None:
    path = tmp_path / "labels"
    path.write_bytes(idx((2, 258), bytes(258) + bytes([7]) * 258))
    array = read_idx(path)
    assert array.shape == (2, 258)
    assert not array[0].any()
    assert (array[1] == 7).all()


def test_reads_several_gzip_members_as_one_stream(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(GOOD[:7]) + gzip.compress(GOOD[7:]))
    assert read_idx(path).tobytes() == SIX


def flipped(content: bytes, index: int) -> bytes:
    damaged = bytearray(content)
    damaged[index] ^= 0xFF
    return bytes(damaged)


DAMAGED = {
    "empty": (b"", "empty"),
    "one byte": (GOOD[:1], "truncated header: 1 of the 4 bytes"),
    "three bytes": (GOOD[:3], "truncated header: 3 of the 4 bytes"),
    "axes missing": (GOOD[:11], "truncated header: 11 bytes where 2 axes take 12"),
    "a web page": (b"<!DOCTYPE html>", "wrong magic number 3c 21 44 4f"),
    "little endian": (struct.pack("<I", 0x0802) + GOOD[4:], "wrong magic number 02 08 00 00"),
    "no axes": (idx((), b"\1"), "0 axes, where 1 to 32"),
    "too many axes": (idx((1,) * 33, b"\1"), "33 axes, where 1 to 32"),
    "int8": (idx((6,), SIX, 0x09), r"0x09 \(int8\); only uint8 \(0x08\)"),
    "float32": (idx((1,), b"abcd", 0x0D), r"0x0d \(float32\); only uint8 \(0x08\)"),
    "type unknown": (idx((6,), SIX, 0x0A), r"0x0a \(unknown\)"),
    "no elements": (idx((0, 3), b""), r"no elements \(0 x 3\)"),
    "header only": (idx((2, 3), b""), r"short file: 0 bytes .* \(2 x 3\) asks for 6"),
    "one byte short": (GOOD[:-1], r"short file: 5 bytes .* \(2 x 3\) asks for 6"),
    "absurd lengths": (idx((2**32 - 1,) * 8, SIX), "short file: 6 bytes"),
    "one byte more": (GOOD + b"\0", "1 trailing bytes after the 6 elements"),
    "gzipped and short": (gzip.compress(GOOD[:-1]), "short file: 5 bytes"),
    "gzipped and long": (gzip.compress(GOOD + b"\0"), "1 trailing bytes"),
    "gzipped nothing": (gzip.compress(b""), "empty"),
    "gzip magic only": (GZIPPED[:2], "cut short"),
    "gzip header cut": (GZIPPED[:9], "cut short"),
    "gzip body cut": (GZIPPED[:-10], "cut short"),
    "gzip length cut": (GZIPPED[:-1], "cut short"),
    "gzip body damaged": (flipped(GZIPPED, 10), "gzip stream is damaged"),
    "gzip checksum": (flipped(GZIPPED, -8), "gzip stream is damaged .*CRC"),
    "gzip length": (flipped(GZIPPED, -4), "gzip stream is damaged"),
    "gzip then junk": (GZIPPED + b"junk", "gzip stream is damaged"),
}


@pytest.mark.parametrize(("content", "words"), DAMAGED.values(), ids=DAMAGED.keys())
def test_refuses_a_damaged_file(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


def test_every_prefix_of_a_gzipped_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images"
    for length in range(len(GZIPPED)):
        path.write_bytes(GZIPPED[:length])
        with pytest.raises(DataError):
            read_idx(path)


def peak_of(path: Path) -> int:
    """The most memory, in bytes, that the reader of a file takes at a time."""
    tracemalloc.start()
    try:
        with contextlib.suppress(DataError):
            read_idx(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_gzipped_file_takes_its_own_size(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx((2**24,), bytes(2**24)), 1))
    assert peak_of(path) < 1.3 * 2**24


def test_what_follows_the_elements_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx((1,), bytes(2**24)), 1))
    with pytest.raises(DataError, match="16777215 trailing bytes after the 1 elements"):
        read_idx(path)
    assert peak_of(path) < 2**23


def test_a_gzipped_file_of_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idx_module, "_LARGEST_GZIPPED", 5)
    path = tmp_path / "images.gz"
    path.write_bytes(GZIPPED)
    with pytest.raises(DataError, match=r"6 elements \(2 x 3\) in a gzipped file, .* at most 5"):
        read_idx(path)
    path.write_bytes(GOOD)
    assert read_idx(path).tobytes() == SIX


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere-idx1-ubyte"
    with pytest.raises(FileNotFoundError, match=r"nowhere-idx1-ubyte: no such file; an IDX file"):
        read_idx(path)

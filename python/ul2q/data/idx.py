"""Read IDX files, the format of MNIST (http://yann.lecun.com/exdb/mnist, "The IDX file format").

An IDX file is: two zero bytes, one byte for the element type, one for the number of axes, each
axis' length as a big-endian 32-bit integer, then the elements with the last axis running fastest.
"""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ul2q.data.errors import DataError

if TYPE_CHECKING:
    import io

    from numpy.typing import NDArray

    from ul2q.util.paths import StrPath

_GZIP_MAGIC = b"\x1f\x8b"
_UINT8 = 0x08
_OTHER_TYPES = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_MAX_AXES = 32  # what every NumPy release can hold
_LARGEST_GZIPPED = 2**31  # elements; MNIST has 47 million, and zeros are packed 1 to 1000
_BLOCK = 2**20


def read_idx(path: StrPath) -> NDArray[np.uint8]:
    """Read an IDX file of uint8 elements, gzipped or not (told by its first bytes, not its name).

    Returns:
        A read-only array of the shape that the header gives: N x H x W for images, N for labels.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: the file is damaged, cut short or longer than its header says, or holds
            something other than uint8 elements.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw:
            return _read(raw, path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{path}: no such file; an IDX file, gzipped or not, was looked for"
        ) from None
    except EOFError:
        raise DataError(
            f"{path}: the gzip stream is cut short; the file is incomplete, fetch it again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{path}: the gzip stream is damaged ({error}); fetch the file again"
        ) from error


def _read(raw: io.BufferedReader, path: Path) -> NDArray[np.uint8]:
    if raw.peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)] != _GZIP_MAGIC:
        return _parse(raw, path, largest=max(os.fstat(raw.fileno()).st_size, _LARGEST_GZIPPED))
    with gzip.GzipFile(fileobj=raw) as stream:
        return _parse(stream, path, largest=_LARGEST_GZIPPED)


def _parse(
    stream: gzip.GzipFile | io.BufferedReader, path: Path, *, largest: int
) -> NDArray[np.uint8]:
    """The array of a stream, which is read to its end: only there is gzip's checksum compared.

    Args:
        stream: the IDX file, not gzipped.
        path: its name, for errors.
        largest: number of elements that memory is given for.

    Raises:
        DataError: as for `read_idx`.
    """
    shape = _shape(stream, path)
    lengths = " x ".join(map(str, shape))
    expected = math.prod(shape)
    if expected == 0:
        raise DataError(f"{path}: holds no elements ({lengths}); each axis must be 1 or longer")
    # A header of a few bytes may ask for anything. What is not filled takes no memory.
    elements = np.empty(expected if expected <= largest else 0, np.uint8)
    size = 0
    while block := stream.read(_BLOCK):
        here = np.frombuffer(block, np.uint8)[: max(len(elements) - size, 0)]
        elements[size : size + len(here)] = here
        size += len(block)
    if size < expected:
        raise DataError(
            f"{path}: short file: {size} bytes of elements where its header ({lengths}) asks for "
            f"{expected}; fetch the file again"
        )
    if size > expected:
        raise DataError(
            f"{path}: {size - expected} trailing bytes after the {expected} elements that its "
            f"header ({lengths}) asks for; fetch the file again"
        )
    if expected > largest:
        raise DataError(
            f"{path}: {expected} elements ({lengths}) in a gzipped file, of which at most "
            f"{largest} are read; unpack it first (gunzip {path.name})"
        )
    elements.flags.writeable = False
    return elements.reshape(shape)


def _shape(stream: gzip.GzipFile | io.BufferedReader, path: Path) -> tuple[int, ...]:
    """The shape that a header gives; the stream is behind it then."""
    magic = stream.read(4)
    if not magic:
        raise DataError(f"{path}: the file is empty; an IDX file has at least 9 bytes")
    if len(magic) < 4:
        raise DataError(
            f"{path}: truncated header: {len(magic)} of the 4 bytes of the magic number; "
            "fetch the file again"
        )
    _, element_type, axes = struct.unpack(">HBB", magic)
    if magic[:2] != b"\0\0":
        raise DataError(
            f"{path}: wrong magic number {magic.hex(' ')}: not an IDX file; "
            "one of uint8 elements begins with 00 00 08 and the number of axes"
        )
    if element_type != _UINT8:
        name = _OTHER_TYPES.get(element_type, "unknown")
        raise DataError(
            f"{path}: unsupported element type 0x{element_type:02x} ({name}); "
            "only uint8 (0x08) can be read"
        )
    if not 1 <= axes <= _MAX_AXES:
        raise DataError(f"{path}: wrong magic number: {axes} axes, where 1 to {_MAX_AXES} can be")
    lengths = stream.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise DataError(
            f"{path}: truncated header: {4 + len(lengths)} bytes where {axes} axes take "
            f"{4 + 4 * axes}; fetch the file again"
        )
    shape: tuple[int, ...] = struct.unpack(f">{axes}I", lengths)
    return shape

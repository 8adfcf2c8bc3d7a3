"""Read IDX files, the format of MNIST (http://yann.lecun.com/exdb/mnist, "The IDX file format").

An IDX file is: two zero bytes, one byte for the element type, one for the number of axes, each
axis' length as a big-endian 32-bit integer, then the elements with the last axis running fastest.
"""

from __future__ import annotations

import gzip
import math
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
            data = _content(raw)
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
    return _parse(data, path)


def _content(raw: io.BufferedReader) -> bytes:
    if raw.peek(len(_GZIP_MAGIC))[: len(_GZIP_MAGIC)] != _GZIP_MAGIC:
        return raw.read()
    with gzip.GzipFile(fileobj=raw) as stream:
        return stream.read()  # to the end of the stream: only there is the checksum compared


def _parse(data: bytes, path: Path) -> NDArray[np.uint8]:
    if not data:
        raise DataError(f"{path}: the file is empty; an IDX file has at least 9 bytes")
    if len(data) < 4:
        raise DataError(
            f"{path}: truncated header: {len(data)} of the 4 bytes of the magic number; "
            "fetch the file again"
        )
    _, element_type, axes = struct.unpack_from(">HBB", data)
    if data[:2] != b"\0\0":
        raise DataError(
            f"{path}: wrong magic number {data[:4].hex(' ')}: not an IDX file; "
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
    start = 4 + 4 * axes
    if len(data) < start:
        raise DataError(
            f"{path}: truncated header: {len(data)} bytes where {axes} axes take {start}; "
            "fetch the file again"
        )
    shape = struct.unpack_from(f">{axes}I", data, 4)
    lengths = " x ".join(map(str, shape))
    size, expected = len(data) - start, math.prod(shape)
    if expected == 0:
        raise DataError(f"{path}: holds no elements ({lengths}); each axis must be 1 or longer")
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
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)

"""Image files written by hand, to hold the importers' decoding against."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # height x width x 3 (R, G, B)


def random_pixels(seed: int, height: int = 4, width: int = 5) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def ppm(pixels: Pixels) -> bytes:
    height, width, _ = pixels.shape
    return f"P6\n{width} {height}\n255\n".encode() + pixels.tobytes()


def png(rows: NDArray[Any], color: int, bits: int = 8, palette: bytes = b"") -> bytes:
    """Rows of height x bytes; colour 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[color]
    raw = rows.reshape(len(rows), -1)
    header = struct.pack(">IIBBBBB", raw.shape[1] // channels, len(raw), bits, color, 0, 0, 0)
    body = b"".join(b"\0" + row.tobytes() for row in raw)
    transparent = chunk(b"PLTE", palette) + chunk(b"tRNS", b"\0\x7f") if palette else b""
    chunks = chunk(b"IHDR", header) + transparent + chunk(b"IDAT", zlib.compress(body))
    return b"\x89PNG\r\n\x1a\n" + chunks + chunk(b"IEND", b"")


def planes(pixels: Pixels) -> bytes:
    """As Caffe has them: the blue plane, the green one, the red one."""
    return b"".join(pixels[:, :, channel].tobytes() for channel in (2, 1, 0))


def write_classes(root: Path, classes: dict[str, dict[str, bytes]]) -> Path:
    for name, files in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (root / name / file).write_bytes(content)
    return root

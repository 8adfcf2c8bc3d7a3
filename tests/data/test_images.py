"""Decoding of image files, and the processes that do it, against files written by hand."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.data.image_files import Pixels, planes, png, ppm, random_pixels
from ul2q.data import DataError, Resize
from ul2q.data.image_reader import image_reader
from ul2q.data.images import ImageError, read_image

PIXELS = random_pixels(1)
GREY = PIXELS[:, :, 0]
OPAQUE = np.full((4, 5, 1), 255, np.uint8)
PALETTE = bytes(range(6))
INDEX = np.array([[0, 1], [1, 0]], np.uint8)

FORMATS: dict[str, tuple[bytes, Pixels]] = {
    "PPM": (ppm(PIXELS), PIXELS),
    "PNG": (png(PIXELS, 2), PIXELS),
    "PNG, RGBA": (png(np.concatenate([PIXELS, OPAQUE // 2], 2), 6), PIXELS),
    "PNG, grey": (png(GREY, 0), np.stack([GREY] * 3, 2)),
    "PNG, grey and alpha": (png(np.stack([GREY, GREY], 2), 4), np.stack([GREY] * 3, 2)),
    "PNG, palette": (
        png(INDEX, 3, palette=PALETTE),
        np.frombuffer(PALETTE, np.uint8).reshape(2, 3)[INDEX],
    ),
}


@pytest.mark.parametrize(("content", "pixels"), FORMATS.values(), ids=FORMATS.keys())
def test_decodes_into_blue_green_red_planes(tmp_path: Path, content: bytes, pixels: Pixels) -> None:
    path = tmp_path / "image.xyz"  # the content tells the format, not the name
    path.write_bytes(content)
    image = read_image(str(path), None)
    assert image.dtype == np.uint8
    assert image.shape == (3, *pixels.shape[:2])
    assert image.tobytes() == planes(pixels)


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_decodes_jpeg(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "image.JPEG"
    color = (200, 100, 30) if mode != "L" else (90, 90, 90)
    Image.new("RGB", (16, 8), color).convert(mode).save(path, "JPEG", quality=95)
    expected = np.broadcast_to(np.array(color[::-1]).reshape(3, 1, 1), (3, 8, 16))
    np.testing.assert_allclose(read_image(str(path), None), expected, atol=3)


def triangle(row: np.ndarray[Any, Any], length: int) -> list[float]:
    """A row resampled by a triangle, as wide as a source or a target pixel, whichever is wider."""
    scale = len(row) / length
    reach = max(scale, 1)
    values = []
    for i in range(length):
        centre = (i + 0.5) * scale
        weights = [max(0, 1 - abs(j + 0.5 - centre) / reach) for j in range(len(row))]
        values.append(sum(w * x for w, x in zip(weights, row, strict=True)) / math.fsum(weights))
    return values


def resampled(image: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    """3 x H x W."""
    wide = np.apply_along_axis(triangle, 2, image.astype(float), width)
    return np.apply_along_axis(triangle, 1, wide, height)


@pytest.mark.parametrize("size", [(4, 5), (2, 2), (8, 15), (9, 3)])
def test_stretches_bilinearly(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "image.ppm"
    path.write_bytes(ppm(PIXELS))
    image = read_image(str(path), Resize(*size))
    assert image.shape == (3, *size)
    expected = resampled(read_image(str(path), None), *size)
    np.testing.assert_allclose(image, expected, atol=1.5)  # two roundings


@pytest.mark.parametrize("tall", [False, True], ids=["wide", "tall"])
def test_crop_scales_the_shorter_side_and_cuts_the_middle(tmp_path: Path, tall: bool) -> None:
    pixels = random_pixels(2, 4, 12)
    middle = pixels[:, 4:8]
    if tall:
        pixels, middle = pixels.transpose(1, 0, 2), middle.transpose(1, 0, 2)
    path = tmp_path / "image.ppm"
    path.write_bytes(ppm(pixels))
    image = read_image(str(path), Resize(4, 4, "crop"))
    assert image.tobytes() == planes(middle)
    assert read_image(str(path), Resize(2, 2, "crop")).shape == (3, 2, 2)


@pytest.mark.parametrize("size", [(0, 3), (3, 0), (-1, 3)])
def test_a_size_of_nothing_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match=r"size -?\d x \d; each must be 1 pixel or more"):
        Resize(*size)


PNG = png(random_pixels(3, 64, 64), 2)
DAMAGED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", r"not in a known format \(BMP, GIF, JPEG"),
    "text": (b"not an image\n" * 50, "not in a known format"),
    "magic only": (PNG[:8], "damaged"),
    "cut": (PNG[: len(PNG) // 2], "truncated"),
    "checksum": (PNG[:30] + bytes([PNG[30] ^ 1]) + PNG[31:], "damaged"),
    "PPM cut": (ppm(PIXELS)[:-1], "damaged"),
    "16 bits": (png(np.zeros((4, 4), ">u2"), 0, bits=16), "mode I.*only 8 bits a channel"),
}


@pytest.mark.parametrize(("content", "words"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_image_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"{re.escape(str(path))}: .*{words}"):
        read_image(str(path), None)


def test_a_decompression_bomb_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "bomb.ppm"
    path.write_bytes(b"P6\n60000 60000\n255\n" + bytes(99))
    with pytest.raises(ImageError, match="decompression bomb"):
        read_image(str(path), None)


def test_postscript_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a file is called: Pillow goes by its first bytes."""
    path = tmp_path / "image.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n%%EndComments\nshowpage\n")
    started: list[object] = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *given, **_: started.append(given))
    with pytest.raises(ImageError, match="not in a known format"):
        read_image(str(path), None)
    assert not started


def test_a_file_that_cannot_be_read_is_no_damaged_image(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_image(str(tmp_path / "gone.png"), None)


def files(folder: Path, count: int) -> list[str]:
    """Image `i` has the value i; every seventh is damaged."""
    for i in range(count):
        pixels = np.full((2, 2, 3), i, np.uint8)
        (folder / f"{i}.ppm").write_bytes(b"?" if i % 7 == 3 else ppm(pixels))
    return [str(folder / f"{i}.ppm") for i in range(count)]


@pytest.mark.parametrize("jobs", [1, 2, 3])
@pytest.mark.parametrize("count", [0, 1, 250])
def test_images_come_in_order(tmp_path: Path, jobs: int, count: int) -> None:
    paths = files(tmp_path, count)
    with image_reader(jobs, None) as read:
        for _ in range(2):
            images = list(read(iter(paths)))
            assert len(images) == count
            for i, image in enumerate(images):
                if i % 7 == 3:
                    assert isinstance(image, ImageError)
                    assert paths[i] in str(image)
                else:
                    assert not isinstance(image, ImageError)
                    assert np.unique(image).tolist() == [i]


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_that_cannot_be_read_stops_the_reader(tmp_path: Path, jobs: int) -> None:
    paths = [*files(tmp_path, 3), str(tmp_path / "gone.ppm")]
    with (
        pytest.raises(FileNotFoundError, match=r"gone\.ppm"),
        image_reader(jobs, None) as read,
    ):
        list(read(paths))


def test_no_jobs_are_refused() -> None:
    with pytest.raises(DataError, match="0 jobs; there must be 1 or more"), image_reader(0, None):
        pass


def children() -> list[int]:
    path = Path("/proc/self/task", str(os.getpid()), "children")
    return [int(word) for word in path.read_text().split()]


def test_the_death_of_a_process_is_an_error(tmp_path: Path) -> None:
    paths = files(tmp_path, 100)
    before = set(children())
    with image_reader(2, None) as read:
        started = set(children()) - before
        assert len(started) == 2
        for process in started:
            os.kill(process, signal.SIGKILL)
        with pytest.raises(OSError, match=r"ended \(exit status -9\); .* use fewer jobs"):
            list(read(paths))
    assert set(children()) == before


ORPHANS = """
import os, signal, sys
from pathlib import Path
from ul2q.data.image_reader import image_reader
with image_reader(2, None) as read:
    next(read(sys.argv[1:]))
    print(Path("/proc/self/task", str(os.getpid()), "children").read_text(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", ORPHANS, *files(tmp_path, 50)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == -signal.SIGKILL
    processes = [Path("/proc", word, "cmdline") for word in run.stdout.split()]
    assert len(processes) == 2
    until = time.monotonic() + 10
    while any(path.exists() and "image_reader" in path.read_text() for path in processes):
        assert time.monotonic() < until, "a process goes on without its parent"
        time.sleep(0.02)

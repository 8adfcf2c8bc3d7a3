"""Images of one channel: by request, and where all are grey. Held against Pillow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from tests.data.image_files import planes, png, ppm, random_pixels, write_classes
from ul2q.data import Resize, cifar, import_cifar10, import_folder, import_imagenet
from ul2q.data.errors import DataError
from ul2q.data.images import is_gray, to_gray

if TYPE_CHECKING:
    from pathlib import Path


def luma(pixels: Any) -> bytes:
    return Image.fromarray(pixels).convert("L").tobytes()


def gray_png(seed: int) -> bytes:
    return png(random_pixels(seed)[:, :, 0], 0)


def test_the_luma_is_pillows() -> None:
    values = np.array([0, 1, 2, 127, 128, 254, 255], np.uint8)
    colours = np.stack(np.meshgrid(values, values, values), -1).reshape(7, 49, 3)
    pixels = np.concatenate([colours, random_pixels(1, 200, 49)])
    image = to_gray(pixels[:, :, ::-1].transpose(2, 0, 1))
    assert image.shape == (1, 207, 49)
    assert image.tobytes() == luma(pixels)


def test_of_three_equal_channels_it_is_one() -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(to_gray(np.stack([values] * 3))[0], values)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", True), ("L", True), ("LA", True), ("P", False), ("RGB", False), ("CMYK", False)],
)
def test_what_a_file_says_of_its_colour(tmp_path: Path, mode: str, expected: bool) -> None:
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    Image.new(mode, (3, 2)).save(path)
    assert is_gray(str(path)) is expected
    path.write_bytes(b"?")
    assert is_gray(str(path)) is None


def folders(root: Path, kind: str) -> tuple[Path, Path]:
    """Two classes; all grey, all in colour, or all grey but for the last of the test set."""
    for part in ("train", "test"):
        images = {
            f"{i}.png": gray_png(i) if kind != "colour" else png(random_pixels(i), 2)
            for i in range(3)
        }
        write_classes(root / part, {"a": images, "b": images})
    if kind == "mixed":
        write_classes(root / "test", {"b": {"2.png": png(random_pixels(2), 2)}})
    return root / "train", root / "test"


@pytest.mark.parametrize(
    ("kind", "gray", "channels"),
    [
        ("grey", None, 1),
        ("grey", True, 1),
        ("grey", False, 3),
        ("mixed", None, 3),
        ("mixed", True, 1),
        ("colour", None, 3),
        ("colour", True, 1),
        ("colour", False, 3),
    ],
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_folders(
    tmp_path: Path,
    read_lmdb: Any,
    check_means: Any,
    kind: str,
    gray: bool,
    channels: int,
    jobs: int,
) -> None:
    train, test = folders(tmp_path, kind)
    output = tmp_path / "out"
    dataset = import_folder(train, test, output, gray=gray, jobs=jobs)
    assert dataset.shape == (channels, 4, 5)
    expected = []
    for i in range(3):
        pixels = random_pixels(i)
        if kind != "colour":
            pixels = np.stack([pixels[:, :, 0]] * 3, -1)
        expected.append(luma(pixels) if channels == 1 else planes(pixels))
    rows = sorted((image.tobytes(), label) for _, image, label in read_lmdb(output / "train_lmdb"))
    assert rows == sorted((image, label) for image in expected for label in (0, 1))
    images = np.frombuffer(b"".join(expected), np.uint8).reshape(-1, channels, 4, 5)
    check_means(output, np.concatenate([images, images]))
    options = json.loads((output / "import.json").read_text())["options"]
    assert options.get("gray", False) is (channels == 1)
    assert import_folder(train, test, output, gray=gray, jobs=jobs) == dataset  # it stands
    with pytest.raises(DataError, match="--force"):
        import_folder(train, test, output, gray=channels != 1)


def test_a_damaged_file_makes_no_colours(tmp_path: Path) -> None:
    train, test = folders(tmp_path, "grey")
    (train / "a" / "1.png").write_bytes(b"?")
    dataset = import_folder(train, test, tmp_path / "out", skip_bad=True, jobs=1)
    assert (dataset.shape, dataset.train_count) == ((1, 4, 5), 5)


def test_imagenet(tmp_path: Path) -> None:
    train, _ = folders(tmp_path, "colour")
    write_classes(tmp_path, {"val": {"x.ppm": ppm(random_pixels(9))}})
    (tmp_path / "labels").write_text("0\n")
    dataset = import_imagenet(
        train,
        tmp_path / "val",
        tmp_path / "labels",
        tmp_path / "out",
        resize=Resize(4, 5),
        gray=True,
        jobs=1,
    )
    assert dataset.shape == (1, 4, 5)


def test_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_lmdb: Any) -> None:
    monkeypatch.setattr(cifar, "_BATCH", 10)
    pixels = random_pixels(3, 32, 32)
    row = pixels.transpose(2, 0, 1).tobytes()  # the red plane first
    rows = b"".join(bytes([i]) + row for i in range(10))
    batches = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    names = b"airplane automobile bird cat deer dog frog horse ship truck"
    write_classes(tmp_path, {"c": {**dict.fromkeys(batches, rows), "batches.meta.txt": names}})
    dataset = import_cifar10(tmp_path / "c", tmp_path / "out", gray=True)
    assert dataset.shape == (1, 32, 32)
    assert {image.tobytes() for _, image, _ in read_lmdb(dataset.test)} == {luma(pixels)}
    with pytest.raises(DataError, match="--force"):
        import_cifar10(tmp_path / "c", tmp_path / "out")

"""ImageData, WindowData and encoded records, against Pillow and OpenCV's formula in NumPy."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from PIL import Image

from tests.small_nets import write_records

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[Any]

RNG = np.random.default_rng(2)


def picture(height: int, width: int, channels: int = 3) -> Array:
    """A smooth picture with some noise, height × width × channels, uint8."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / (3 + c) + y / (5 - c)) for c in range(channels)]
    noise = RNG.normal(0, 4, (height, width, channels))
    return np.asarray(np.clip(128 + 90 * np.stack(waves, 2) + noise, 0, 255), np.uint8)


def save(path: Path, pixels: Array, **options: Any) -> Array:
    """Write a picture, and return what Pillow reads of it: channels × height × width, BGR."""
    Image.fromarray(pixels.squeeze()).save(path, **options)
    return as_blob(Image.open(path).convert("RGB"))


def as_blob(image: Any) -> Array:
    """An image as an array of channels × height × width, BGR."""
    pixels = np.asarray(image, np.float64)
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels[..., ::-1]
    return pixels.transpose(2, 0, 1)


def image_net(listed: Path, options: str = "", transform: str = "", size: int = 1) -> Any:
    return caffe.Net.from_proto(
        'layer { name: "d" type: "ImageData" top: "data" top: "label" '
        f'image_data_param {{ source: "{listed}" batch_size: {size} {options} }} '
        f"transform_param {{ {transform} }} }}",
        caffe.TEST,
    )


def read_images(listed: Path, count: int, options: str = "", transform: str = "") -> list[Array]:
    """The first images that an ImageData layer reads, one a batch."""
    net = image_net(listed, options, transform)
    images = []
    for _ in range(count):
        net.forward()
        images.append(net.blobs["data"].data[0].astype(np.float64))
    return images


def list_of(folder: Path, *names: str) -> Path:
    path = folder / "list.txt"
    path.write_text("".join(f"{folder / name} {i + 3}\n" for i, name in enumerate(names)))
    return path


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.png", {}, 0),
        ("a.jpg", {"quality": 90, "subsampling": 0}, 1),
        ("a.jpeg", {"quality": 75, "subsampling": 2}, 1),
        ("b.jpg", {"quality": 75, "progressive": True}, 1),
    ],
)
def test_images_are_read_as_pillow_reads_them(
    name: str, options: dict[str, Any], tolerance: int, tmp_path: Path
) -> None:
    expected = save(tmp_path / name, picture(37, 50), **options)
    (image,) = read_images(list_of(tmp_path, name), 1)
    assert image.shape == (3, 37, 50)
    np.testing.assert_allclose(image, expected, atol=tolerance)


def test_gray_images_and_images_read_as_gray(tmp_path: Path) -> None:
    gray = save(tmp_path / "gray.png", picture(9, 7, 1))
    gray_jpeg = save(tmp_path / "gray.jpg", picture(9, 7, 1))
    colour = save(tmp_path / "colour.png", picture(9, 7))
    jpeg = picture(16, 24)
    save(tmp_path / "colour.jpg", jpeg)
    listed = list_of(tmp_path, "gray.png", "gray.jpg", "colour.png", "colour.jpg")
    images = read_images(listed, 2)
    np.testing.assert_array_equal(images[0], gray)
    np.testing.assert_allclose(images[1], gray_jpeg, atol=1)
    images = read_images(listed, 4, "is_color: false")
    np.testing.assert_array_equal(images[0], gray[:1])
    luminance = np.tensordot([0.114, 0.587, 0.299], colour, 1)
    np.testing.assert_allclose(images[2][0], luminance, atol=0.51)
    plane = np.asarray(Image.open(tmp_path / "colour.jpg").convert("L"), float)
    np.testing.assert_allclose(images[3][0], plane, atol=3)


def test_other_kinds_of_pngs_and_jpegs(tmp_path: Path) -> None:
    pixels = picture(8, 6)
    Image.fromarray(pixels).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "p.png")
    alpha = np.concatenate([pixels, np.full((8, 6, 1), 77, np.uint8)], 2)
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    deep = pixels[..., 0].astype(np.uint16) * 256 + 200
    Image.fromarray(deep).save(tmp_path / "deep.png")
    Image.fromarray(pixels[..., 0] > 128).save(tmp_path / "bits.png")
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "ink.jpg", quality=95)
    images = read_images(
        list_of(tmp_path, "p.png", "alpha.png", "deep.png", "bits.png", "ink.jpg"), 5
    )
    palette = as_blob(Image.open(tmp_path / "p.png").convert("RGB"))
    np.testing.assert_array_equal(images[0], palette)
    np.testing.assert_array_equal(images[1], as_blob(pixels))
    np.testing.assert_array_equal(images[2][1], pixels[..., 0])  # the upper 8 bits
    np.testing.assert_array_equal(images[3][0], 255.0 * (pixels[..., 0] > 128))
    np.testing.assert_allclose(images[4], as_blob(pixels), atol=12)


def resized(image: Array, height: int, width: int) -> Array:
    """OpenCV's INTER_LINEAR, in floating point: channels × height × width."""

    def places(size: int, out: int) -> tuple[Array, Array, Array]:
        at = np.clip((np.arange(out) + 0.5) * size / out - 0.5, 0, size - 1)
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, size - 1), at - low

    top, bottom, v = places(image.shape[1], height)
    left, right, u = places(image.shape[2], width)
    v = v[:, None]
    above = (1 - u) * image[:, top][:, :, left] + u * image[:, top][:, :, right]
    below = (1 - u) * image[:, bottom][:, :, left] + u * image[:, bottom][:, :, right]
    return np.asarray((1 - v) * above + v * below)


@pytest.mark.parametrize("size", [(20, 31), (74, 25), (80, 120), (37, 50), (1, 1), (9, 100)])
def test_images_are_resized_as_opencv_does(size: tuple[int, int], tmp_path: Path) -> None:
    image = save(tmp_path / "a.png", picture(37, 50))
    options = f"new_height: {size[0]} new_width: {size[1]}"
    (actual,) = read_images(list_of(tmp_path, "a.png"), 1, options)
    # Its fixed-point weights have 11 bits.
    np.testing.assert_allclose(actual, resized(image, *size), atol=1)


def test_batches_labels_folders_and_transformations(tmp_path: Path) -> None:
    images = [save(tmp_path / f"{i}.png", picture(12, 12)) for i in range(3)]
    listed = tmp_path / "list.txt"
    listed.write_text("0.png 7\n\n1.png 0\r\n2.png 12\n")
    net = image_net(
        listed,
        f'root_folder: "{tmp_path}/"',
        "scale: 0.5 mean_value: 10 mean_value: 20 mean_value: 30 crop_size: 8",
        size=2,
    )
    mean = np.array([10, 20, 30]).reshape(3, 1, 1)
    for first in (0, 2, 1):
        net.forward()
        chosen = [(first + i) % 3 for i in range(2)]
        np.testing.assert_array_equal(net.blobs["label"].data, [(7, 0, 12)[i] for i in chosen])
        for row, i in enumerate(chosen):
            expected = (images[i][:, 2:10, 2:10] - mean) / 2
            np.testing.assert_allclose(net.blobs["data"].data[row], expected)


def test_shuffled_images_come_once_each(tmp_path: Path) -> None:
    for i in range(8):
        save(tmp_path / f"{i}.png", np.full((4, 4, 3), 10 * i, np.uint8))
    listed = list_of(tmp_path, *(f"{i}.png" for i in range(8)))
    caffe.set_random_seed(5)
    net = image_net(listed, "shuffle: true", size=8)
    orders = set()
    for _ in range(3):
        net.forward()
        order = tuple(net.blobs["label"].data.astype(int) - 3)
        assert sorted(order) == list(range(8))
        np.testing.assert_array_equal(net.blobs["data"].data[:, 0, 0, 0], 10 * np.array(order))
        orders.add(order)
    assert len(orders) == 3


def encoded(pixels: Array, kind: str, label: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(content, kind)
    message = caffe_pb2.Datum(encoded=True, data=content.getvalue(), label=label)
    return bytes(message.SerializeToString())


def data_net(source: Path, transform: str = "", size: int = 2) -> Any:
    return caffe.Net.from_proto(
        'layer { name: "d" type: "Data" top: "data" top: "label" '
        f'data_param {{ source: "{source}" batch_size: {size} backend: LMDB }} '
        f"transform_param {{ {transform} }} }}",
        caffe.TEST,
    )


def test_encoded_records_are_decoded(tmp_path: Path) -> None:
    pictures = [picture(10, 14), picture(10, 14)]
    records = [
        encoded(pixels, "PNG", label) for pixels, label in zip(pictures, (4, 9), strict=True)
    ]
    write_records(tmp_path / "db", records)
    net = data_net(tmp_path / "db", "scale: 2")
    net.forward()
    np.testing.assert_array_equal(net.blobs["label"].data, [4, 9])
    for actual, pixels in zip(net.blobs["data"].data, pictures, strict=True):
        np.testing.assert_array_equal(actual, 2 * as_blob(pixels))
    gray = data_net(tmp_path / "db", "force_gray: true")
    gray.forward()
    assert gray.blobs["data"].data.shape == (2, 1, 10, 14)


def test_gray_encoded_records_have_one_channel_unless_colour_is_forced(tmp_path: Path) -> None:
    pixels = picture(10, 14, 1)
    write_records(tmp_path / "db", [encoded(pixels, "JPEG", 1)])
    for transform, channels in (("", 1), ("force_color: true", 3)):
        net = data_net(tmp_path / "db", transform, size=1)
        net.forward()
        assert net.blobs["data"].data.shape == (1, channels, 10, 14)


WINDOWS = """# 0
{0}
3
30
40
3
2 0.9 5 6 24 27
1 0.6 0 0 9 9
0 0.1 3 4 12 17
# 1
{1}
3
20
20
1
0 0.0 2 2 11 15
"""


def window_net(folder: Path, options: str = "", text: str = WINDOWS, crop: int = 8) -> Any:
    path = folder / "windows.txt"
    path.write_text(text.format(folder / "0.png", folder / "1.png"))
    return caffe.Net.from_proto(
        'layer { name: "d" type: "WindowData" top: "data" top: "label" '
        f'window_data_param {{ source: "{path}" batch_size: 4 fg_fraction: 0.5 {options} }} '
        f"transform_param {{ crop_size: {crop} }} }}",
        caffe.TRAIN,
    )


@pytest.mark.parametrize("options", ["", "cache_images: true"])
def test_windows_are_cut_out_and_warped(options: str, tmp_path: Path) -> None:
    first = save(tmp_path / "0.png", picture(30, 40))
    second = save(tmp_path / "1.png", picture(20, 20))
    cuts = {
        2: [first[:, 6:28, 5:25]],
        1: [first[:, :10, :10]],
        0: [first[:, 4:18, 3:13], second[:, 2:16, 2:12]],
    }
    caffe.set_random_seed(1)
    net = window_net(tmp_path, options)
    seen = set()
    for _ in range(12):
        net.forward()
        labels = net.blobs["label"].data.astype(int)
        assert (labels[:2] == 0).all()  # background comes first
        assert (labels[2:] > 0).all()
        for window, label in zip(net.blobs["data"].data, labels, strict=True):
            errors = [np.abs(window - resized(cut, 8, 8)).max() for cut in cuts[label]]
            assert min(errors) <= 1
            seen.add((label, int(np.argmin(errors))))
    assert len(seen) == 4


def test_windows_with_context_are_padded_with_zeros(tmp_path: Path) -> None:
    save(tmp_path / "0.png", np.full((30, 40, 3), 200, np.uint8))
    save(tmp_path / "1.png", np.full((20, 20, 3), 200, np.uint8))
    net = window_net(tmp_path, 'context_pad: 2 crop_mode: "square"')
    net.forward()
    assert set(np.unique(net.blobs["data"].data)) <= {0.0, 200.0}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no image", "neither a JPEG nor a PNG image; others must be converted"),
        (b"", "neither a JPEG nor a PNG"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 20, "the image is damaged"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, "the image is damaged"),
    ],
)
def test_files_that_are_no_images_are_named(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(content)
    with pytest.raises(caffe.CaffeError, match=rf"bad.jpg: Layer 'd' \(ImageData\): {words}"):
        image_net(list_of(tmp_path, "bad.jpg"))


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_an_image_that_is_cut_short_is_refused(name: str, tmp_path: Path) -> None:
    save(tmp_path / name, picture(40, 40))
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(caffe.CaffeError, match=f"{name}: Layer .*: the image is damaged: .*"):
        image_net(list_of(tmp_path, name))


def test_an_image_that_is_not_there_is_named_while_reading_ahead(tmp_path: Path) -> None:
    save(tmp_path / "0.png", picture(5, 5))
    net = image_net(list_of(tmp_path, "0.png", "gone.png"))
    net.forward()
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        net.forward()


@pytest.mark.parametrize(
    ("listed", "options", "words"),
    [
        ("", "", "list.txt names no image"),
        ("0.png\n", "", '"0.png" has no label; a line is an image'),
        ("0.png 1\n", "new_height: 3", "only one of new_height and new_width"),
    ],
)
def test_lists_that_cannot_be_are_refused(
    listed: str, options: str, words: str, tmp_path: Path
) -> None:
    save(tmp_path / "0.png", picture(5, 5))
    (tmp_path / "list.txt").write_text(listed)
    with pytest.raises(caffe.CaffeError, match=words):
        image_net(tmp_path / "list.txt", f'root_folder: "{tmp_path}/" {options}')
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        image_net(tmp_path / "missing.txt")


def test_images_of_unequal_sizes_in_a_batch_are_told_what_to_do(tmp_path: Path) -> None:
    save(tmp_path / "0.png", picture(5, 5))
    save(tmp_path / "1.png", picture(5, 6))
    net = image_net(list_of(tmp_path, "0.png", "1.png"), size=2)
    with pytest.raises(caffe.CaffeError, match=r"differ in width.*new_height and new_width"):
        net.forward()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("# 1", "# 4"), "images must be numbered from 0, in order"),
        (("\n3\n30", "\n1\n30"), "images are read with 3 channels"),
        (("2 0.9 5 6 24 27", "2 0.9 5 6 24 x"), "window 0 of 3 is not six numbers"),
    ],
)
def test_window_files_that_cannot_be_are_refused(
    change: tuple[str, str], words: str, tmp_path: Path
) -> None:
    for i, size in enumerate(((30, 40), (20, 20))):
        save(tmp_path / f"{i}.png", picture(*size))
    with pytest.raises(caffe.CaffeError, match=words):
        window_net(tmp_path, text=WINDOWS.replace(*change))


def test_a_window_beyond_its_image_is_refused(tmp_path: Path) -> None:
    for i, size in enumerate(((30, 40), (20, 20))):
        save(tmp_path / f"{i}.png", picture(*size))
    net = window_net(tmp_path, text=WINDOWS.replace("0 0.0 2 2 11 15", "0 0.0 2 2 11 95"))
    with pytest.raises(caffe.CaffeError, match="94 pixels at 2, 2 is not within the image"):
        [net.forward() for _ in range(20)]

"""BVLC's Python files on today's NumPy, protobuf, scikit-image and pandas."""

from __future__ import annotations

import ast
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import caffe.coord_map
import caffe.draw
import numpy as np
import pandas as pd
import pytest
from caffe import layers as L  # noqa: N812
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from PIL import Image

from tests.processes import run_python

if TYPE_CHECKING:
    import subprocess

RNG = np.random.default_rng(4)
# scikit-image's rgb2gray (Rec. 709).
LUMINANCE = np.array([0.2125, 0.7154, 0.0721])

# The scores of an image are the means of its channels; a batch of 3.
MEANS = """
input: "data" input_shape { dim: 3 dim: 3 dim: 4 dim: 6 }
layer { name: "mean" type: "Pooling" bottom: "data" top: "mean"
  pooling_param { pool: AVE global_pooling: true } }
layer { name: "scores" type: "Flatten" bottom: "mean" top: "scores" }
layer { name: "prob" type: "Softmax" bottom: "scores" top: "prob" }
"""


@pytest.fixture
def means_net(tmp_path: Path) -> tuple[str, str]:
    """The files of MEANS: prototxt and weights."""
    path = tmp_path / "means.prototxt"
    path.write_text(MEANS, encoding="utf-8")
    caffe.Net(str(path), caffe.TEST).save(str(tmp_path / "means.caffemodel"))
    return str(path), str(tmp_path / "means.caffemodel")


def softmax_of_means(images: Any, scale: float = 1.0) -> Any:
    """What MEANS gives for an iterable of H × W × 3 arrays: N × 3."""
    scores = np.array([scale * image.mean(axis=(0, 1)) for image in images], float)
    exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def save_png(path: Path, pixels: Any) -> str:
    Image.fromarray(pixels).save(path)
    return str(path)


# caffe.io: messages


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
def test_arrays_and_datums(dtype: type) -> None:
    array: Any = RNG.integers(0, 256, size=(3, 2, 5)).astype(dtype)
    datum = caffe.io.array_to_datum(array, label=7)
    assert (datum.channels, datum.height, datum.width, datum.label) == (3, 2, 5, 7)
    assert bool(datum.data) == (dtype is np.uint8)
    back = caffe.io.datum_to_array(caffe_pb2.Datum.FromString(datum.SerializeToString()))
    np.testing.assert_array_equal(back, array)
    back[0, 0, 0] = 1  # an array of the caller's own
    with pytest.raises(ValueError, match="shape"):
        caffe.io.array_to_datum(array[0])


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (4,), (2, 3), (1, 1, 1)])
def test_arrays_and_blobprotos(shape: tuple[int, ...]) -> None:
    data, diff = RNG.normal(size=(2, *shape)).astype(np.float32)
    blob = caffe.io.array_to_blobproto(data, diff)
    np.testing.assert_array_equal(caffe.io.blobproto_to_array(blob), data)
    np.testing.assert_array_equal(caffe.io.blobproto_to_array(blob, return_diff=True), diff)
    text = caffe.io.arraylist_to_blobprotovector_str([data, diff])
    for got, want in zip(
        caffe.io.blobprotovector_str_to_arraylist(text), (data, diff), strict=True
    ):
        np.testing.assert_array_equal(got, want)


# caffe.io: images


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_load_as_floats(channels: int, color: bool, tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, size=(5, 7, channels)).astype(np.uint8)
    if channels == 4:
        pixels[..., 3] = 255
    got = caffe.io.load_image(save_png(tmp_path / "a.png", pixels.squeeze()), color)
    want = pixels[..., :3] / 255
    if color and channels == 1:
        want = np.repeat(want, 3, axis=2)
    if not color and channels > 1:
        want = (want @ LUMINANCE)[..., np.newaxis]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=1e-6)


def interpolate(image: Any, height: int, width: int) -> Any:
    """Bilinear, the centres of pixels at halves, zeros outside of the image."""
    rows, columns, channels = image.shape
    padded = np.zeros((rows + 2, columns + 2, channels))
    padded[1:-1, 1:-1] = image
    out = np.empty((height, width, channels))
    for i in range(height):
        for j in range(width):
            y = (i + 0.5) * rows / height + 0.5
            x = (j + 0.5) * columns / width + 0.5
            y0, x0 = int(y), int(x)
            dy, dx = y - y0, x - x0
            top = (1 - dx) * padded[y0, x0] + dx * padded[y0, x0 + 1]
            low = (1 - dx) * padded[y0 + 1, x0] + dx * padded[y0 + 1, x0 + 1]
            out[i, j] = (1 - dy) * top + dy * low
    return out


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(4, 5), (3, 3), (11, 7), (8, 9), (2, 20)])
def test_images_are_resized_by_interpolation_alone(size: tuple[int, int], channels: int) -> None:
    image = RNG.uniform(size=(8, 9, channels))
    image[0, 0], image[-1, -1] = 0, 1  # resize_image works on (image - min) / (max - min)
    got = caffe.io.resize_image(image, size)
    assert got.shape == (*size, channels)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, interpolate(image, *size), atol=1e-5)


def test_images_of_other_numbers_of_channels_and_constant_ones() -> None:
    ramp = np.arange(5.0)[:, np.newaxis, np.newaxis] * np.ones((5, 3, 2))
    want = np.linspace(0, 4, 9)[:, np.newaxis, np.newaxis] * np.ones((9, 3, 2))
    np.testing.assert_allclose(caffe.io.resize_image(ramp, (9, 3)), want, atol=1e-6)
    constant = caffe.io.resize_image(np.full((4, 4, 3), 0.25), (2, 7))
    np.testing.assert_array_equal(constant, np.full((2, 7, 3), 0.25))


def test_oversample_takes_corners_centre_and_mirrors() -> None:
    images = RNG.normal(size=(2, 6, 7, 3)).astype(np.float32)
    crops = caffe.io.oversample(images, (4, 3))
    starts = [(0, 0), (0, 4), (2, 0), (2, 4), (1, 2)]
    want = []
    for image in images:
        five = [image[y : y + 4, x : x + 3] for y, x in starts]
        want += [*five, *(crop[:, ::-1] for crop in five)]
    np.testing.assert_array_equal(crops, np.array(want))


def test_transformer_does_its_steps_in_order() -> None:
    transformer = caffe.io.Transformer({"data": (1, 3, 4, 6)})
    mean = np.array([10.0, 20.0, 30.0])
    transformer.set_transpose("data", (2, 0, 1))
    transformer.set_channel_swap("data", (2, 1, 0))
    transformer.set_raw_scale("data", 255)
    transformer.set_mean("data", mean)
    transformer.set_input_scale("data", 0.5)
    image = RNG.uniform(size=(4, 6, 3))
    got = transformer.preprocess("data", image)
    want = (image.transpose(2, 0, 1)[::-1] * 255 - mean[:, None, None]) * 0.5
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(transformer.deprocess("data", got), image, atol=1e-6)
    large = RNG.uniform(size=(8, 12, 3))
    large[0, 0], large[-1, -1] = 0, 1
    resized = interpolate(large, 4, 6).transpose(2, 0, 1)[::-1]
    want = (resized * 255 - mean[:, None, None]) * 0.5
    np.testing.assert_allclose(transformer.preprocess("data", large), want, atol=1e-2)


def test_transformer_resizes_a_mean_image() -> None:
    transformer = caffe.io.Transformer({"data": (1, 3, 4, 6)})
    mean = RNG.uniform(size=(3, 8, 12))
    mean[:, 0, 0], mean[:, -1, -1] = 0, 1
    transformer.set_mean("data", mean)
    want = interpolate(mean.transpose(1, 2, 0), 4, 6).transpose(2, 0, 1)
    np.testing.assert_allclose(transformer.mean["data"], want, atol=1e-5)


# caffe.Classifier and caffe.Detector


def test_classifier_with_crops(means_net: tuple[str, str]) -> None:
    classifier = caffe.Classifier(
        *means_net, image_dims=(6, 8), raw_scale=255, channel_swap=(2, 1, 0), input_scale=0.1
    )
    images = [RNG.uniform(size=(6, 8, 3)).astype(np.float32) for _ in range(2)]
    centre = [image[1:5, 1:7] for image in images]
    got = classifier.predict(images, oversample=False)
    want = softmax_of_means([image[..., ::-1] for image in centre], 25.5)
    np.testing.assert_allclose(got, want, rtol=1e-4)
    got = classifier.predict(images)
    want = []
    for image in images:
        starts = [(0, 0), (0, 2), (2, 0), (2, 2), (1, 1)]
        crops = [image[y : y + 4, x : x + 6, ::-1] for y, x in starts]
        want.append(softmax_of_means(crops, 25.5).mean(axis=0))
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_classifier_scales_to_the_input_when_nothing_is_said(means_net: tuple[str, str]) -> None:
    image = RNG.uniform(size=(8, 12, 3))
    image[0, 0], image[-1, -1] = 0, 1
    got = caffe.Classifier(*means_net).predict([image], oversample=False)
    np.testing.assert_allclose(got, softmax_of_means([interpolate(image, 4, 6)]), rtol=1e-4)


WINDOWS = np.array([[0, 0, 4, 6], [1, 2, 5, 8], [4, 4, 8, 10], [2, 1, 6, 7]])


@pytest.fixture
def picture(tmp_path: Path) -> tuple[str, Any]:
    pixels = RNG.integers(0, 256, size=(8, 10, 3)).astype(np.uint8)
    return save_png(tmp_path / "picture.png", pixels), pixels / 255


def test_detector_on_listed_windows(
    means_net: tuple[str, str], picture: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, image = picture
    detector = caffe.Detector(*means_net, raw_scale=10)
    want = softmax_of_means([image[a:c, b:d] for a, b, c, d in WINDOWS], 10)
    proposals = types.ModuleType("selective_search_ijcv_with_python")
    monkeypatch.setitem(sys.modules, proposals.__name__, proposals)
    proposals.get_windows = lambda names, cmd: [WINDOWS] * len(names)  # type: ignore[attr-defined] # noqa: ARG005
    for detections in (
        detector.detect_windows([(name, WINDOWS)]),
        detector.detect_windows(iter([(name, WINDOWS)])),
        detector.detect_selective_search([name]),
    ):
        assert [d["filename"] for d in detections] == [name] * 4
        np.testing.assert_array_equal([d["window"] for d in detections], WINDOWS)
        np.testing.assert_allclose([d["prediction"] for d in detections], want, rtol=1e-4)


def test_detector_takes_context_around_a_window(tmp_path: Path) -> None:
    net = tmp_path / "square.prototxt"
    net.write_text(MEANS.replace("dim: 4 dim: 6", "dim: 8 dim: 8"), encoding="utf-8")
    caffe.Net(str(net), caffe.TEST).save(str(tmp_path / "square.caffemodel"))
    detector = caffe.Detector(
        str(net), str(tmp_path / "square.caffemodel"), mean=np.array([1.0, 2.0, 4.0]), context_pad=2
    )
    image = np.zeros((20, 20, 3), np.float32)
    image[...] = [0.1, 0.2, 0.3]
    # The window and a border of its half on each side: inside, and over the upper left corner.
    inside = detector.crop(image, np.array([8, 8, 11, 11]))
    np.testing.assert_allclose(inside, np.broadcast_to([0.1, 0.2, 0.3], (8, 8, 3)), rtol=1e-6)
    corner = detector.crop(image, np.array([0, 0, 7, 7]))
    # 8 pixels about (4, 4), twice as large: 4 of 17 are outside, which is 2 of 8 in the crop.
    np.testing.assert_allclose(corner[2:, 2:], np.broadcast_to([0.1, 0.2, 0.3], (6, 6, 3)), 1e-6)
    np.testing.assert_allclose(corner[:2], np.broadcast_to([1.0, 2.0, 4.0], (2, 8, 3)))
    np.testing.assert_allclose(corner[:, :2], np.broadcast_to([1.0, 2.0, 4.0], (8, 2, 3)))


# caffe.draw and caffe.coord_map


DRAWN = """
name: "drawn"
layer { name: "data" type: "Data" top: "data" data_param { batch_size: 5 source: "x" } }
layer { name: "conv/1" type: "QuantizedConvolution" bottom: "data" top: "conv/1"
  param { lr_mult: 2 } param { lr_mult: 0.5 }
  convolution_param { num_output: 20 kernel_size: 3 stride: 2 pad: 1 }
  quantization_param { weight { bits: 2 } } }
layer { name: "relu" type: "ReLU" bottom: "conv/1" top: "conv/1" }
layer { name: "pool" type: "Pooling" bottom: "conv/1" top: "pool"
  pooling_param { pool: AVE kernel_size: 4 } }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip"
  inner_product_param { num_output: 10 } include { phase: TEST } }
"""


def draw(**options: Any) -> str:
    net = text_format.Parse(DRAWN, caffe_pb2.NetParameter())
    return str(caffe.draw.draw_net(net, "TB", ext="raw", **options).decode())


def test_a_net_is_drawn_as_text() -> None:
    text = draw(display_lrm=True)
    assert text.startswith("digraph drawn {")
    for words in (
        "conv/1 (QuantizedConvolution) kernel size: 3 stride: 2 pad: 1 lr mult: 2.0, 0.5 bits: 2",
        "pool (Pooling AVE) kernel size: 4 stride: 1 pad: 0",
        "relu (ReLU)",
        "ip (InnerProduct)",
        "Batch 5",
        "label=20",
        "label=10",
    ):
        assert words in text
    assert text.count("->") == 9
    assert "ip (InnerProduct)" not in draw(phase=caffe.TRAIN)
    assert "ip (InnerProduct)" in draw(phase=caffe.TEST)


@pytest.mark.parametrize(
    ("layer", "offset"),
    [
        (lambda x: L.Convolution(x, num_output=2, kernel_size=5), 2),
        (lambda x: L.QuantizedConvolution(x, num_output=2, kernel_size=5), 2),
        (lambda x: L.QuantizedConvolution(x, num_output=2, kernel_size=5, pad=1), 1),
        (lambda x: L.Convolution(x, num_output=2, kernel_size=3, dilation=3), 3),
        (lambda x: L.Pooling(x, kernel_size=3), 1),
        (lambda x: L.QuantizedActivation(L.Pooling(x, kernel_size=3)), 1),
        (lambda x: L.ReLU(L.Convolution(x, num_output=2, kernel_size=3)), 1),
    ],
)
def test_crop_finds_the_offset(layer: Any, offset: int) -> None:
    data = L.Input(input_param={"shape": {"dim": [1, 1, 20, 20]}})
    crop = caffe.coord_map.crop(data, layer(data)).to_proto().layer[-1]
    assert (crop.type, crop.crop_param.axis, list(crop.crop_param.offset)) == ("Crop", 2, [offset])


# The command scripts


def run_script(name: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_python("-W", "error", "-m", f"caffe.scripts.{name}", *arguments, cwd=cwd)


def net_options(means_net: tuple[str, str]) -> list[str]:
    return ["--model_def", means_net[0], "--pretrained_model", means_net[1]]


def test_classify_script(
    means_net: tuple[str, str], picture: tuple[str, Any], tmp_path: Path
) -> None:
    name, image = picture
    options = ["--center_only", "--images_dim=8,10", "--mean_file=", "--raw_scale=3"]
    options += net_options(means_net)
    run = run_script("classify", name, "out.npy", *options, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert "Classifying 1 inputs." in run.stdout
    want = softmax_of_means([image[2:6, 2:8, ::-1]], 3)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), want, rtol=1e-4)
    # The mean image of ILSVRC 2012 comes with the scripts.
    options.remove("--mean_file=")
    run = run_script("classify", name, "out.npy", *options, cwd=tmp_path)
    assert run.returncode == 0, run.stderr


def test_detect_script(
    means_net: tuple[str, str], picture: tuple[str, Any], tmp_path: Path
) -> None:
    name, image = picture
    columns = ["ymin", "xmin", "ymax", "xmax"]
    table = pd.DataFrame(WINDOWS, columns=columns)
    table.insert(0, "filename", name)
    table.to_csv(tmp_path / "windows.csv", index=False)
    options = ["--crop_mode=list", "--mean_file=", "--raw_scale=3", "--context_pad=0"]
    options += net_options(means_net)
    run = run_script("detect", "windows.csv", "out.csv", *options, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    out = pd.read_csv(tmp_path / "out.csv")
    assert list(out.columns) == ["filename", *columns, "class0", "class1", "class2"]
    np.testing.assert_array_equal(out[columns], WINDOWS)
    want = softmax_of_means([image[a:c, b:d, ::-1] for a, b, c, d in WINDOWS], 3)
    np.testing.assert_allclose(out.filter(like="class"), want, rtol=1e-4)


@pytest.mark.parametrize("script", ["classify", "detect"])
@pytest.mark.parametrize("form", ["data.npy", "mean.binaryproto"])
def test_scripts_subtract_a_mean_image(
    means_net: tuple[str, str], picture: tuple[str, Any], tmp_path: Path, script: str, form: str
) -> None:
    name, image = picture
    mean = (
        np.array([0.1, 0.7, 0.4], np.float32)[:, np.newaxis, np.newaxis].repeat(4, 1).repeat(6, 2)
    )
    if form.endswith(".npy"):
        np.save(tmp_path / form, mean)
    else:
        blob = caffe.io.array_to_blobproto(mean[np.newaxis])
        (tmp_path / form).write_bytes(blob.SerializeToString())
    options = [f"--mean_file={form}", "--raw_scale=3", *net_options(means_net)]
    if script == "classify":
        options += ["--center_only", "--images_dim=8,10"]
        image = image[2:6, 2:8]
        run = run_script("classify", name, "out.npy", *options, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        got = np.load(tmp_path / "out.npy")
    else:
        window = WINDOWS[0]
        table = pd.DataFrame([window], columns=["ymin", "xmin", "ymax", "xmax"])
        table.insert(0, "filename", name)
        table.to_csv(tmp_path / "windows.csv", index=False)
        options += ["--crop_mode=list", "--context_pad=0"]
        run = run_script("detect", "windows.csv", "out.csv", *options, cwd=tmp_path)
        assert run.returncode == 0, run.stderr
        got = pd.read_csv(tmp_path / "out.csv").filter(like="class")
        image = image[window[0] : window[2], window[1] : window[3]]
    want = softmax_of_means([3 * image[:, :, ::-1] - mean[:, 0, 0]])
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_draw_net_script(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(DRAWN, encoding="utf-8")
    run = run_script("draw_net", "net.prototxt", "net.raw", "--rankdir=TB", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert (tmp_path / "net.raw").read_text(encoding="utf-8") == draw()


def test_no_handler_of_pycaffe_takes_ctrl_c() -> None:
    """A bare `except` around an import took the KeyboardInterrupt of the first second."""
    files = sorted(Path(caffe.__file__).parent.glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{file}:{node.lineno}"

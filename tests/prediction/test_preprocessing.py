"""What a net sees of an image, against what Caffe's own Data layer gives it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from PIL import Image

from tests.prediction.conftest import MEAN_FILE, SIZE
from ul2q.data.images import ImageError
from ul2q.prediction import Prediction, PredictionError, PredictionOptions, load_predictor
from ul2q.prediction.preprocessing import Preprocessing, read_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.prediction.conftest import Animals
    from ul2q.prediction.images import Images

TRANSFORMS = [
    "",
    "scale: 0.00390625",
    MEAN_FILE,
    f"{MEAN_FILE} scale: 0.017",
    f"{MEAN_FILE} scale: 0.3 crop_size: 7",
    "mean_value: 104 mean_value: 117.25 mean_value: 123 crop_size: 10",
    "mean_value: 99.5 scale: 0.1",
    "crop_size: 5",
]


def pixels(images: Images) -> dict[str, NDArray[Any]]:
    """The images by their names; all must be there."""
    found = {}
    for item in images.items():
        assert not isinstance(item.image, ImageError)
        found[item.name] = item.image
    return found


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_input_is_that_of_the_data_layer(animals: Animals, transform: str) -> None:
    net = animals.net(transform)
    weights = animals.weights(net)
    reference = caffe.Net(str(net), caffe.TEST)
    predictor = load_predictor(net, weights)
    (records,) = predictor.find(["data/animals/test_lmdb"])
    inputs = [predictor.preprocessing.to_input(image) for image in pixels(records).values()]
    assert len(inputs) == 20
    for start in range(0, 20, 5):
        reference.forward()
        wanted = reference.blobs["data"].data
        np.testing.assert_array_equal(inputs[start : start + 5], wanted)


def test_a_file_gives_the_pixels_of_its_record(animals: Animals) -> None:
    net = animals.net()
    predictor = load_predictor(net, animals.weights(net))
    (files,) = predictor.find(["test"])
    by_file = pixels(files)
    (records,) = predictor.find(["data/animals/test_lmdb"])
    stored = list(pixels(records).values())
    assert set(by_file) == {path for path in animals.images if path.startswith("test/")}
    for name, image in by_file.items():
        np.testing.assert_array_equal(image, animals.images[name][:, :, ::-1].transpose(2, 0, 1))
        assert any(np.array_equal(image, one) for one in stored)


@pytest.mark.parametrize("rule", ["stretch", "crop"])
def test_files_of_another_size_go_the_way_of_the_import(animals: Animals, rule: Any) -> None:
    rng = np.random.default_rng(2)
    Image.fromarray(rng.integers(0, 256, (40, 31, 3), np.uint8)).save("large.png")
    net = animals.net()
    weights = animals.weights(net)
    (files,) = load_predictor(net, weights).find(["large.png"])
    (item,) = files.items()
    assert "40 x 31 pixels" in str(item.image)
    assert "--resize" in str(item.image)
    (files,) = load_predictor(net, weights, PredictionOptions(resize=rule)).find(["large.png"])
    (item,) = files.items()
    with Image.open("large.png") as image:
        # Pillow's box is what is left of 40 x 31 at the aspect ratio of 10 x 12.
        box = (0, (40 - 31 * 10 / 12) / 2, 31, (40 + 31 * 10 / 12) / 2) if rule == "crop" else None
        want = image.resize((SIZE[1], SIZE[0]), Image.Resampling.BILINEAR, box)
    np.testing.assert_array_equal(item.image, np.asarray(want)[:, :, ::-1].transpose(2, 0, 1))


def test_the_rule_of_the_import_is_found(animals: Animals) -> None:
    manifest = Path("data/animals/import.json")
    text = manifest.read_text()
    assert '"resize": null' in text
    rule = '"resize": {"height": 10, "width": 12, "how": "crop"}'
    manifest.write_text(text.replace('"resize": null', rule))
    net = animals.net()
    assert load_predictor(net, animals.weights(net)).preprocessing.resize == "crop"


@pytest.mark.parametrize(("channels", "order"), [("bgr", [2, 1, 0]), ("rgb", [0, 1, 2])])
def test_the_order_of_channels_can_be_given(
    animals: Animals, channels: Any, order: list[int]
) -> None:
    net = animals.net()
    options = PredictionOptions(channels=channels)
    predictor = load_predictor(net, animals.weights(net), options)
    (files,) = predictor.find(["test/ant/0.png"])
    (item,) = files.items()
    image = animals.images["test/ant/0.png"]
    np.testing.assert_array_equal(item.image, image[:, :, order].transpose(2, 0, 1))


def test_colours_become_grey_as_pillow_makes_them() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (3, 6, 4), np.uint8)  # B, G, R
    gray = Preprocessing("gray", (6, 4), (6, 4), None, None, 1, 1).from_file(image)
    weighted = np.tensordot([0.114, 0.587, 0.299], image.astype(float), 1)
    assert gray.shape == (1, 6, 4)
    assert np.abs(gray[0] - weighted).max() <= 0.51
    same = np.repeat(image[:1], 3, axis=0)
    one = Preprocessing("gray", (6, 4), (6, 4), None, None, 1, 1).from_file(same)
    np.testing.assert_array_equal(one, image[:1])


@pytest.mark.parametrize(
    "transform", [MEAN_FILE, f"{MEAN_FILE} scale: 0.02 crop_size: 7", "mean_value: 99.5"]
)
def test_the_options_for_classifier_say_the_same(animals: Animals, transform: str) -> None:
    pytest.importorskip("skimage")
    net = animals.net(transform)
    weights = animals.weights(net)
    predictor = load_predictor(net, weights)
    paths = ["test/ant/0.png", "test/dog/3.png"]
    deploy = Path("deploy.prototxt")
    crop = predictor.preprocessing.crop
    text = net.read_text()
    start, end = text.index("layer"), text.index('layer { name: "conv"')
    shape = f"dim: 1 dim: 3 dim: {crop[0]} dim: {crop[1]}"
    data = f'layer {{ name: "x" type: "Input" top: "data" input_param {{ shape {{ {shape} }} }} }}'
    body = text[end : text.index('layer { name: "accuracy"')]
    softmax = 'layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }'
    deploy.write_text(text[:start] + data + body + softmax)
    options = predictor.preprocessing.classifier_options()
    classifier = caffe.Classifier(str(deploy), str(weights), **options)
    loaded = [caffe.io.load_image(path) for path in paths]
    scores = classifier.predict(loaded, oversample=False)
    predictions = list(predictor.predict(predictor.find(paths), top=4))
    for row, one in zip(scores, predictions, strict=True):
        assert isinstance(one, Prediction)
        told = {candidate.label: candidate.score for candidate in one.candidates}
        np.testing.assert_allclose([told[i] for i in range(4)], row, rtol=1e-3, atol=1e-6)
        assert len({round(float(score), 3) for score in row}) > 1


def test_mean_files(tmp_path: Path) -> None:
    mean = np.random.default_rng(1).random((3, 4, 5)).astype(np.float32)
    blob = caffe.io.array_to_blobproto(mean[np.newaxis])
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    np.save(tmp_path / "mean.npy", mean)
    np.save(tmp_path / "values.npy", mean[:, 0, 0])
    for name in ("mean.binaryproto", "mean.npy"):
        np.testing.assert_array_equal(read_mean(tmp_path / name), mean)
    np.testing.assert_array_equal(read_mean(tmp_path / "values.npy"), mean[:, :1, :1])
    (tmp_path / "bad.binaryproto").write_bytes(b"\xff\xff")
    (tmp_path / "bad.npy").write_bytes(b"?")
    np.save(tmp_path / "flat.npy", mean[0])
    for name, words in (
        ("bad.binaryproto", "damaged"),
        ("bad.npy", "damaged"),
        ("flat.npy", "4 x 5; a mean image is channels x height x width"),
    ):
        with pytest.raises(PredictionError, match=words):
            read_mean(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no such mean file"):
        read_mean(tmp_path / "gone.npy")

"""Predictions against `evaluate`, and against what Caffe's net puts out."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from PIL import Image

from tests.prediction.conftest import CLASSES, MEAN_FILE
from ul2q.errors import UserError
from ul2q.evaluation import evaluate
from ul2q.nets.deploy import deploy_net
from ul2q.prediction import (
    BadImage,
    Prediction,
    PredictionError,
    PredictionOptions,
    Predictor,
    load_predictor,
    predict_images,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Workspace
    from tests.prediction.conftest import Animals

LMDB = "data/animals/test_lmdb"


def predict(predictor: Predictor, *paths: object, **options: Any) -> list[Any]:
    found = predictor.find([str(path) for path in paths])
    return list(predictor.predict(found, **options))


@pytest.mark.parametrize("transform", [MEAN_FILE, "crop_size: 7 scale: 0.01"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_accuracy_is_that_of_a_test(animals: Animals, transform: str, seed: int) -> None:
    net = animals.net(transform)
    weights = animals.weights(net, seed)
    accuracy = evaluate(net, weights)["accuracy"]
    tally = predict_images(net, weights, [Path(LMDB)], top=3)
    assert tally.accuracy == pytest.approx(accuracy, abs=1e-7)
    assert (tally.images, tally.labelled, tally.bad) == (20, 20, 0)
    top_3 = animals.net(transform, ('top: "accuracy"', 'top: "a" accuracy_param { top_k: 3 }'))
    assert tally.top_accuracy == pytest.approx(evaluate(top_3, weights)["a"], abs=1e-7)


def test_equal_scores_are_wrong_as_in_a_test(animals: Animals) -> None:
    net = animals.net()
    untrained = caffe.Net(str(net), caffe.TEST)
    for blob in (*untrained.params["ip"], *untrained.params["conv"]):
        blob.data[...] = 0
    untrained.save("zero.caffemodel")
    assert evaluate(net, Path("zero.caffemodel"))["accuracy"] == 0
    tally = predict_images(net, "zero.caffemodel", [LMDB], top=4)
    assert (tally.accuracy, tally.top_accuracy) == (0, 1)


def test_a_label_that_the_accuracy_ignores_is_not_counted(animals: Animals) -> None:
    net = animals.net(
        MEAN_FILE, ('top: "accuracy"', 'top: "accuracy" accuracy_param { ignore_label: 2 }')
    )
    weights = animals.weights(net)
    tally = predict_images(net, weights, [LMDB])
    assert tally.labelled == 15
    # Caffe's is the mean over the batches, each of five images.
    right = [one.rank == 0 for one in predict(load_predictor(net, weights), LMDB)]
    assert tally.right == sum(right)


def test_files_are_classified_as_their_records(animals: Animals) -> None:
    net = animals.net()
    predictor = load_predictor(net, animals.weights(net))
    Path("export").mkdir()
    with lmdb.open(LMDB, readonly=True, lock=False) as database, database.begin() as transaction:
        for key, value in transaction.cursor():
            datum = caffe_pb2.Datum.FromString(bytes(value))
            pixels = np.frombuffer(datum.data, np.uint8).reshape(3, 10, 12)
            image = Image.fromarray(np.ascontiguousarray(pixels[::-1].transpose(1, 2, 0)))
            image.save(Path("export", f"{bytes(key).decode()}.png"))
    from_files = predict(predictor, "export")
    from_records = predict(predictor, LMDB)
    assert [one.candidates for one in from_files] == [one.candidates for one in from_records]
    assert len({one.candidates[0].label for one in from_files}) > 1
    assert {one.label for one in from_files} == {None}
    assert [one.image for one in from_records][:2] == [f"{LMDB}: 0000000{i}" for i in range(2)]


def test_a_folder_of_classes_gives_the_labels(animals: Animals) -> None:
    Path("test/zebra").mkdir()
    Path("test/ant/0.png").rename("test/zebra/0.png")
    Path("test/.hidden").write_text("")
    net = animals.net()
    weights = animals.weights(net)
    predictor = load_predictor(net, weights)
    predictions = predict(predictor, "test")
    assert len(predictions) == 20
    for one in predictions:
        _, folder, _ = one.image.split("/")
        assert one.label_name == ("" if folder == "zebra" else folder)
        assert one.label == (None if folder == "zebra" else CLASSES.index(folder))
        assert {candidate.name for candidate in one.candidates} == set(CLASSES)


@pytest.mark.parametrize("batch", [1, 3, 20, 500])
def test_scores_do_not_depend_on_the_batch(animals: Animals, batch: int) -> None:
    net = animals.net()
    predictor = load_predictor(net, animals.weights(net))
    progress: list[tuple[int, int]] = []
    got = predict(
        predictor, LMDB, "test/ant", batch=batch, progress=lambda *one: progress.append(one)
    )
    want = predict(predictor, LMDB, "test/ant")
    for a, b in zip(got, want, strict=True):
        assert [one.label for one in a.candidates] == [one.label for one in b.candidates]
        for one, other in zip(a.candidates, b.candidates, strict=True):
            assert one.score == pytest.approx(other.score, rel=1e-4)
    assert progress == [(min(done, 25), 25) for done in range(batch, 25 + batch, batch)]


def test_scores_are_those_of_the_net(animals: Animals) -> None:
    net = animals.net()
    weights = animals.weights(net)
    reference = caffe.Net(str(net), caffe.TEST, weights=str(weights))
    reference.forward()
    scores = reference.blobs["ip"].data.astype(float)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    for row, one in zip(shares, predict(load_predictor(net, weights), LMDB, top=2), strict=False):
        assert [two.label for two in one.candidates] == list(np.argsort(-row)[:2])
        np.testing.assert_allclose(
            [two.score for two in one.candidates], sorted(-row)[:2] * np.array(-1), rtol=1e-5
        )


def bad_files() -> list[str]:
    Path("text.png").write_bytes(b"no image")
    Path("cut.png").write_bytes(Path("test/bee/1.png").read_bytes()[:60])
    Image.new("RGB", (3, 3)).save("small.png")
    return ["text.png", "cut.png", "small.png"]


def test_bad_images_are_named_and_passed_over(animals: Animals) -> None:
    net = animals.net()
    predictor = load_predictor(net, animals.weights(net))
    bad = bad_files()
    mixed = ["test/ant/0.png", bad[0], "test/ant/1.png", *bad[1:], "test/ant/2.png"]
    for batch in (1, 2, 50):
        predictions = predict(predictor, *mixed, batch=batch)
        assert [one.image for one in predictions] == mixed
        for one in predictions:
            assert isinstance(one, BadImage if one.image in bad else Prediction)
            if isinstance(one, BadImage):
                assert one.reason.startswith(one.image)
        good = [one.candidates[0].label for one in predictions if isinstance(one, Prediction)]
        alone = predict(predictor, "test/ant")[:3]
        assert good == [one.candidates[0].label for one in alone]
    with pytest.raises(PredictionError, match=r"text.png: damaged"):
        predict(predictor, *mixed, strict=True)


def test_a_damaged_record_is_a_bad_image(animals: Animals) -> None:
    with lmdb.open("broken", map_size=1 << 20) as database, database.begin(write=True) as put:
        good = caffe_pb2.Datum(channels=3, height=10, width=12, data=bytes(360), label=1)
        short = caffe_pb2.Datum(channels=3, height=10, width=12, data=bytes(359), label=1)
        other = caffe_pb2.Datum(channels=1, height=10, width=12, data=bytes(120), label=1)
        encoded = caffe_pb2.Datum(encoded=True, data=b"?")
        floats = caffe_pb2.Datum(channels=3, height=10, width=12, float_data=[0.0] * 360)
        for i, one in enumerate((good, short, other, encoded, floats)):
            put.put(b"%d" % i, one.SerializeToString())
        put.put(b"9", b"\xff\xff")
    net = animals.net()
    predictions = predict(load_predictor(net, animals.weights(net)), "broken")
    faults = [one.reason if isinstance(one, BadImage) else "" for one in predictions]
    for fault, words in zip(
        faults,
        ("", "359 values for 3 x 10 x 12", "1 channels", "encoded", "", "record 9: damaged"),
        strict=True,
    ):
        assert words in fault
        assert bool(words) == bool(fault)
    assert predictions[0].candidates == predictions[4].candidates


def idx(path: Path, shape: Sequence[int], content: bytes) -> None:
    header = bytes([0, 0, 8, len(shape)]) + b"".join(n.to_bytes(4, "big") for n in shape)
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wb") as file:
        file.write(header + content)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
        ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"),
        ("t10k-images-idx3-ubyte.gz", None),
    ],
)
def test_idx_files(workspace: Workspace, images: str, labels: str | None) -> None:
    idx(Path(images), (20, 8, 8), workspace.test_images.tobytes())
    if labels:
        idx(Path(labels), (20,), workspace.test_labels.astype(np.uint8).tobytes())
    caffe.set_random_seed(3)
    caffe.Net("net.prototxt", caffe.TEST).save("mini.caffemodel")
    tally = predict_images("net.prototxt", "mini.caffemodel", [images])
    if labels:
        want = evaluate(Path("net.prototxt"), Path("mini.caffemodel"))["accuracy"]
        assert tally.accuracy == pytest.approx(want, abs=1e-7)
    else:
        assert (tally.images, tally.labelled, tally.accuracy) == (20, 0, None)


@pytest.mark.usefixtures("workspace")
def test_grey_files_for_a_grey_net(workspace: Workspace) -> None:
    caffe.set_random_seed(3)
    caffe.Net("net.prototxt", caffe.TEST).save("mini.caffemodel")
    Path("images").mkdir()
    for i, image in enumerate(workspace.test_images):
        Image.fromarray(image[0]).save(f"images/{i:02}.png")
    predictor = load_predictor("net.prototxt", "mini.caffemodel")
    from_files, from_records = predict(predictor, "images"), predict(predictor, "data/test_lmdb")
    assert [one.candidates for one in from_files] == [one.candidates for one in from_records]


def test_a_deploy_net_with_its_preprocessing(animals: Animals) -> None:
    net = animals.net(f"{MEAN_FILE} scale: 0.5 crop_size: 7")
    weights = animals.weights(net)
    want = predict(load_predictor(net, weights), "test", batch=5)
    Path("deploy.prototxt").write_text(deploy_net(net, {"data": (3, 7, 7)}))
    options = PredictionOptions(
        data="data/animals", mean="data/animals/mean.binaryproto", scale=0.5
    )
    got = predict(load_predictor("deploy.prototxt", weights, options), "test", batch=5)
    for one, other in zip(got, want, strict=True):
        assert one.candidates == other.candidates
    old = Path("deploy.prototxt").read_text()
    start, end = old.index("layer"), old.index('layer { name: "conv"')
    header = 'input: "data" input_shape { dim: 1 dim: 3 dim: 7 dim: 7 }\n'
    Path("old.prototxt").write_text(old[:start] + header + old[end:])
    got = predict(load_predictor("old.prototxt", weights, options), "test", batch=5)
    assert [one.candidates for one in got] == [one.candidates for one in want]


def test_the_data_folder_can_be_another(animals: Animals) -> None:
    net = animals.net()
    weights = animals.weights(net)
    want = predict(load_predictor(net, weights), "test")
    Path("data").rename("moved")
    with pytest.raises(FileNotFoundError, match=r"mean.binaryproto is missing.*--data DIR"):
        load_predictor(net, weights)
    options = PredictionOptions(data="moved/animals")
    assert predict(load_predictor(net, weights, options), "test") == want


def test_a_net_without_its_data_can_be_told_the_size(animals: Animals) -> None:
    net = animals.net("mean_value: 9")
    weights = animals.weights(net)
    want = predict(load_predictor(net, weights), "test/ant")
    Path("data").rename("moved")
    with pytest.raises(PredictionError, match=r"size of its images is not known.*--size HxW"):
        load_predictor(net, weights)
    options = PredictionOptions(size=(10, 12), channels="bgr")
    got = predict(load_predictor(net, weights, options), "test/ant")
    for one, other in zip(got, want, strict=True):
        assert [c.score for c in one.candidates] == [c.score for c in other.candidates]
        assert [c.name for c in one.candidates] == [str(c.label) for c in other.candidates]


TWO = (
    'layer { name: "loss"',
    'layer { name: "more" type: "TanH" bottom: "ip" top: "t" }\nlayer { name: "loss"',
)

BAD: list[tuple[str, dict[str, Any], tuple[tuple[str, str], ...], list[str], type[Exception]]] = [
    ("deploy", {}, (), ["--mean and --scale", "its comment: 'pixels minus data/ani"], UserError),
    ("deploy", {"mean": ()}, (), ["give --scale"], UserError),
    ("deploy", {"scale": 1}, (), ["give --mean"], UserError),
    ("deploy", {"mean": (1, 2), "scale": 1}, (), ["mean is 2 x 1 x 1", "3 x 10 x 12"], UserError),
    ("deploy", {"mean": "gone", "scale": 1}, (), ["gone: no such mean file"], FileNotFoundError),
    (
        "deploy",
        {"mean": (), "scale": 1},
        (),
        ["order of the net's channels", "--channels"],
        UserError,
    ),
    ("deploy", {"mean": (), "scale": 1, "channels": "gray"}, (), ["gray", "has 3"], UserError),
    ("deploy", {"mean": (), "scale": 1, "size": (9, 12)}, (), ["10 x 12", "9 x 12"], UserError),
    ("train", {"scale": 1}, (), ["transform_param", "--scale"], UserError),
    ("train", {"data": "gone"}, (), ["gone"], FileNotFoundError),
    ("train", {"classes": "three"}, (), ["3 class names", "4 classes", "--classes"], UserError),
    ("train", {"classes": "empty"}, (), ["empty: no names"], UserError),
    ("train", {"classes": "gone"}, (), ["gone"], FileNotFoundError),
    ("train", {"blob": "prop"}, (), ["'prop'", "'prob'"], UserError),
    (
        "train",
        {},
        (TWO, ("include { phase: TEST } }", "include { phase: TRAIN } }")),
        ["has 2 outputs", "--blob"],
        UserError,
    ),
    ("train", {}, (("num_output: 4", "num_output: 4 axis: 2"),), ["score a class"], UserError),
    ("train", {}, (('"Data"', '"HDF5Data"'),), ["give --mean and --scale"], UserError),
]


@pytest.mark.parametrize(
    ("kind", "options", "replacements", "words", "error"), BAD, ids=lambda value: str(value)[:30]
)
def test_what_is_not_known_is_asked_for(
    animals: Animals,
    kind: str,
    options: dict[str, Any],
    replacements: tuple[tuple[str, str], ...],
    words: list[str],
    error: type[Exception],
) -> None:
    Path("three").write_text("a\nb\nc\n")
    Path("empty").write_text("")
    net = animals.net()
    weights = animals.weights(net)
    Path("deploy.prototxt").write_text(deploy_net(net, {"data": (3, 10, 12)}))
    if replacements:
        net = animals.net(MEAN_FILE, *replacements)
    path = net if kind == "train" else "deploy.prototxt"
    with pytest.raises(error) as caught:
        load_predictor(path, weights, PredictionOptions(**options)).find(["test/ant/0.png"])
    for word in words:
        assert word in str(caught.value)


BAD_IMAGES = [
    ("gone.png", "gone.png: no such image, folder or LMDB", FileNotFoundError),
    ("data/animals", "data/animals/test_lmdb", UserError),
    ("empty", "empty: holds no images", UserError),
    ("deep", "deep/a/b: a folder within a class's folder", UserError),
]


@pytest.mark.parametrize(("path", "words", "error"), BAD_IMAGES)
def test_paths_without_images(
    animals: Animals, path: str, words: str, error: type[Exception]
) -> None:
    Path("empty").mkdir()
    Path("deep/a/b").mkdir(parents=True)
    net = animals.net()
    predictor = load_predictor(net, animals.weights(net))
    with pytest.raises(error, match=words):
        predictor.find([path])


def test_labels_of_other_data_are_refused(animals: Animals) -> None:
    with lmdb.open("other", map_size=1 << 20) as database, database.begin(write=True) as put:
        datum = caffe_pb2.Datum(channels=3, height=10, width=12, data=bytes(360), label=4)
        put.put(b"7", datum.SerializeToString())
    net = animals.net()
    predictor = load_predictor(net, animals.weights(net))
    with pytest.raises(PredictionError, match="other: 7: label 4; the net's 4 classes are 0 to 3"):
        predict(predictor, "other")


def test_weights_that_have_diverged_are_told(animals: Animals) -> None:
    net = animals.net()
    built = caffe.Net(str(net), caffe.TEST)
    built.params["ip"][0].data[...] = 3e38
    built.save("wild.caffemodel")
    with pytest.raises(PredictionError, match=r"wild.caffemodel: output 'ip' is .* at layer 'ip'"):
        predict(load_predictor(net, "wild.caffemodel"), "test")


@pytest.mark.parametrize("options", [{"top": 0}, {"batch": 0}])
def test_counts_are_one_or_more(animals: Animals, options: dict[str, int]) -> None:
    net = animals.net()
    predictor = load_predictor(net, animals.weights(net))
    with pytest.raises(PredictionError, match="must be at least 1"):
        predict(predictor, LMDB, **options)

"""The nets that come with ul2q."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from caffe.proto.quantization_pb2 import QuantizationParameter, QuantizerParameter
from google.protobuf import text_format
from PIL import Image

from ul2q import cli, prototxt_path, quantize
from ul2q.data import import_folder
from ul2q.training import train

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parents[2] / "prototxt"
FILES = sorted(FOLDER.rglob("*.prototxt"))
PAGE = (FOLDER.parent / "docs" / "nets.md").read_text(encoding="utf-8")
SOLVERS = [path for path in FILES if path.stem.startswith("solver_")]
TWO_BIT = [path for path in FILES if path.stem.endswith("_2bit") and path not in SOLVERS]
TRAINED = [path for path in FILES if path.stem.startswith("train_test_")]
VARIANTS = ("float", "2bit")


@dataclass(frozen=True)
class Expected:
    """What the paper and its authors' files say of a net.

    Attributes:
        image: channels, height and width of what it reads.
        layers: name, type, top for one image and parameters of the layers that have some of their
            own (weights, then biases; of BatchNorm mean, variance and their count; of Scale
            factors and biases) or change the shape.
        learnt: how many parameters a solver changes: all but BatchNorm's.
        train_images, test_images: of its data set.
        table: the paper's Table II: batch, initial rate, decay factor, epochs, weight decay.
    """

    image: tuple[int, int, int]
    layers: list[tuple[str, str, tuple[int, ...], int]]
    learnt: int
    train_images: int
    test_images: int
    table: tuple[int, float, float, tuple[int, ...], float]


def with_bn(name: str, number: object, top: tuple[int, ...], weights: int) -> list[Any]:
    """A convolution or inner product without biases, its BatchNorm and Scale."""
    kind = "Convolution" if len(top) == 3 else "InnerProduct"
    return [
        (name, kind, top, weights),
        (f"bn{number}", "BatchNorm", top, 2 * top[0] + 1),
        (f"scale{number}", "Scale", top, 2 * top[0]),
    ]


def resnet_block(
    unit: str, inputs: int, outputs: int, size: int, *, projected: bool = False
) -> list[Any]:
    """A block of ResNet-18: two convolutions 3 × 3, and one 1 × 1 of its input if `projected`."""
    top = (outputs, size, size)
    short = with_bn(f"res{unit}_branch1", f"{unit}_branch1", top, outputs * inputs)
    return [
        *(short if projected else []),
        *with_bn(f"res{unit}_branch2a", f"{unit}_branch2a", top, outputs * inputs * 9),
        *with_bn(f"res{unit}_branch2b", f"{unit}_branch2b", top, outputs * outputs * 9),
        (f"res{unit}", "Eltwise", top, 0),
    ]


NETS = {
    "lenet": Expected(
        image=(1, 28, 28),
        layers=[
            *with_bn("conv1", 1, (32, 24, 24), 32 * 1 * 5 * 5),
            ("pool1", "Pooling", (32, 12, 12), 0),
            *with_bn("conv2", 2, (64, 8, 8), 64 * 32 * 5 * 5),
            ("pool2", "Pooling", (64, 4, 4), 0),
            *with_bn("ip1", 3, (512,), 512 * 64 * 4 * 4),
            ("ip2", "InnerProduct", (10,), 10 * 512 + 10),
        ],
        learnt=582_634,
        train_images=60_000,
        test_images=10_000,
        table=(50, 0.01, 0.1, (15, 25), 0.0001),
    ),
    "cifarnet": Expected(
        image=(3, 32, 32),
        layers=[
            ("conv1", "Convolution", (32, 32, 32), 32 * 3 * 5 * 5 + 32),
            ("pool1", "Pooling", (32, 16, 16), 0),
            ("norm1", "LRN", (32, 16, 16), 0),
            ("conv2", "Convolution", (32, 16, 16), 32 * 32 * 5 * 5 + 32),
            ("pool2", "Pooling", (32, 8, 8), 0),
            ("norm2", "LRN", (32, 8, 8), 0),
            ("conv3", "Convolution", (64, 8, 8), 64 * 32 * 5 * 5 + 64),
            ("pool3", "Pooling", (64, 4, 4), 0),
            ("ip1", "InnerProduct", (10,), 10 * 64 * 4 * 4 + 10),
        ],
        learnt=89_578,
        train_images=50_000,
        test_images=10_000,
        table=(100, 0.0001, 0.1, (120, 130), 0.0001),
    ),
    "vgg7_64": Expected(
        image=(3, 32, 32),
        layers=[
            *with_bn("conv1", 1, (64, 32, 32), 64 * 3 * 9),
            *with_bn("conv2", 2, (64, 32, 32), 64 * 64 * 9),
            ("pool1", "Pooling", (64, 16, 16), 0),
            *with_bn("conv3", 3, (128, 16, 16), 128 * 64 * 9),
            *with_bn("conv4", 4, (128, 16, 16), 128 * 128 * 9),
            ("pool2", "Pooling", (128, 8, 8), 0),
            *with_bn("conv5", 5, (256, 8, 8), 256 * 128 * 9),
            *with_bn("conv6", 6, (256, 8, 8), 256 * 256 * 9),
            ("pool3", "Pooling", (256, 4, 4), 0),
            ("ip1", "InnerProduct", (1024,), 1024 * 256 * 4 * 4 + 1024),
            ("ip2", "InnerProduct", (10,), 10 * 1024 + 10),
        ],
        learnt=5_351_882,
        train_images=50_000,
        test_images=10_000,
        table=(100, 0.01, 0.2, (16, 32, 36), 0.0004),
    ),
    "resnet18": Expected(
        image=(3, 224, 224),
        layers=[
            *with_bn("conv1", "_conv1", (64, 112, 112), 64 * 3 * 7 * 7),
            ("pool1", "Pooling", (64, 56, 56), 0),
            *resnet_block("2a", 64, 64, 56, projected=True),
            *resnet_block("2b", 64, 64, 56),
            *resnet_block("3a", 64, 128, 28, projected=True),
            *resnet_block("3b", 128, 128, 28),
            *resnet_block("4a", 128, 256, 14, projected=True),
            *resnet_block("4b", 256, 256, 14),
            *resnet_block("5a", 256, 512, 7, projected=True),
            *resnet_block("5b", 512, 512, 7),
            ("pool5", "Pooling", (512, 1, 1), 0),
            ("fc1000", "InnerProduct", (1000,), 1000 * 512 + 1000),
        ],
        # torchvision's resnet18 has 11,689,512: without the convolution of stage 2's shortcut.
        learnt=11_689_512 + 64 * 64 + 2 * 64,
        train_images=1_281_167,
        test_images=50_000,
        table=(256, 0.1, 0.1, (30, 40, 50), 0.0001),
    ),
}


def of_file(path: Path) -> str:
    return str(path.relative_to(FOLDER))


def read(path: Path) -> Any:
    is_solver = path.stem.startswith("solver_")
    message = caffe_pb2.SolverParameter() if is_solver else caffe_pb2.NetParameter()
    return text_format.Parse(path.read_text(encoding="utf-8"), message)


def net_of(name: str, kind: str) -> Any:
    return read(FOLDER / name / f"{kind}.prototxt")


def body(net: Any) -> list[Any]:
    """The layers between the data and the loss or the probabilities."""
    ends = {"Data", "Input", "Accuracy", "SoftmaxWithLoss", "Softmax"}
    return [layer for layer in net.layer if layer.type not in ends]


def with_input(net: Any, shapes: dict[str, tuple[int, ...]]) -> Any:
    """The net with its data layers replaced by an Input layer for each blob of `shapes`."""
    changed = caffe_pb2.NetParameter(name=net.name)
    for top, shape in shapes.items():
        layer = changed.layer.add(name=f"input_{top}", type="Input", top=[top])
        layer.input_param.shape.add(dim=shape)
    changed.layer.extend(layer for layer in net.layer if layer.type not in {"Data", "Input"})
    return changed


def load(net: Any, phase: int, folder: Path) -> Any:
    path = folder / "net.prototxt"
    path.write_text(text_format.MessageToString(net), encoding="utf-8")
    return caffe.Net(path, phase)


def batches(net: Any) -> dict[int, int]:
    """Batch size by phase."""
    return {
        layer.include[0].phase: layer.data_param.batch_size
        for layer in net.layer
        if layer.type == "Data"
    }


def weight_layers(name: str) -> list[str]:
    kinds = {"Convolution", "InnerProduct"}
    return [layer for layer, kind, *_ in NETS[name].layers if kind in kinds]


def bits_of(name: str) -> dict[str, int]:
    """By layer with weights, in the 2-bit net: the last one has 8 bits."""
    layers = weight_layers(name)
    return {**dict.fromkeys(layers, 2), layers[-1]: 8}


# The files


@pytest.mark.parametrize("name", NETS)
def test_there_are_nets_to_check(name: str) -> None:
    assert {path.name for path in FILES if path.parent.name == name} >= {
        f"{kind}_{variant}.prototxt"
        for kind in ("train_test", "deploy", "solver")
        for variant in VARIANTS
    }


def test_every_folder_is_checked() -> None:
    assert {path.parent.name for path in FILES} == set(NETS)


@pytest.mark.parametrize("path", FILES, ids=of_file)
def test_a_file_parses_and_is_the_one_in_the_package(path: Path) -> None:
    assert read(path).ByteSize()
    packaged = prototxt_path(of_file(path))
    assert packaged.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("path", TWO_BIT, ids=of_file)
def test_the_command_in_a_2_bit_net_makes_it(path: Path, tmp_path: Path) -> None:
    heading, body = path.read_text(encoding="utf-8").split("\n", 1)
    match = re.fullmatch(r"# Written by `make nets` from (\S+): `ul2q (quantize) (.+)`\.", heading)
    assert match
    net, command, options = match.groups()
    assert FOLDER.parent / net == path.with_stem(path.stem.replace("2bit", "float"))
    assert options.split() == ["--weight-bits", "2", "--last-bits", "8"]
    output = tmp_path / "net.prototxt"
    arguments = [command, str(FOLDER.parent / net), *options.split(), "-o", str(output)]
    assert cli.main(arguments) == 0
    # The float net has a first line of its own if it is written by a command, too.
    text = output.read_text(encoding="utf-8")
    assert text in (body, f"{text.splitlines()[0]}\n{body}")


# Solvers


@pytest.mark.parametrize("path", SOLVERS, ids=of_file)
def test_a_solver_trains_a_net_that_exists_and_tests_on_the_whole_set(path: Path) -> None:
    solver = read(path)
    net_path = FOLDER.parent / solver.net
    assert net_path.parent == path.parent
    assert net_path.stem.removeprefix("train_test_") == path.stem.removeprefix("solver_")
    batch = batches(read(net_path))[caffe.TEST]
    assert solver.test_iter[0] * batch == NETS[path.parent.name].test_images
    assert solver.solver_mode == caffe_pb2.SolverParameter.CPU
    assert solver.max_iter % solver.test_interval == 0  # so that the end is tested
    assert solver.max_iter % solver.snapshot == 0
    assert solver.momentum == pytest.approx(0.9)


SHORT = {"solver_float.prototxt", "solver_2bit.prototxt"}  # of LeNet: three epochs


@pytest.mark.parametrize(
    "path", [p for p in SOLVERS if p.parent.name != "lenet" or p.name not in SHORT], ids=of_file
)
def test_a_solver_has_the_schedule_of_table_ii(path: Path) -> None:
    solver, expected = read(path), NETS[path.parent.name]
    batch, rate, factor, epochs, decay = expected.table
    if of_file(path) == "cifarnet/solver_float.prototxt":  # Caffe's cifar10_full
        rate, decay = 0.001, 0.004
    assert batches(read(FOLDER.parent / solver.net))[caffe.TRAIN] * solver.iter_size == batch
    an_epoch = math.ceil(expected.train_images / batch)
    assert solver.lr_policy == "multistep"
    assert list(solver.stepvalue) == [epoch * an_epoch for epoch in epochs]
    assert solver.max_iter % an_epoch == 0
    assert solver.max_iter > solver.stepvalue[-1]
    assert (solver.base_lr, solver.gamma) == (pytest.approx(rate), pytest.approx(factor))
    assert solver.weight_decay == pytest.approx(decay)


@pytest.mark.parametrize(
    "kind", ["lenet/solver", "lenet/solver_mnist", "vgg7_64/solver", "resnet18/solver"]
)
def test_the_solvers_of_a_net_differ_in_their_nets_alone(kind: str) -> None:
    solvers = [read(FOLDER / f"{kind}_{variant}.prototxt") for variant in VARIANTS]
    for solver in solvers:
        solver.ClearField("net")
        solver.ClearField("snapshot_prefix")
    assert solvers[0] == solvers[1]


# Nets


@pytest.mark.parametrize("kind", ["train_test", "deploy"])
@pytest.mark.parametrize("name", NETS)
def test_the_quantised_net_is_the_float_one_with_other_types_and_bits(name: str, kind: str) -> None:
    float_net, quantised = (net_of(name, f"{kind}_{variant}") for variant in VARIANTS)
    bits = {}
    for layer in quantised.layer:
        if layer.type.startswith("Quantized"):
            bits[layer.name] = layer.quantization_param.weight.bits
            weight = QuantizerParameter(bits=bits[layer.name])
            assert layer.quantization_param == QuantizationParameter(weight=weight)
            layer.ClearField("quantization_param")
            layer.type = layer.type.removeprefix("Quantized")
    assert bits == bits_of(name)
    assert quantised == float_net


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NETS)
def test_the_deploy_net_is_the_trained_one_without_data_and_loss(name: str, variant: str) -> None:
    trained, deploy = net_of(name, f"train_test_{variant}"), net_of(name, f"deploy_{variant}")
    assert deploy.name == trained.name == name
    assert body(deploy) == body(trained)
    ends = [layer for layer in deploy.layer if layer not in body(deploy)]
    assert [layer.type for layer in ends] == ["Input", "Softmax"]
    accuracies = 2 if name == "resnet18" else 1
    assert [layer.type for layer in trained.layer if layer not in body(trained)] == [
        *("Data", "Data", *["Accuracy"] * accuracies, "SoftmaxWithLoss")
    ]
    assert list(ends[0].top) == ["data"]
    assert list(ends[1].bottom) == list(trained.layer[-1].bottom)[:1]


@pytest.mark.parametrize("path", TRAINED, ids=of_file)
def test_data_layers_differ_in_database_batch_and_mirror_alone(path: Path) -> None:
    train, test = (layer for layer in read(path).layer if layer.type == "Data")
    assert [layer.include[0].phase for layer in (train, test)] == [caffe.TRAIN, caffe.TEST]
    assert train.data_param.source.endswith("/train_lmdb")
    assert test.data_param.source == train.data_param.source.replace("train", "test")
    assert not test.transform_param.mirror
    test.transform_param.mirror = train.transform_param.mirror
    if not train.transform_param.HasField("mirror"):
        test.transform_param.ClearField("mirror")
    test.include[0].phase = caffe.TRAIN
    test.data_param.source = train.data_param.source
    test.data_param.batch_size = train.data_param.batch_size
    assert test == train


TRANSFORMS = {
    "lenet": "scale: 0.00390625",
    "cifarnet": 'mean_file: "data/cifar10/mean.binaryproto"',
    "vgg7_64": 'scale: 0.00390625 mirror: true mean_file: "data/cifar10/mean.binaryproto"',
    "resnet18": "mirror: true crop_size: 224 mean_value: [104, 117, 123]",
}


@pytest.mark.parametrize("path", TRAINED, ids=of_file)
def test_images_are_transformed_as_in_the_paper(path: Path) -> None:
    train = next(layer for layer in read(path).layer if layer.type == "Data")
    text = TRANSFORMS[path.parent.name]
    expected = text_format.Parse(text, caffe_pb2.TransformationParameter())
    assert train.transform_param == expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_lenet_for_the_papers_schedule_is_lenet_with_another_batch(variant: str) -> None:
    net, other = (
        net_of("lenet", f"train_test_{variant}"),
        net_of("lenet", f"train_test_mnist_{variant}"),
    )
    assert batches(net) == {caffe.TRAIN: 100, caffe.TEST: 100}
    assert batches(other) == {caffe.TRAIN: 50, caffe.TEST: 100}
    next(layer for layer in other.layer if layer.type == "Data").data_param.batch_size = 100
    assert other == net


def parameter_count(blobs: Iterable[Any]) -> int:
    return sum(blob.count for blob in blobs)


def learnt_count(net: Any) -> int:
    return sum(parameter_count(one.blobs) for one in net.layers if one.type != "BatchNorm")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NETS)
def test_shapes_and_parameters(name: str, variant: str) -> None:
    net = caffe.Net(FOLDER / name / f"deploy_{variant}.prototxt", caffe.TEST)
    quantised = bits_of(name) if variant != "float" else {}
    plain = {"Input", "ReLU", "Dropout", "Split", "Softmax"}
    kinds = [(key, layer.type) for key, layer in net.layer_dict.items() if layer.type not in plain]
    assert kinds == [
        (layer, ("Quantized" if layer in quantised else "") + kind)
        for layer, kind, *_ in NETS[name].layers
    ]
    assert net.blobs["data"].data.shape == (1, *NETS[name].image)
    for layer, _, shape, parameters in NETS[name].layers:
        assert parameter_count(net.layer_dict[layer].blobs) == parameters, layer
        (top,) = net.top_names[layer]
        assert net.blobs[top].data.shape == (1, *shape), layer
    assert learnt_count(net) == NETS[name].learnt


@pytest.mark.parametrize(
    ("name", "widths", "millions"),
    [
        # Those of Caffe's own LeNet; and of a wider CifarNet among the authors' files.
        ("lenet", {"conv1": 20, "conv2": 50, "ip1": 500}, "0.43"),
        ("cifarnet", {"conv1": 32, "conv2": 64, "conv3": 128}, "0.279"),
        ("vgg7_64", {}, "5.35"),
        ("resnet18", {}, "11.69"),
    ],
)
def test_what_the_papers_parameter_counts_count(
    name: str, widths: dict[str, int], millions: str, tmp_path: Path
) -> None:
    param = net_of(name, "deploy_float")
    for layer in param.layer:
        if layer.name in widths:
            options = layer.convolution_param
            if layer.type == "InnerProduct":
                options = layer.inner_product_param
            options.num_output = widths[layer.name]
    count = learnt_count(load(param, caffe.TEST, tmp_path))
    places = len(millions.partition(".")[2])
    assert f"{count / 1e6:.{places}f}" == millions


SMALL = [name for name in NETS if name != "resnet18"]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", SMALL)
def test_a_net_trains_on_random_data(name: str, variant: str, tmp_path: Path) -> None:
    caffe.set_random_seed(1)
    shapes = {"data": (20, *NETS[name].image), "label": (20,)}
    net = load(with_input(net_of(name, f"train_test_{variant}"), shapes), caffe.TRAIN, tmp_path)
    assert net.outputs == ["loss"]
    rng = np.random.default_rng(1)
    labels = rng.integers(10, size=20)
    out = net.forward(data=rng.random(shapes["data"]), label=labels)
    # Batch norm, or small weights, make the scores N(0, 1) or less before any training.
    assert 0.5 * math.log(10) < float(out["loss"]) < 2.5 * math.log(10)
    net.backward()
    for layer in weight_layers(name):
        gradient = net.params[layer][0].diff
        assert np.isfinite(gradient).all()
        assert gradient.any(), layer


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", SMALL)
def test_the_test_phase_has_an_accuracy(name: str, variant: str, tmp_path: Path) -> None:
    shapes = {"data": (20, *NETS[name].image), "label": (20,)}
    net = load(with_input(net_of(name, f"train_test_{variant}"), shapes), caffe.TEST, tmp_path)
    assert set(net.outputs) == {"accuracy", "loss"}
    rng = np.random.default_rng(2)
    labels = rng.integers(10, size=20)
    scores = weight_layers(name)[-1]
    out = net.forward(data=rng.random(shapes["data"]), label=labels, blobs=[scores])
    hits = out[scores].argmax(1) == labels
    assert float(out["accuracy"]) == pytest.approx(hits.mean())


@pytest.fixture(scope="module")
def image_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LMDBs of 72 × 72 images of two classes: dark and bright noise."""
    folder = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(1)
    for part, count in (("train", 8), ("test", 4)):
        for name, low in (("dark", 0), ("bright", 100)):
            (folder / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(low, low + 156, (72, 72, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / part / name / f"{i}.png")
    import_folder(folder / "train", folder / "test", folder / "lmdb", jobs=1)
    return folder / "lmdb"


@pytest.mark.parametrize("variant", VARIANTS)
def test_resnet18_trains_on_an_image_folder(
    variant: str, image_folder: Path, tmp_path: Path
) -> None:
    # The files as they are, but for the size of images and batches, and of the run.
    net = (FOLDER / "resnet18" / f"train_test_{variant}.prototxt").read_text(encoding="utf-8")
    for pattern, small in (
        (r"crop_size: 224", "crop_size: 64"),
        (r"batch_size: \d+", "batch_size: 4"),
    ):
        net, count = re.subn(pattern, small, net)
        assert count == 2
    (tmp_path / "net.prototxt").write_text(net, encoding="utf-8")
    solver = net_of("resnet18", f"solver_{variant}")
    assert solver.iter_size == 4
    solver.net = str(tmp_path / "net.prototxt")
    solver.MergeFrom(caffe_pb2.SolverParameter(max_iter=3, test_interval=3, display=1, snapshot=3))
    solver.test_iter[0] = 2
    path = tmp_path / "solver.prototxt"
    path.write_text(text_format.MessageToString(solver), encoding="utf-8")
    result = train(path, run=tmp_path / "run", data=image_folder)
    assert result.iterations == 3
    (outputs,) = result.test
    assert set(outputs) == {"accuracy", "accuracy_top5", "loss"}
    assert math.isfinite(outputs["loss"])
    assert 0 <= outputs["accuracy"] <= outputs["accuracy_top5"] <= 1
    with (tmp_path / "run" / "log.csv").open(newline="") as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    assert len(losses) >= 3
    assert np.isfinite(losses).all()
    assert losses[0] < 2.5 * math.log(1000)
    assert losses[-1] < losses[0]  # two classes of a thousand are soon told from the rest


def test_a_float_caffemodel_runs_in_the_2_bit_deploy_net(tmp_path: Path) -> None:
    caffe.set_random_seed(3)
    nets = {
        variant: caffe.Net(FOLDER / "lenet" / f"deploy_{variant}.prototxt", caffe.TEST)
        for variant in VARIANTS
    }
    for name in ("bn1", "bn2", "bn3"):  # statistics that a training would have left
        for blob, value in zip(nets["float"].params[name], (0.1, 0.5, 1), strict=True):
            blob.data[...] = value
    nets["float"].save(tmp_path / "w.caffemodel")
    nets["2bit"].copy_from(tmp_path / "w.caffemodel")
    for name, bits in bits_of("lenet").items():
        blob = nets["float"].params[name][0]
        blob.data[...] = quantize(blob.data, bits).values
    image = np.random.default_rng(4).random((1, 1, 28, 28))
    got, want = (nets[variant].forward(data=image)["prob"] for variant in ("2bit", "float"))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
    assert float(got.sum()) == pytest.approx(1, abs=1e-5)


# docs/nets.md


def test_the_documented_example_prints_a_deploy_net(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    exec(compile(example, "nets.md", "exec"), {})
    printed = text_format.Parse(capsys.readouterr().out, caffe_pb2.NetParameter())
    assert printed == net_of("lenet", "deploy_2bit")


@pytest.mark.parametrize("name", NETS)
def test_the_documented_parameter_counts(name: str) -> None:
    assert re.search(rf"^\| `{name}` .* {NETS[name].learnt:,} \|$", PAGE, re.MULTILINE)


def test_prototxt_path() -> None:
    path = prototxt_path("lenet/solver_2bit.prototxt")
    assert path.is_absolute()
    assert path.is_file()
    assert prototxt_path().is_dir()
    assert prototxt_path("lenet") == prototxt_path() / "lenet"
    for name in ("lenet/solver_3bit.prototxt", "nothing"):
        with pytest.raises(FileNotFoundError, match="solver_2bit") as error:
            prototxt_path(name)
        assert repr(name) in str(error.value)
        assert str(Path("lenet", "train_test_float.prototxt")) in str(error.value)

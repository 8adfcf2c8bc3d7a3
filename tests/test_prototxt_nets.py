"""The nets that come with ul2q."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from caffe.proto.quantization_pb2 import QuantizationParameter, QuantizerParameter
from google.protobuf import text_format

from ul2q import prototxt_path, quantize

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parents[1] / "prototxt"
FILES = sorted(FOLDER.rglob("*.prototxt"))
SOLVERS = [path for path in FILES if path.stem.startswith("solver_")]
VARIANTS = ("float", "2bit")

# Top of each layer of LeNet for one image, and its parameters as the layer computes them:
# weights; BatchNorm: mean, variance, their count; Scale: factor, bias.
LENET = [
    ("conv1", "Convolution", (32, 24, 24), 32 * 1 * 5 * 5),
    ("bn1", "BatchNorm", (32, 24, 24), 32 + 32 + 1),
    ("scale1", "Scale", (32, 24, 24), 32 + 32),
    ("relu1", "ReLU", (32, 24, 24), 0),
    ("pool1", "Pooling", (32, 12, 12), 0),
    ("conv2", "Convolution", (64, 8, 8), 64 * 32 * 5 * 5),
    ("bn2", "BatchNorm", (64, 8, 8), 64 + 64 + 1),
    ("scale2", "Scale", (64, 8, 8), 64 + 64),
    ("relu2", "ReLU", (64, 8, 8), 0),
    ("pool2", "Pooling", (64, 4, 4), 0),
    ("ip1", "InnerProduct", (512,), 512 * 64 * 4 * 4),
    ("bn3", "BatchNorm", (512,), 512 + 512 + 1),
    ("scale3", "Scale", (512,), 512 + 512),
    ("relu3", "ReLU", (512,), 0),
    ("drop1", "Dropout", (512,), 0),
    ("ip2", "InnerProduct", (10,), 10 * 512 + 10),
]
LENET_BITS = {"conv1": 2, "conv2": 2, "ip1": 2, "ip2": 8}


def read(path: Path) -> Any:
    is_solver = path.stem.startswith("solver_")
    message = caffe_pb2.SolverParameter() if is_solver else caffe_pb2.NetParameter()
    return text_format.Parse(path.read_text(encoding="utf-8"), message)


def lenet(kind: str) -> Any:
    return read(FOLDER / "lenet" / f"{kind}.prototxt")


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


def test_there_are_nets_to_check() -> None:
    assert {path.name for path in FILES} >= {
        f"{kind}_{variant}.prototxt"
        for kind in ("train_test", "deploy", "solver")
        for variant in VARIANTS
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_file_parses_and_is_the_one_in_the_package(path: Path) -> None:
    assert read(path).ByteSize()
    packaged = prototxt_path(str(path.relative_to(FOLDER)))
    assert packaged.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("path", SOLVERS, ids=lambda path: path.name)
def test_a_solver_trains_a_net_that_exists_and_tests_on_the_whole_set(path: Path) -> None:
    solver = read(path)
    net_path = FOLDER.parent / solver.net
    assert net_path.stem.removeprefix("train_test_") == path.stem.removeprefix("solver_")
    net = read(net_path)
    (batch,) = (
        layer.data_param.batch_size
        for layer in net.layer
        if layer.type == "Data" and layer.include[0].phase == caffe.TEST
    )
    assert solver.test_iter[0] * batch == 10_000
    assert solver.solver_mode == caffe_pb2.SolverParameter.CPU
    assert solver.max_iter % solver.test_interval == 0  # so that the end is tested


def test_the_lenet_solvers_differ_in_their_nets_alone() -> None:
    solvers = [lenet(f"solver_{variant}") for variant in VARIANTS]
    for solver in solvers:
        # The paper's settings, the schedule of its 30 epochs apart.
        assert solver.momentum == pytest.approx(0.9)
        assert solver.weight_decay == pytest.approx(0.0001)
        assert solver.gamma == pytest.approx(0.1)
        solver.ClearField("net")
        solver.ClearField("snapshot_prefix")
    assert solvers[0] == solvers[1]


@pytest.mark.parametrize("kind", ["train_test", "deploy"])
def test_the_quantised_lenet_is_the_float_one_with_other_types_and_bits(kind: str) -> None:
    float_net, quantised = (lenet(f"{kind}_{variant}") for variant in VARIANTS)
    bits = {}
    for layer in quantised.layer:
        if layer.type.startswith("Quantized"):
            bits[layer.name] = layer.quantization_param.weight.bits
            weight = QuantizerParameter(bits=bits[layer.name])
            assert layer.quantization_param == QuantizationParameter(weight=weight)
            layer.ClearField("quantization_param")
            layer.type = layer.type.removeprefix("Quantized")
    assert bits == LENET_BITS
    quantised.name = float_net.name
    assert quantised == float_net


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_deploy_lenet_is_the_trained_one_without_data_and_loss(variant: str) -> None:
    trained, deploy = lenet(f"train_test_{variant}"), lenet(f"deploy_{variant}")
    assert deploy.name == trained.name
    assert body(deploy) == body(trained)
    ends = [layer for layer in deploy.layer if layer not in body(deploy)]
    assert [layer.type for layer in ends] == ["Input", "Softmax"]
    assert [layer.type for layer in trained.layer if layer not in body(trained)] == [
        *("Data", "Data", "Accuracy", "SoftmaxWithLoss")
    ]
    assert list(ends[0].top) == ["data"]
    assert list(ends[1].bottom) == list(trained.layer[-1].bottom)[:1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_lenets_data_layers_differ_in_their_database_alone(variant: str) -> None:
    train, test = (layer for layer in lenet(f"train_test_{variant}").layer if layer.type == "Data")
    assert [layer.include[0].phase for layer in (train, test)] == [caffe.TRAIN, caffe.TEST]
    assert train.transform_param.scale == 1 / 256
    assert train.data_param.source.endswith("/train_lmdb")
    assert test.data_param.source == train.data_param.source.replace("train", "test")
    test.include[0].phase = caffe.TRAIN
    test.data_param.source = train.data_param.source
    assert test == train


def parameter_count(blobs: Iterable[Any]) -> int:
    return sum(blob.count for blob in blobs)


@pytest.mark.parametrize("variant", VARIANTS)
def test_shapes_and_parameters_of_lenet(variant: str) -> None:
    net = caffe.Net(FOLDER / "lenet" / f"deploy_{variant}.prototxt", caffe.TEST)
    names = [name for name in net.layer_dict if "_split_" not in name]
    assert names == ["data", *(name for name, *_ in LENET), "prob"]
    for name, kind, shape, parameters in LENET:
        layer = net.layer_dict[name]
        quantised = variant != "float" and name in LENET_BITS
        assert layer.type == ("Quantized" if quantised else "") + kind
        assert parameter_count(layer.blobs) == parameters, name
        (top,) = net.top_names[name]
        assert net.blobs[top].data.shape == (1, *shape), name
    total = sum(parameter_count(layer.blobs) for layer in net.layers)
    assert total == sum(parameters for *_, parameters in LENET)
    assert sum(parameter_count(net.layer_dict[name].blobs[:1]) for name in LENET_BITS) == (
        800 + 51_200 + 524_288 + 5_120
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_lenet_trains_on_random_data(variant: str, tmp_path: Path) -> None:
    caffe.set_random_seed(1)
    shapes = {"data": (20, 1, 28, 28), "label": (20,)}
    net = load(with_input(lenet(f"train_test_{variant}"), shapes), caffe.TRAIN, tmp_path)
    assert net.outputs == ["loss"]
    rng = np.random.default_rng(1)
    labels = rng.integers(10, size=20)
    out = net.forward(data=rng.random((20, 1, 28, 28)), label=labels)
    # Batch norm makes the scores about N(0, 1) before any training.
    assert 0.5 * math.log(10) < float(out["loss"]) < 2.5 * math.log(10)
    net.backward()
    for name in LENET_BITS:
        gradient = net.params[name][0].diff
        assert np.isfinite(gradient).all()
        assert gradient.any(), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_test_phase_of_lenet_has_an_accuracy(variant: str, tmp_path: Path) -> None:
    shapes = {"data": (20, 1, 28, 28), "label": (20,)}
    net = load(with_input(lenet(f"train_test_{variant}"), shapes), caffe.TEST, tmp_path)
    assert set(net.outputs) == {"accuracy", "loss"}
    rng = np.random.default_rng(2)
    labels = rng.integers(10, size=20)
    out = net.forward(data=rng.random((20, 1, 28, 28)), label=labels, blobs=["ip2"])
    hits = out["ip2"].argmax(1) == labels
    assert float(out["accuracy"]) == pytest.approx(hits.mean())


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
    for name, bits in LENET_BITS.items():
        blob = nets["float"].params[name][0]
        blob.data[...] = quantize(blob.data, bits).values
    image = np.random.default_rng(4).random((1, 1, 28, 28))
    got, want = (nets[variant].forward(data=image)["prob"] for variant in ("2bit", "float"))
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)
    assert float(got.sum()) == pytest.approx(1, abs=1e-5)


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

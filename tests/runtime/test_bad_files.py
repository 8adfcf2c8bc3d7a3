"""What no model is made of, by name: damaged packed files, weights of other nets, sums too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe
import pytest

import ul2q
from dev.load_mutations import NET, mutated, outcome, small_model
from tests.deploy.trained import bundled, fill
from ul2q.cli import main
from ul2q.deploy import DeployError
from ul2q.models.caffemodel import WeightsError
from ul2q.runtime import ModelError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def packed() -> bytes:
    return small_model()


@pytest.fixture
def files(packed: bytes, tmp_path: Path) -> tuple[Path, Path]:
    """A packed .caffemodel and its deploy prototxt."""
    model, net = tmp_path / "small.packed.caffemodel", tmp_path / "small.prototxt"
    model.write_bytes(packed)
    net.write_text(NET, encoding="utf-8")
    return model, net


def test_damaged_copies_are_refused_by_name_or_run(packed: bytes, files: tuple[Path, Path]) -> None:
    """`python -m dev.load_mutations` makes many more of them."""
    model, net = files
    assert outcome(model) == outcome(model, net) == "runs"
    outcomes = []
    for number in range(300):
        model.write_bytes(mutated(packed, number))
        outcomes += [outcome(model), outcome(model, net)]
    assert outcomes.count("runs") < 240
    assert outcomes.count("WeightsError") > 180


def test_every_truncation_is_refused(packed: bytes, files: tuple[Path, Path]) -> None:
    model, net = files
    for size in range(0, len(packed), 97):
        model.write_bytes(packed[:size])
        with pytest.raises((WeightsError, caffe.CaffeError), match=model.name):
            ul2q.load(model, net)


def test_commands_name_a_damaged_file(
    packed: bytes, files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model, net = files
    model.write_bytes(packed[: len(packed) // 2])
    for call in (
        ["bench", str(net), str(model)],
        ["predict", str(model), "a.png", "--mean", "none", "--scale", "1"],
        ["predict", str(net), str(model), "a.png", "--mean", "none", "--scale", "1"],
    ):
        assert main(call) == 1
        assert f"{model} is damaged" in capsys.readouterr().err


def test_weights_of_another_net(files: tuple[Path, Path], tmp_path: Path) -> None:
    _, net = files
    other = tmp_path / "lenet.caffemodel"
    bundled("lenet", weight_bits=2, activation_bits=8).save(other)
    with pytest.raises(WeightsError, match=r"lenet.caffemodel.*'conv1'"):
        ul2q.load(other, net)


def test_layers_of_one_name_are_refused() -> None:
    """Caffe takes them, and tells of either what the other reads and makes."""
    net = fill(caffe.Net.from_proto(NET.replace('name: "pool"', 'name: "relu"'), caffe.TEST))
    with pytest.raises(DeployError, match="2 layers are named 'relu'"):
        ul2q.compile(net)


@pytest.mark.parametrize(("inputs", "fits"), [(16_000, True), (70_000, False)])
def test_sums_too_long_for_32_bits(inputs: int, fits: bool) -> None:
    text = f"""layer {{ name: "x" type: "Input" top: "x" input_param {{
        shape {{ dim: 1 dim: {inputs} }} }} }}
      layer {{ name: "q" type: "QuantizedActivation" bottom: "x" top: "q"
        quantization_param {{ activation {{ bits: 8 signed: false }} }} }}
      layer {{ name: "long" type: "QuantizedInnerProduct" bottom: "q" top: "long"
        inner_product_param {{ num_output: 1 }} quantization_param {{ weight {{ bits: 8 }} }} }}"""
    net = fill(caffe.Net.from_proto(text, caffe.TEST))
    ul2q.gather_activation_averages(net, [{"x": net.blobs["x"].data + 1}])
    if fits:
        ul2q.compile(net)
        return
    with pytest.raises(ModelError, match=r"layer 'long' adds up 70000 products; .* fit 32 bits"):
        ul2q.compile(net)

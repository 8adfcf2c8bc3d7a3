"""The two forks, told by the codes that they stored."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.quantization_caffe.fork_formulas import (
    fixed_point_of_the_fork,
    fixed_point_of_the_older_fork,
    ternary_of_the_fork,
    ternary_of_the_older_fork,
)
from tests.quantization_caffe.fork_nets import CONVOLUTION, fork_message, import_text, net_of
from tests.wild_nets import wild
from ul2q.cli import main
from ul2q.models.caffemodel import read_caffemodel
from ul2q.nets.prototxt_text import Document
from ul2q.quantization_caffe import Dialect, import_files, import_net, recognise_dialect
from ul2q.quantization_caffe.dialect import unknown_fields

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2
    from numpy.typing import NDArray

FORMULAS = {
    ("Quantize", Dialect.NEWER): fixed_point_of_the_fork,
    ("Quantize", Dialect.OLDER): fixed_point_of_the_older_fork,
    ("Ternary_Quantize", Dialect.NEWER): ternary_of_the_fork,
    ("Ternary_Quantize", Dialect.OLDER): ternary_of_the_older_fork,
}
QUANTIZERS = {
    ("Quantize", Dialect.NEWER): "method: FIXED_POINT bits: 8",
    ("Quantize", Dialect.OLDER): "method: FIXED_POINT bits: 9",
    ("Ternary_Quantize", Dialect.NEWER): "method: TERNARY_QUANTIZED bits: 7",
    ("Ternary_Quantize", Dialect.OLDER): "method: TERNARY_QUANTIZED bits: 8",
}


def stored(
    method: str, dialect: Dialect, *, as_integers: bool, double: bool = False, bits: int = 8
) -> caffe_pb2.NetParameter:
    """A caffemodel as the fork stores it; unknown fields are the fork's."""
    rng = np.random.default_rng(len(method) + bits)
    w: NDArray[Any] = rng.normal(0, 0.07, 300)
    levels = FORMULAS[method, dialect](w, bits)
    # The step is a power of two: that of the largest magnitude, or of the ternary scale.
    largest = np.abs(w if method == "Quantize" else levels).max()
    point = np.floor(np.log2(largest)) - (bits - (1 if dialect is Dialect.OLDER else 2))
    model = fork_message("NetParameter")(name="fork")
    layer = model.layer.add(name="l", type="InnerProduct", weights_compress=[method])
    blob = layer.blobs.add(maxbits=bits, fixedpos=point, alpha=1)
    blob.shape.dim.append(w.size)
    (blob.double_data if double else blob.data).extend(w)
    unit = 2.0**point if as_integers else 1.0
    if method == "Quantize":
        (blob.double_quantize if double else blob.quantize).extend(levels / unit)
    else:
        blob.alpha = np.abs(levels).max() / unit
        blob.ternary.extend(np.sign(levels))
    path = Path("stored.caffemodel")
    path.write_bytes(model.SerializeToString())
    return read_caffemodel(path)


@pytest.mark.parametrize(("method", "dialect"), FORMULAS)
@pytest.mark.parametrize("as_integers", [False, True])
@pytest.mark.parametrize("bits", [3, 8, 12])
def test_codes_tell_the_fork(
    method: str,
    dialect: Dialect,
    as_integers: bool,
    bits: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for double in (False, True):
        model = stored(method, dialect, as_integers=as_integers, bits=bits, double=double)
        found = recognise_dialect(model)
        assert found is not None
        assert (found.dialect, found.blobs, found.others) == (dialect, 1, 0)


def test_weights_without_codes_tell_nothing() -> None:
    model = fork_message("NetParameter")(name="fork")
    layer = model.layer.add(name="l", type="InnerProduct", weights_compress=["Quantize", "ULQ"])
    layer.blobs.add(data=[0, 0], quantize=[0, 0], maxbits=8, fixedpos=0)
    layer.blobs.add(data=[1, 2], quantize=[1, 2], maxbits=8, fixedpos=-3)
    plain = caffe.proto.caffe_pb2.NetParameter.FromString(model.SerializeToString())
    assert recognise_dialect(plain) is None


@pytest.mark.parametrize(("method", "dialect"), QUANTIZERS)
def test_quantizers_of_each_fork(method: str, dialect: Dialect) -> None:
    net = Document(f'layer {{ {CONVOLUTION} weights_compress: "{method}" }}')
    quantizer = net_of(import_net(net, dialect=dialect).text).layer[0].quantization_param.weight
    assert str(quantizer).split() == QUANTIZERS[method, dialect].split()


@pytest.mark.parametrize("method", ["Quantize", "Ternary_Quantize"])
@pytest.mark.parametrize("bits", [2, 5, 8])
def test_a_net_of_the_older_fork_computes_what_it_computed(method: str, bits: int) -> None:
    text = f"""
        layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 40 dim: 40 }} }} }}
        layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "y" weights_compress: "{method}"
                 weights_compress_param {{ maxbits: {bits} }}
                 inner_product_param {{ num_output: 50 bias_term: false }} }}"""
    imported = import_net(Document(text), dialect=Dialect.OLDER)
    net = caffe.Net.from_proto(net_of(imported.text), caffe.TEST)
    weights = net.params["ip"][0].data
    weights[...] = np.random.default_rng(6).normal(0.1, 0.3, weights.shape)
    net.blobs["x"].data[...] = np.eye(40)
    expected = FORMULAS[method, Dialect.OLDER](weights.astype(float), bits)
    np.testing.assert_allclose(net.forward()["y"].T, expected, atol=1e-6)


def test_more_bits_than_there_are() -> None:
    text = f'layer {{ {CONVOLUTION} weights_compress: "Quantize" weights_compress_param'
    imported = import_net(Document(f"{text} {{ maxbits: 16 }} }}"), dialect=Dialect.OLDER)
    assert [note.text for note in imported.warnings] == [
        "16 bits and a sign are more than ul2q has; 16 now"
    ]
    assert not import_text(f"{text} {{ maxbits: 16 }} }}").warnings


# The caffemodel that the authors published with the older fork.


def test_the_published_caffemodel_has_our_codes(tmp_path: Path) -> None:
    net = wild("fork-lenet/lenet_train_test_compress.prototxt")
    weights = wild("fork-lenet/lenet_compress_iter_30000.caffemodel")
    imported = import_files(net, weights, output=tmp_path)
    assert imported.dialect is Dialect.OLDER
    assert imported.weights_path is not None
    text = imported.net.text.partition('name: "conv1"')[2]
    head = (
        'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: [1,1,28,28] } } }'
    )
    deployed = net_of(f'{head} layer {{ name: "conv1"{text}')
    del deployed.layer[-2:]  # accuracy and loss
    for layer in deployed.layer:
        for blob, name in enumerate(layer.bottom):
            layer.bottom[blob] = name.removesuffix("_q") if name.startswith("data") else name
    built = caffe.Net.from_proto(deployed, caffe.TEST, weights=str(imported.weights_path))
    compared = {"Quantize": 0, "Ternary_Quantize": 0}
    layers = {layer.name: layer for layer in read_caffemodel(weights).layer}
    for name, layer in zip(built._layer_names, built.layers, strict=True):
        for quantized in layer.quantized_blobs():
            fields = {
                one.field_number: one.data
                for one in unknown_fields(layers[name].blobs[quantized.index])
            }
            step = 2.0 ** float(np.array(fields[16], np.uint32).view(np.float32))
            if 14 in fields:
                expected = np.frombuffer(fields[14], "<f4") * step
                compared["Quantize"] += 1
            else:
                alpha = float(np.array(fields[13], np.uint32).view(np.float32))
                expected = np.frombuffer(fields[10], "<f4") * (alpha * step)
                compared["Ternary_Quantize"] += 1
            assert np.array_equal(quantized.values.ravel(), expected.astype(np.float32))
    assert compared == {"Quantize": 6, "Ternary_Quantize": 2}


def test_the_command_says_which(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = str(wild("fork-lenet/lenet_train_test_compress.prototxt"))
    weights = str(wild("fork-lenet/lenet_compress_iter_30000.caffemodel"))

    def told(*options: str) -> str:
        assert main(["import-fork", net, *options, "-o", str(tmp_path), "--force"]) == 0
        lines = capsys.readouterr().out.splitlines()
        return next(line for line in lines if line.startswith("fork: "))

    assert "of 2018" in told(weights)
    assert "8 of 8 stored blobs" in told(weights)
    assert told(weights, "--dialect", "2019").endswith("8 of 8 stored blobs are of 2018")
    assert "of 2019" in told()
    assert "by default" in told()
    assert told("--dialect", "2018").endswith("as --dialect says")

"""Nets of the fork become nets of ul2q."""

from __future__ import annotations

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from tests.quantization_caffe.fork_nets import (
    BARE,
    CONVOLUTION,
    FIELDS,
    NETS,
    RELU,
    ULQ,
    fork_message,
    import_text,
    net_of,
    original,
)
from ul2q.nets.prototxt import PrototxtError
from ul2q.nets.prototxt_text import Document
from ul2q.quantization_caffe import METHODS, import_net

NAMES = sorted(path.name for path in NETS.glob("*.prototxt"))


@pytest.mark.parametrize("name", NAMES)
def test_only_the_types_the_quantizers_and_the_activations_change(name: str) -> None:
    text = (NETS / name).read_text()
    before = original(text)
    for layer in before.layer:
        for _, field, _ in FIELDS:
            layer.ClearField(field)
    after = net_of(import_net(Document(text)).text)
    source = {  # a quantised blob -> what it was made of
        layer.top[0]: layer.bottom[0]
        for layer in after.layer
        if layer.type == "QuantizedActivation"
    }
    kept = [layer for layer in after.layer if layer.type != "QuantizedActivation"]
    del after.layer[:]
    after.layer.extend(kept)
    for layer in after.layer:
        if layer.HasField("quantization_param"):
            layer.type = layer.type.removeprefix("Quantized")
            layer.ClearField("quantization_param")
        for blobs in (layer.bottom, layer.top):
            for i, blob in enumerate(blobs):
                while blob in source:
                    blob = source[blob]  # noqa: PLW2901
                blobs[i] = blob
    assert text_format.MessageToString(after) == text_format.MessageToString(before)


@pytest.mark.parametrize("name", NAMES)
def test_methods_and_bits_are_those_of_the_fork(name: str) -> None:
    text = (NETS / name).read_text()
    after = {layer.name: layer for layer in net_of(import_net(Document(text)).text).layer}
    checked = 0
    for layer in original(text).layer:
        imported = after[layer.name].quantization_param
        quantizers = [imported.weight, imported.bias][: len(layer.weights_compress)]
        assert imported.HasField("weight") == (len(layer.weights_compress) > 0)
        assert imported.HasField("bias") == (len(layer.weights_compress) > 1)
        for i, (method, quantizer) in enumerate(
            zip(layer.weights_compress, quantizers, strict=True)
        ):
            parameters = fork_message("CompressParameter")()
            if i < len(layer.weights_compress_param):
                parameters = layer.weights_compress_param[i]
            bits = {"Ternary": 0, "Clip": 8, "Ternary_Quantize": parameters.maxbits - 1}
            assert quantizer.Method.Name(quantizer.method) == METHODS[method]
            assert quantizer.bits == bits.get(method, parameters.maxbits)
            checked += 1
    assert checked


WARNINGS = [  # the layer, quantization_param or None for float, words of the one warning
    (
        f'{CONVOLUTION} weights_compress: "Clip" weights_compress_param {{ maxbits: 4 }}',
        "weight { method: CLIP bits: 8 }",
        ["maxbits", "ignored", "8 bits"],
    ),
    (
        f'{CONVOLUTION} weights_compress: "Ternary" weights_compress_param {{ maxbits: 4 }}',
        "weight { method: TERNARY }",
        ["maxbits", "dropped"],
    ),
    (
        f'{CONVOLUTION} weights_compress: "ULQ" weights_compress_param {{ maxbits: 0 }}',
        "weight { bits: 8 }",
        ["maxbits", "0 stood for 8"],
    ),
    (
        f'{CONVOLUTION} weights_compress: "Quantize" weights_compress_param {{ maxbits: 24 }}',
        "weight { method: FIXED_POINT bits: 16 }",
        ["maxbits", "24", "16"],
    ),
    (
        f'{CONVOLUTION} weights_compress: "ULQ" weights_compress_param {{ maxbits: 9 }}',
        "weight { bits: 9 }",
        ["weights_compress", "above 8 bits", "σ"],
    ),
    (
        f'{CONVOLUTION} weights_compress: "ULQ" weights_compress_param {{ alpha: 1 delta: 2 }}',
        "weight { bits: 8 }",
        ["weights_compress_param", "delta, alpha dropped"],
    ),
    (
        f'{CONVOLUTION} weights_compress: "ULQ" weights_compress: ""',
        "weight { bits: 8 }",
        ["weights_compress", "biases stay float"],
    ),
    (f'{CONVOLUTION} weights_compress: ""', None, ["weights stay float"]),
    (
        f'{CONVOLUTION} weights_compress: "ULQ" weights_compress: "ULQ" {BARE}',
        "weight { bits: 8 }",
        ["weights_compress", "ignored", "only weights"],
    ),
    (
        f'{CONVOLUTION} weights_compress: ["ULQ", "ULQ", "Clip"]',
        "weight { bits: 8 } bias { bits: 8 }",
        ["weights_compress", "ignored", "weights and biases"],
    ),
    (
        f'{CONVOLUTION} weights_compress: "ULQ" weights_compress_param: [{{}}, {{ maxbits: 2 }}]',
        "weight { bits: 8 }",
        ["weights_compress_param", "ignored", "no weights_compress for it"],
    ),
    (
        'name: "l" type: "BatchNorm" bottom: "x" top: "y" weights_compress: "ULQ"',
        None,
        ["weights_compress", "dropped", "BatchNorm stays float", "InnerProduct"],
    ),
    (f'{RELU} activations_compress: "ULQ"', None, ["dropped", "--ulq-activations"]),
    (f'{RELU} activations_compress: ""', None, ["no method", "activations stay float"]),
    (f"{RELU} activations_compress_param {{ maxbits: 4 }}", None, ["ignored"]),
    (
        'name: "l" type: "EuclideanLoss" bottom: "x" bottom: "x" activations_compress: "Clip" '
        'top: "y"',
        None,
        ["activations_compress", "dropped", "EuclideanLoss"],
    ),
]


@pytest.mark.parametrize(("layer", "expected", "words"), WARNINGS)
def test_what_the_fork_did_otherwise_is_said(
    layer: str, expected: str | None, words: list[str]
) -> None:
    imported = import_text(f"layer {{ {layer} }}")
    net = net_of(imported.text)
    parameter = text_format.Parse(expected or "", caffe_pb2.QuantizationParameter())
    assert net.layer[1].quantization_param == parameter
    assert net.layer[1].type.startswith("Quantized") == (expected is not None)
    assert len(net.layer) == 2
    [warning] = imported.warnings
    text = str(warning)
    assert text.startswith(f"prototxt:2: layer 'l': {warning.field}: ")
    for word in words:
        assert word in text


def test_a_bias_alone_stays_float() -> None:
    imported = import_text(
        f'layer {{ {CONVOLUTION} weights_compress: "" weights_compress: "ULQ" }}'
    )
    assert net_of(imported.text).layer[1].type == "Convolution"
    assert "needs quantised weights" in str(imported.warnings[1])


def test_comments_and_layout_stay() -> None:
    before = (NETS / "lenet_ulq.prototxt").read_text()
    after = import_net(Document(before.replace("\n", "\r\n"))).text.replace("\r\n", "\n")
    assert after == before.replace('"InnerProduct"', '"QuantizedInnerProduct"').replace(
        '"Convolution"', '"QuantizedConvolution"'
    ).replace(
        """\
  weights_compress: "ULQ"  # the weights
  weights_compress: "ULQ"  # the biases
  weights_compress_param { maxbits: 2 }
  weights_compress_param {
    maxbits: 2
  }
""",
        """\
  quantization_param { weight { bits: 2 } bias { bits: 2 } }  # the weights
  # the biases
""",
    ).replace(
        """\
  weights_compress: "ULQ"
  weights_compress_param { maxbits: 2 }
""",
        "  quantization_param { weight { bits: 2 } }\n",
    ).replace(
        'weights_compress: "ULQ"  # without', "quantization_param { weight { bits: 8 } }  # without"
    )


BAD_NETS = [  # the text, words of the error
    ('layer { name: "l" type: "ReLU" }', ["no layer has weights_compress", "nothing to import"]),
    (
        f'layer {{ {CONVOLUTION}\n weights_compress: "Tenary" }}',
        ["prototxt:2:2: layer 'l': weights_compress", "'Tenary'", "Ternary_Quantize"],
    ),
    (f"layer {{ {RELU} activations_compress: ULQ }}", ["prototxt:1:", "must be a string"]),
    (
        f"{ULQ}\nweights_compress_param {{ bits: 2 }} }}",
        ["prototxt:2:", "bits", "maxbits, delta"],
    ),
    (
        f"{ULQ} weights_compress_param: 2 }}",
        ["weights_compress_param", "must be a message"],
    ),
    (
        f"{ULQ} weights_compress_param {{ maxbits: a }} }}",
        ["maxbits", "is a", "integer"],
    ),
    (
        f"{ULQ} weights_compress_param {{ maxbits: -2 }} }}",
        ["maxbits", "is -2", "1 to 16"],
    ),
    (
        f'layer {{ {CONVOLUTION} weights_compress: "Quantize" '
        "weights_compress_param { maxbits: 1 } }",
        ["Quantize with 1 bit", "2 or more"],
    ),
    (
        f"{ULQ}\n num_ouput: 3 }}",
        ["prototxt:2:2", "num_ouput"],
    ),
    (
        f"{ULQ} quantization_param {{ weight {{ bits: 2 }} }} }}",
        ["quantization_param", "drop one"],
    ),
    ('net: "net.prototxt"\nbase_lr: 0.1', ["prototxt:1:1", "solver", "give the net"]),
    ("layer {", ["prototxt:1:8"]),
    ("layer: [{ name: 'a' }, { name: 'b' }]", ["prototxt:1:1", "list of layers"]),
]


@pytest.mark.parametrize(("text", "words"), BAD_NETS)
def test_bad_nets(text: str, words: list[str]) -> None:
    with pytest.raises(PrototxtError) as error:
        import_net(Document(text))
    for word in words:
        assert word in str(error.value)


def test_every_method_computes() -> None:
    net = caffe.Net.from_proto(
        net_of(import_net(NETS / "methods_deploy.prototxt").text), caffe.TEST
    )
    rng = np.random.default_rng(4)
    for blobs in net.params.values():
        for blob in blobs:
            blob.data[...] = rng.standard_normal(blob.shape)
    net.blobs["data"].data[...] = rng.standard_normal(net.blobs["data"].shape)
    assert net.forward()["prob"].sum() == pytest.approx(1)

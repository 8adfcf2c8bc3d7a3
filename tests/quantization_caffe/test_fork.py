"""Nets and weights of the fork: by protobuf's own parser with the fork's fields added to it."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from ul2q.cli import main
from ul2q.evaluation import evaluate
from ul2q.models.caffemodel import WeightsError
from ul2q.nets.prototxt import PrototxtError
from ul2q.nets.prototxt_text import Document
from ul2q.quantization_caffe import (
    METHODS,
    ActivationError,
    import_files,
    import_net,
    import_weights,
)
from ul2q.util.output_file import OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from tests.conftest import Workspace

NETS = Path(__file__).parent / "prototxt"
NAMES = sorted(path.name for path in NETS.glob("*.prototxt"))
FIELDS = [
    (149, "weights_compress", None),
    (150, "activations_compress", None),
    (151, "weights_compress_param", ".caffe.CompressParameter"),
    (152, "activations_compress_param", ".caffe.CompressParameter"),
]


@cache
def fork_message(name: str) -> Any:
    """A message of caffe.proto with the fork's fields.

    Which of BlobProto's fields 10 to 17 holds what is a guess; their numbers are the fork's.
    """
    file = descriptor_pb2.FileDescriptorProto()
    caffe_pb2.DESCRIPTOR.CopyToProto(file)
    messages = {message.name: message for message in file.message_type}
    proto = descriptor_pb2.FieldDescriptorProto
    compress = file.message_type.add(name="CompressParameter")
    for number, field, kind in (
        (1, "delta", proto.TYPE_FLOAT),
        (2, "alpha", proto.TYPE_FLOAT),
        (3, "fixedpos", proto.TYPE_INT32),
        (4, "maxbits", proto.TYPE_INT32),
    ):
        compress.field.add(name=field, number=number, type=kind, label=proto.LABEL_OPTIONAL)
    compress.field[-1].default_value = "8"
    for number, field, type_name in FIELDS:
        kind = proto.TYPE_MESSAGE if type_name else proto.TYPE_STRING
        messages["LayerParameter"].field.add(
            name=field, number=number, type=kind, type_name=type_name, label=proto.LABEL_REPEATED
        )
    for number, field, kind in (
        (10, "ternary", proto.TYPE_FLOAT),
        (11, "double_ternary", proto.TYPE_DOUBLE),
        (12, "delta", proto.TYPE_FLOAT),
        (13, "alpha", proto.TYPE_FLOAT),
        (14, "quantize", proto.TYPE_FLOAT),
        (15, "double_quantize", proto.TYPE_DOUBLE),
        (16, "fixedpos", proto.TYPE_INT32),
        (17, "maxbits", proto.TYPE_INT32),
    ):
        many = "ternary" in field or "quantize" in field
        added = messages["BlobProto"].field.add(
            name=field,
            number=number,
            type=kind,
            label=proto.LABEL_REPEATED if many else proto.LABEL_OPTIONAL,
        )
        added.options.packed = many
    pool = descriptor_pool.DescriptorPool()
    for dependency in caffe_pb2.DESCRIPTOR.dependencies:
        pool.AddSerializedFile(dependency.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))


def net_of(text: str) -> caffe_pb2.NetParameter:
    return text_format.Parse(text, caffe_pb2.NetParameter())


def original(text: str) -> Any:
    return text_format.Parse(text, fork_message("NetParameter")())


def import_text(*layers: str) -> Any:
    """Import a net that gives `x` of 1 × 2 × 8 × 8 to the layers."""
    head = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }'
    return import_net(Document("\n".join([head, *layers])))


# The beginnings of layers.
ULQ = 'layer { name: "l" type: "Convolution" bottom: "x" top: "y" weights_compress: "ULQ"'
CONVOLUTION = 'name: "l" type: "Convolution" bottom: "x" top: "y"'
RELU = 'name: "l" type: "ReLU" bottom: "x" top: "y"'
BARE = "convolution_param { bias_term: false }"


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


QUANTIZERS = [  # the fork's fields, quantization_param
    ('weights_compress: "ULQ"', "weight { bits: 8 }"),
    ('weights_compress: "ULQ" weights_compress_param {}', "weight { bits: 8 }"),
    ('weights_compress: "ULQ" weights_compress_param { maxbits: 1 }', "weight { bits: 1 }"),
    ('weights_compress: "U" "LQ" weights_compress_param < maxbits: 0x4 >', "weight { bits: 4 }"),
    ('weights_compress_param: { maxbits: 3 }; weights_compress: "ULQ";', "weight { bits: 3 }"),
    (
        'weights_compress: ["ULQ", "Ternary"] weights_compress_param: [{ maxbits: 2 }]',
        "weight { bits: 2 } bias { method: TERNARY }",
    ),
    (
        "weights_compress: 'Ternary_Quantize' weights_compress_param { maxbits: 5 }",
        "weight { method: TERNARY_QUANTIZED bits: 4 }",
    ),
    (
        'weights_compress: "Quantize" weights_compress: "Clip"',
        "weight { method: FIXED_POINT bits: 8 } bias { method: CLIP bits: 8 }",
    ),
]


@pytest.mark.parametrize(("fields", "expected"), QUANTIZERS)
def test_quantizers(fields: str, expected: str) -> None:
    imported = import_text(f"layer {{ {CONVOLUTION} {fields} }}")
    layer = net_of(imported.text).layer[1]
    assert layer.type == "QuantizedConvolution"
    assert layer.quantization_param == text_format.Parse(
        expected, caffe_pb2.QuantizationParameter()
    )
    assert not imported.warnings


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


BITS = " weights_compress_param { maxbits: %d }"


def fixed_point_of_the_fork(w: NDArray[Any], bits: int) -> NDArray[Any]:
    step = 2.0 ** (np.floor(np.log2(np.abs(w).max())) - (bits - 2))
    limit = 2 ** (bits - 1) - 1
    return np.asarray(np.clip(half_away(w / step), -limit, limit) * step)


def half_away(x: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.trunc(x + np.copysign(0.5, x)))


def ternary_of_the_fork(w: NDArray[Any], bits: int | None) -> NDArray[Any]:
    codes = np.where(np.abs(w) > 0.7 * np.abs(w).mean(), np.sign(w), 0)
    scale = np.array([(codes * w).sum() / np.abs(codes).sum()])
    return np.asarray(codes * (scale if bits is None else fixed_point_of_the_fork(scale, bits)))


def clip_of_the_fork(w: NDArray[Any]) -> NDArray[Any]:
    step = np.abs(w).max() / 127
    return np.asarray(half_away(w / step) * step)


def ulq_of_the_fork(w: NDArray[Any], bits: int) -> NDArray[Any]:
    steps = [1.595016, 0.995290, 0.587221, 0.335890, 0.189442, 0.105709, 0.057083, 0.030482]
    alpha = steps[bits - 1] * w.std()
    half = 2 ** (bits - 1)
    codes = half_away(np.clip((w - w.mean()) / alpha + 0.5, 1 - half, half))
    return np.asarray((codes - 0.5) * alpha + w.mean())


# The fork's fields; what it computed, by its formulas; by how many of its steps ours may differ
# in the mean.
COMPUTED: list[tuple[str, Callable[[NDArray[Any]], NDArray[Any]], float]] = [
    ('"Ternary"', lambda w: ternary_of_the_fork(w, None), 1e-5),
    *(
        ('"Ternary_Quantize"' + BITS % bits, partial(ternary_of_the_fork, bits=bits), 1e-5)
        for bits in (3, 8)
    ),
    *(
        ('"Quantize"' + BITS % bits, partial(fixed_point_of_the_fork, bits=bits), 1e-5)
        for bits in (2, 4, 8, 12)
    ),
    ('"Clip"' + BITS % 3, clip_of_the_fork, 0.4),  # of 127
    *(
        ('"ULQ"' + BITS % bits, partial(ulq_of_the_fork, bits=bits), 0.02 if bits < 5 else 0.5)
        for bits in range(1, 9)
    ),
]


@pytest.mark.parametrize(("fields", "formula", "tolerance"), COMPUTED)
def test_the_imported_net_computes_what_the_fork_computed(
    fields: str, formula: Callable[[NDArray[Any]], NDArray[Any]], tolerance: float
) -> None:
    text = f"""
        layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ dim: 40 dim: 40 }} }} }}
        layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "y" weights_compress: {fields}
                 inner_product_param {{ num_output: 50 bias_term: false }} }}"""
    net = caffe.Net.from_proto(net_of(import_net(Document(text)).text), caffe.TEST)
    weights = net.params["ip"][0].data
    weights[...] = np.random.default_rng(6).normal(0.1, 0.3, weights.shape)
    net.blobs["x"].data[...] = np.eye(40)
    computed = net.forward()["y"].T
    expected = formula(weights.astype(float))
    levels = np.unique(expected.round(9))
    assert np.unique(computed).size == pytest.approx(levels.size, rel=0.05)
    assert np.abs(computed - expected).mean() < tolerance * np.diff(levels).min()


ACTIVATIONS = [  # the layer's fields, the layer that it gets behind it
    ('activations_compress: "Clip"', "method: CLIP bits: 8"),
    (
        'activations_compress: "Quantize" activations_compress_param { maxbits: 5 }',
        "method: FIXED_POINT bits: 5",
    ),
    ('activations_compress: "Ternary"', "method: TERNARY"),
    ('activations_compress: "Ternary_Quantize"', "method: TERNARY_QUANTIZED bits: 7"),
]


@pytest.mark.parametrize(("fields", "quantizer"), ACTIVATIONS)
def test_an_activation_becomes_a_layer(fields: str, quantizer: str) -> None:
    reader = 'layer { name: "r" type: "TanH" bottom: "y" top: "z" }'
    imported = import_text(f"layer {{ {RELU} {fields} }}", reader)
    expected = net_of(
        f"""
        layer {{ {RELU} }}
        layer {{ name: "y_q" type: "QuantizedActivation" bottom: "y" top: "y_q"
                 quantization_param {{ activation {{ {quantizer} gradient: IDENTITY }} }} }}
        layer {{ name: "r" type: "TanH" bottom: "y_q" top: "z" }}"""
    )
    assert list(net_of(imported.text).layer)[1:] == list(expected.layer)
    assert "moving average" in " ".join(map(str, imported.warnings))
    assert ("unscaled" in str(imported.warnings[0])) == ("Ternary" in fields)


def test_ulq_activations_on_request() -> None:
    text = f'layer {{ {RELU} activations_compress: "ULQ" }}'
    assert import_text(text).rows[0].activations == (None,)
    imported = import_net(Document('input: "x" ' + text), ulq_activations=True)
    quantizer = net_of(imported.text).layer[1].quantization_param.activation
    assert quantizer == caffe_pb2.QuantizerParameter(
        bits=8, gradient=caffe_pb2.QuantizerParameter.IDENTITY
    )


def test_an_output_of_the_net_gets_a_new_name() -> None:
    imported = import_text(f'layer {{ {RELU} activations_compress: "Clip" }}')
    assert "'y_q' now" in str(imported.warnings[-1])


def wiring(text: str) -> list[tuple[str, list[str], list[str], str]]:
    return [
        (layer.type, list(layer.bottom), list(layer.top), "".join(map(str, layer.include)).strip())
        for layer in net_of(text).layer
    ]


def test_layers_in_place_work_on_the_quantised_blob() -> None:
    text = (NETS / "activations.prototxt").read_text()
    assert wiring(import_net(Document(text)).text)[2:9] == [
        ("QuantizedConvolution", ["data"], ["conv1"], ""),
        ("QuantizedActivation", ["conv1"], ["conv1_q"], ""),
        ("ReLU", ["conv1_q"], ["conv1_q"], ""),
        ("QuantizedActivation", ["conv1_q"], ["conv1_q_q"], ""),
        ("Pooling", ["conv1_q_q"], ["left"], ""),
        ("Pooling", ["conv1_q_q"], ["right"], ""),
        ("Eltwise", ["left", "right"], ["sum"], ""),
    ]


TWINS = """\
layer {{ name: "a" type: "DummyData" top: "x" include {{ phase: TRAIN }} {train} }}
layer {{ name: "a" type: "DummyData" top: "x" exclude {{ phase: TRAIN }} {test} }}
layer {{ name: "x_q" type: "ReLU" bottom: "x" top: "y" }}
"""
CLIPPED = 'activations_compress: "Clip"'


def test_twins_in_the_phases_are_quantised_each() -> None:
    imported = import_net(Document(TWINS.format(train=CLIPPED, test=CLIPPED)))
    layers = net_of(imported.text).layer
    assert [layer.name for layer in layers] == ["a", "x_q2", "a", "x_q2", "x_q"]
    assert [list(layer.top) for layer in layers] == [["x"], ["x_q2"], ["x"], ["x_q2"], ["y"]]
    assert layers[1].include == layers[0].include
    assert layers[3].exclude == layers[2].exclude
    assert layers[4].bottom == ["x_q2"]


def test_quantised_in_one_phase_only() -> None:
    with pytest.raises(ActivationError, match=r"layer 'x_q' .* 'x' .* quantise it in all"):
        import_net(Document(TWINS.format(train=CLIPPED, test="")))


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


def fork_caffemodel(
    net: caffe.Net, path: Path, *, double: bool = False, layers: list[str] | None = None
) -> dict[str, list[bytes]]:
    """Write the weights of a net, or of some layers, as the fork does; the masters' bytes."""
    model = fork_message("NetParameter")(name=net.name)
    masters: dict[str, list[bytes]] = {}
    for name in layers or net.params:
        layer = model.layer.add(name=name, type="Convolution")
        masters[name] = []
        for blob in net.params[name]:
            layer.weights_compress.append("ULQ")
            layer.weights_compress_param.add(delta=0.5, alpha=0.25, fixedpos=-3, maxbits=2)
            values = blob.data.ravel()
            masters[name].append(values.tobytes())
            proto = layer.blobs.add(delta=0.5, alpha=0.25, fixedpos=-3, maxbits=2)
            proto.shape.dim.extend(blob.shape)
            (proto.double_data if double else proto.data).extend(values.tolist())
            (proto.double_quantize if double else proto.quantize).extend(np.sign(values).tolist())
            (proto.double_ternary if double else proto.ternary).extend(np.sign(values).tolist())
    path.write_bytes(model.SerializeToString())
    return masters


@pytest.mark.parametrize("double", [False, True])
def test_weights_are_the_masters_bit_for_bit(workspace: Workspace, double: bool) -> None:
    source = NETS / "lenet_ulq.prototxt"
    built = caffe.Net.from_proto(net_of(import_net(source).text), caffe.TEST)
    masters = fork_caffemodel(built, Path("fork.caffemodel"), double=double)
    imported = import_files(source, Path("fork.caffemodel"), output=workspace.folder)
    assert imported.net_path == workspace.folder / "lenet_ulq_ul2q.prototxt"
    assert imported.weights_path == workspace.folder / "fork_ul2q.caffemodel"
    assert imported.weights
    sizes = [path.stat().st_size for path in (Path("fork.caffemodel"), imported.weights_path)]
    assert imported.weights.saved_bytes == sizes[0] - sizes[1] > sizes[0] // 2
    net = caffe.Net(str(imported.net_path), caffe.TEST, weights=str(imported.weights_path))
    assert {
        name: [blob.data.tobytes() for blob in blobs] for name, blobs in net.params.items()
    } == masters
    types = {layer.name: layer.type for layer in imported.weights.net.layer}
    assert types == {
        "conv1": "QuantizedConvolution",
        "ip1": "QuantizedInnerProduct",
        "ip2": "QuantizedInnerProduct",
    }
    assert imported.weights.net.layer[0].quantization_param.bias.bits == 2


def test_no_field_of_the_fork_is_left(workspace: Workspace) -> None:
    del workspace  # for its working directory
    model = fork_message("NetParameter")(name="all")
    layer = model.layer.add(name="l", type="InnerProduct", activations_compress=["Clip"])
    layer.activations_compress_param.add(alpha=1)
    blob = layer.blobs.add(data=[1.5], double_ternary=[1], ternary=[1], quantize=[1], maxbits=2)
    blob.shape.dim.append(1)
    Path("all.caffemodel").write_bytes(model.SerializeToString())
    imported = import_weights(Path("all.caffemodel")).net
    expected = caffe_pb2.NetParameter(name="all")
    kept = expected.layer.add(name="l", type="InnerProduct").blobs.add(data=[1.5])
    kept.shape.dim.append(1)
    assert imported.SerializeToString() == expected.SerializeToString()


BAD_WEIGHTS = [  # a file's name, what it holds, words of the error
    ("noise.caffemodel", b"\xff" * 40, ["noise.caffemodel", "damaged"]),
    ("empty.caffemodel", b"", ["holds no weights"]),
    ("net.prototxt", None, ["net.prototxt", ".caffemodel"]),
    ("mini.solverstate", b"", ["solver state", ".caffemodel"]),
    ("mini.caffemodel.h5", b"", ["nothing to import"]),
]


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(("name", "content", "words"), BAD_WEIGHTS)
def test_bad_weights(name: str, content: bytes | None, words: list[str]) -> None:
    if content is not None:
        Path(name).write_bytes(content)
    with pytest.raises(WeightsError) as error:
        import_files(NETS / "lenet_ulq.prototxt", Path(name), output=Path())
    for word in words:
        assert word in str(error.value)
    assert not Path("lenet_ulq_ul2q.prototxt").exists()


def test_nothing_is_overwritten_without_force(workspace: Workspace) -> None:
    source = NETS / "methods_deploy.prototxt"
    weights = workspace.write("w.caffemodel", "")
    built = caffe.Net.from_proto(net_of(import_net(source).text), caffe.TEST)
    fork_caffemodel(built, weights)
    old = workspace.write("out.caffemodel", "old")
    with pytest.raises(OutputExistsError, match=r"out\.caffemodel .*--force"):
        import_files(source, weights, output=Path("out.prototxt"))
    assert old.read_text() == "old"
    assert not Path("out.prototxt").exists()
    workspace.write("net.prototxt", "old")
    with pytest.raises(OutputExistsError, match=r"net\.prototxt .*--force"):
        import_files(source, weights, output=Path("net.prototxt"))
    assert not Path("net.caffemodel").exists()
    import_files(source, weights, output=Path("out.prototxt"), force=True)
    assert caffe.Net("out.prototxt", caffe.TEST, weights="out.caffemodel").params
    assert not list(Path().glob(".*part"))


def test_outputs_that_cannot_be(workspace: Workspace) -> None:
    source, weights = NETS / "methods_deploy.prototxt", workspace.write("w.caffemodel", "")
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        import_files(source, output=Path("gone"))
    with pytest.raises(WeightsError, match="another suffix"):
        import_files(source, weights, output=Path("out.caffemodel"))


@pytest.mark.parametrize("name", ["lenet_ulq", "activations"])
def test_an_imported_net_trains(workspace: Workspace, name: str) -> None:
    imported = import_files(NETS / f"{name}.prototxt", output=workspace.folder)
    path = workspace.solver(net=f'"{imported.net_path}"', base_lr=0.02, stepsize=100)
    solver = caffe.get_solver(str(path))
    losses = []
    for _ in range(40):
        solver.step(1)
        losses.append(float(solver.net.blobs["loss"].data))
    assert np.mean(losses[-4:]) < 0.5 * np.mean(losses[:4])
    accuracy = [float(solver.test_nets[0].forward()["accuracy"]) for _ in range(4)]
    assert np.mean(accuracy) > 0.6


def test_an_imported_caffemodel_is_tested_as_in_the_fork(workspace: Workspace) -> None:
    source = NETS / "activations.prototxt"
    built = caffe.Net.from_proto(net_of(import_net(source).text), caffe.TEST)
    for blobs in built.params.values():  # averages, too, which the fork does not have
        for blob in blobs:
            blob.data[...] = np.random.default_rng(2).standard_normal(blob.shape)
    layers = [name for name in built.params if not name.endswith("_q")]
    fork_caffemodel(built, Path("act.caffemodel"), layers=layers)
    imported = import_files(source, Path("act.caffemodel"), output=workspace.folder)
    assert imported.weights_path
    assert evaluate(imported.net_path, imported.weights_path)["loss"] > 0
    net = caffe.Net(str(imported.net_path), caffe.TEST, weights=str(imported.weights_path))
    net.forward(end="conv1_q")
    conv1, quantized = (net.blobs[name].data for name in ("conv1", "conv1_q"))
    expected = clip_of_the_fork(conv1.astype(float))
    step = np.abs(conv1).max() / 127
    assert np.abs(quantized - expected).mean() < 0.4 * step
    assert np.abs(quantized - conv1).mean() > 0.2 * step


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


def test_command(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    text = (NETS / "activations.prototxt").read_text()
    workspace.write("act.prototxt", text)
    assert main(["import-fork", "act.prototxt"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "layer  type                  weight  bias                 activations",
        "conv1  QuantizedConvolution  ul2q 8  ternary_quantized 7  clip 8",
        "relu1  ReLU                                               fixed_point 6",
        "sum    Eltwise                                            float",
        "net: act_ul2q.prototxt",
    ]
    warnings = printed.err.splitlines()
    assert len(warnings) == 2
    assert all(line.startswith("ul2q: warning: act.prototxt:") for line in warnings)
    assert Path("act_ul2q.prototxt").read_text() == import_net(Document(text)).text
    assert main(["import-fork", "act.prototxt"]) == 1
    assert "--force" in capsys.readouterr().err
    assert main(["import-fork", "act.prototxt", "--force", "--ulq-activations"]) == 0
    assert "ul2q 4" in capsys.readouterr().out
    assert main(["import-fork", "solver.prototxt"]) == 1
    assert "give the net" in capsys.readouterr().err


def test_command_with_weights(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    source = NETS / "methods_deploy.prototxt"
    built = caffe.Net.from_proto(net_of(import_net(source).text), caffe.TEST)
    fork_caffemodel(built, Path("old.caffemodel"))
    workspace.write("deploy.prototxt", source.read_text())
    assert main(["import-fork", "deploy.prototxt", "old.caffemodel", "-o", "new.prototxt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    saved = Path("old.caffemodel").stat().st_size - Path("new.caffemodel").stat().st_size
    assert lines[-2:] == [
        "net: new.prototxt",
        f"weights: new.caffemodel ({saved:,} bytes smaller)",
    ]

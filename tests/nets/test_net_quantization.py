"""Float nets into quantised ones: the text, the net it stands for, and what that net computes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st

import ul2q
from ul2q.cli import main
from ul2q.nets.bundled import prototxt_path
from ul2q.nets.prototxt import PrototxtError
from ul2q.nets.prototxt_text import Document
from ul2q.nets.quantization import NetQuantization, OptionsError
from ul2q.nets.rewriter import LayerChange, default_output, quantize_net

NETS = Path(__file__).parents[2] / "prototxt"
FLOAT_NETS = [
    path for path in sorted(NETS.rglob("*_float.prototxt")) if not path.stem.startswith("solver_")
]
TWO_BITS = NetQuantization(weight_bits=2)
WITH_ACTIVATIONS = NetQuantization(weight_bits=2, activation_bits=8)


def rewrite(text: str, options: NetQuantization = TWO_BITS) -> str:
    return quantize_net(Document(text), options).text


def parsed(text: str) -> caffe_pb2.NetParameter:
    return text_format.Parse(text, caffe_pb2.NetParameter())


def layer(name: str, kind: str, bottoms: str = "", tops: str = "", fields: str = "") -> str:
    """A layer on one line; bottoms and tops are blanks apart, the top is `name` if not given."""
    bottom = [f'bottom: "{blob}"' for blob in bottoms.split()]
    top = [f'top: "{blob}"' for blob in (tops or name).split()]
    parts = [f'layer {{ name: "{name}" type: "{kind}"', *bottom, *top, fields.strip(), "}\n"]
    return " ".join(filter(None, parts))


def conv(name: str, bottom: str, top: str = "", fields: str = "") -> str:
    options = "convolution_param { num_output: 3 kernel_size: 1 } "
    return layer(name, "Convolution", bottom, top, options + fields)


DATA = layer("data", "Input", fields="input_param { shape { dim: [2, 3, 4, 4] } }")


# The text


def without_heading(text: str) -> str:
    """A net of the package without the line that says how `make nets` wrote it."""
    heading, rest = text.split("\n", 1)
    return rest if heading.startswith("# Written by `make nets`") else text


@pytest.mark.parametrize("path", FLOAT_NETS, ids=lambda path: str(path.relative_to(NETS)))
def test_the_float_nets_of_the_package_become_its_2_bit_ones(path: Path) -> None:
    options = NetQuantization(weight_bits=2, last_bits=8)
    packaged = prototxt_path(path.relative_to(NETS).as_posix())
    assert default_output(packaged, options).parent == Path()  # nothing goes into the package
    quantised = path.with_name(default_output(path, options).name)
    assert quantised.name == path.name.replace("_float", "_2bit")
    assert without_heading(quantize_net(path, options).text) == without_heading(
        quantised.read_text(encoding="utf-8")
    )


TEXTS = {
    "lines": (
        'layer {\n  name: "a"  # c\n  type: "InnerProduct"  # d\n  inner_product_param {\n'
        "    num_output: 2\n  }\n  # e\n}\n\n# f",
        'layer {\n  name: "a"  # c\n  type: "QuantizedInnerProduct"  # d\n  inner_product_param {\n'
        "    num_output: 2\n  }\n  # e\n  quantization_param { weight { bits: 2 } }\n}\n\n# f",
    ),
    "one line": (
        "layer { name: 'a' type: 'Convolution' }",
        "layer { name: 'a' type: 'QuantizedConvolution' "
        "quantization_param { weight { bits: 2 } } }",
    ),
    "angle brackets": (
        "layer: <\n\ttype: 'Deconvolution';\n\tname: 'a'\n>",
        "layer: <\n\ttype: 'QuantizedDeconvolution';\n\tname: 'a'\n"
        "\tquantization_param { weight { bits: 2 } }\n>",
    ),
    "CRLF": (
        'layer {\r\n  type: "Embed"\r\n  name: "a"\r\n}\r\n',
        'layer {\r\n  type: "QuantizedEmbed"\r\n  name: "a"\r\n'
        "  quantization_param { weight { bits: 2 } }\r\n}\r\n",
    ),
    "pieces of a string": (
        'layer { type: "Convo" # c\n  "lution" name: "a" }',
        'layer { type: "QuantizedConvolution" name: "a" '
        "quantization_param { weight { bits: 2 } } }",
    ),
    "quantised already": (
        'layer {\n  type: "QuantizedConvolution"\n  quantization_param {\n    weight { bits: 5 }\n'
        "  }  # c\n}\n",
        'layer {\n  type: "QuantizedConvolution"\n'
        "  quantization_param { weight { bits: 2 } }  # c\n}\n",
    ),
    "other layers": (
        'layer { type: "ReLU" name: "a" } layer { type: "InnerProduct" }',
        'layer { type: "ReLU" name: "a" } '
        'layer { type: "QuantizedInnerProduct" quantization_param { weight { bits: 2 } } }',
    ),
}


@pytest.mark.parametrize(("before", "after"), TEXTS.values(), ids=TEXTS)
def test_text(before: str, after: str) -> None:
    assert rewrite(before) == after
    assert rewrite(after) == after


def test_a_quantised_layer_can_become_float_again() -> None:
    float_net = DATA + conv("a", "data") + conv("b", "a")
    options = NetQuantization(weight_bits=2, layers={"a": None, "b": None})
    assert rewrite(rewrite(float_net), options) == float_net


# The options

NO_BIAS = "convolution_param { num_output: 3 bias_term: false }"
OPTIONS = {
    "bits": (NetQuantization(weight_bits=4), "weight { bits: 4 }"),
    "bias": (NetQuantization(weight_bits=4, bias_bits=8), "weight { bits: 4 } bias { bits: 8 }"),
    "binary": (NetQuantization(method="binary"), "weight { method: BINARY }"),
    "ternary": (NetQuantization(method="ternary", weight_bits=2), "weight { method: TERNARY }"),
    "ternary_quantized": (
        NetQuantization(method="ternary_quantized", weight_bits=6),
        "weight { method: TERNARY_QUANTIZED bits: 6 }",
    ),
    "ternary, biases of another width": (
        NetQuantization(method="ternary", bias_bits=8, fit="empirical", granularity="channel"),
        "weight { method: TERNARY fit: EMPIRICAL granularity: CHANNEL } "
        "bias { bits: 8 fit: EMPIRICAL }",
    ),
    "ternary_quantized, biases of its width": (
        NetQuantization(method="ternary_quantized", weight_bits=6, bias_bits=2),
        "weight { method: TERNARY_QUANTIZED bits: 6 } bias { method: TERNARY_QUANTIZED bits: 6 }",
    ),
    "fixed point": (
        NetQuantization(
            method="fixed_point", weight_bits=8, bias_bits=16, rounding="stochastic", shift="zero"
        ),
        "weight { method: FIXED_POINT bits: 8 rounding: STOCHASTIC } "
        "bias { method: FIXED_POINT bits: 16 rounding: STOCHASTIC }",
    ),
    "all of ul2q": (
        NetQuantization(
            weight_bits=2, fit="paper", granularity="channel", shift="zero", gradient="clipped"
        ),
        "weight { bits: 2 fit: PAPER granularity: CHANNEL shift: ZERO gradient: CLIPPED }",
    ),
    "defaults": (
        NetQuantization(weight_bits=2, shift="mean", gradient="identity", rounding="nearest"),
        "weight { bits: 2 }",
    ),
}


@pytest.mark.parametrize(("options", "expected"), OPTIONS.values(), ids=OPTIONS)
def test_options(options: NetQuantization, expected: str) -> None:
    (result,) = parsed(rewrite(conv("a", "data"), options)).layer
    assert text_format.MessageToString(result.quantization_param, as_one_line=True) == expected


BITS = {
    "all": (NetQuantization(weight_bits=2), ["2", "2", "2"]),
    "first and last": (NetQuantization(weight_bits=2, first_bits=8, last_bits=4), ["8", "2", "4"]),
    "single layers": (
        NetQuantization(weight_bits=2, first_bits=8, layers={"a": 3, "b": None}),
        ["3", "float", "2"],
    ),
    "binary": (NetQuantization(method="binary", last_bits=8), ["1", "1", "8"]),
    "ternary": (NetQuantization(method="ternary", last_bits=2, first_bits=3), ["3", "2", "2"]),
    "scale": (
        NetQuantization(method="ternary_quantized", weight_bits=5, last_bits=8, layers={"b": 2}),
        ["2", "2", "8"],
    ),
}


@pytest.mark.parametrize(("options", "expected"), BITS.values(), ids=BITS)
def test_bits_of_each_layer(options: NetQuantization, expected: list[str]) -> None:
    twins = [
        conv("a", "data", fields=f"include {{ phase: {phase} }}") for phase in ("TRAIN", "TEST")
    ]
    net = DATA + "".join(twins) + conv("b", "a") + layer("ip", "InnerProduct", "b")
    result = quantize_net(Document(net), options)
    assert [row.bits for row in result.rows] == expected
    methods = [
        ("ul2q" if code not in ("1", "2") else options.method) if code != "float" else ""
        for code in expected
    ]
    assert [row.method for row in result.rows] == methods
    layers = parsed(result.text).layer
    assert layers[1].quantization_param == layers[2].quantization_param


def test_rows_say_what_became_of_each_layer() -> None:
    net = (
        DATA
        + conv("c1", "data", fields='param { name: "shared" }')
        + layer("r", "ReLU", "c1", "c1")
        + conv("c2", "c1", fields='param { name: "shared" }')
        + layer("e", "QuantizedEmbed", "c2", fields="embed_param { bias_term: false }")
        + layer("lstm", "LSTM", "e")
        + layer("ip", "InnerProduct", "lstm")
    )
    options = NetQuantization(
        weight_bits=2, bias_bits=8, activation_bits=4, activation_method="clip", layers={"ip": None}
    )
    assert quantize_net(Document(net), options).rows == (
        LayerChange(
            name="c1",
            old_type="Convolution",
            new_type="QuantizedConvolution",
            weight_bits=2,
            bias_bits=8,
            method="ul2q",
            reason="--weight-bits",
            note="input 'data' stays float",
        ),
        LayerChange(
            name="c1_q",
            old_type="",
            new_type="QuantizedActivation",
            activation_bits=4,
            method="clip",
            reason="read by a quantised layer",
            note="unsigned",
        ),
        LayerChange(
            name="c2",
            old_type="Convolution",
            new_type="QuantizedConvolution",
            weight_bits=2,
            bias_bits=8,
            method="ul2q",
            reason="--weight-bits",
        ),
        LayerChange(
            name="e",
            old_type="QuantizedEmbed",
            new_type="QuantizedEmbed",
            weight_bits=2,
            method="ul2q",
            reason="--weight-bits",
            note="was quantised already",
        ),
        LayerChange(
            name="e_q",
            old_type="",
            new_type="QuantizedActivation",
            activation_bits=4,
            method="clip",
            reason="read by a quantised layer",
        ),
        LayerChange(
            name="lstm",
            old_type="LSTM",
            new_type="QuantizedLSTM",
            weight_bits=2,
            bias_bits=8,
            method="ul2q",
            reason="--weight-bits",
        ),
        LayerChange(name="ip", old_type="InnerProduct", new_type="InnerProduct", reason="--layer"),
    )


# Which width a layer gets

BOTH_ENDS = NetQuantization(weight_bits=2, first_bits=4, last_bits=8)
WITH_STAGES = "include { phase: TRAIN } "
# A net; the bits of each layer with weights, by its name, with --first-bits 4 and --last-bits 8.
GRAPHS: dict[str, tuple[str, dict[str, str]]] = {
    "two heads, of which one ends before the other": (
        DATA
        + conv("trunk", "data")
        + conv("box", "trunk")
        + conv("head", "trunk")
        + layer("r", "ReLU", "head", "head")
        + conv("score", "head")
        + layer("p", "Softmax", "score"),
        {"trunk": "4", "box": "8", "head": "2", "score": "8"},
    ),
    "two inputs": (
        DATA
        + layer("data2", "Input", fields="input_param { shape { dim: [2, 3, 4, 4] } }")
        + conv("a", "data")
        + conv("b", "data2")
        + layer("sum", "Eltwise", "a b")
        + conv("c", "sum"),
        {"a": "4", "b": "4", "c": "8"},
    ),
    "in place, by way of other layers with parameters": (
        DATA
        + conv("a", "data")
        + layer("bn", "BatchNorm", "a", "a")
        + layer("s", "Scale", "a", "a")
        + conv("b", "a"),
        {"a": "4", "bn": "float", "s": "float", "b": "8"},
    ),
    "a head of training alone": (
        DATA
        + conv("a", "data")
        + conv("extra", "a", fields=WITH_STAGES)
        + conv("b", "a")
        + conv("c", "b"),
        {"a": "4", "extra": "8", "b": "2", "c": "8"},
    ),
    "one layer": (DATA + conv("a", "data"), {"a": "8"}),
    "a layer that nothing reads comes first": (
        DATA + conv("early", "data") + conv("a", "data") + conv("b", "a"),
        {"early": "8", "a": "4", "b": "8"},
    ),
    "constant upsampling does not count": (
        DATA
        + conv("score", "data")
        + layer(
            "up",
            "Deconvolution",
            "score",
            fields="param { lr_mult: 0 } convolution_param { num_output: 3 group: 3 "
            'kernel_size: 4 stride: 2 bias_term: false weight_filler { type: "bilinear" } }',
        ),
        {"score": "8", "up": "float"},
    ),
}


@pytest.mark.parametrize(("net", "expected"), GRAPHS.values(), ids=GRAPHS)
def test_first_and_last_layers_follow_from_the_graph(net: str, expected: dict[str, str]) -> None:
    rows = quantize_net(Document(net), BOTH_ENDS).rows
    assert {row.name: row.bits for row in rows} == expected


# Fields of a Deconvolution, and whether it is left alone.
UPSAMPLINGS = [
    ("param { lr_mult: 0 } convolution_param { num_output: 3 kernel_size: 4 bias_term: false }", 1),
    (
        "param { lr_mult: 0 } convolution_param { num_output: 3 kernel_size: 4 "
        'weight_filler { type: "bilinear" } }',
        1,
    ),
    ("param { lr_mult: 0 } convolution_param { num_output: 3 kernel_size: 4 }", 0),
    ("convolution_param { num_output: 3 kernel_size: 4 bias_term: false }", 0),
    ("param { lr_mult: 1 } convolution_param { num_output: 3 kernel_size: 4 bias_term: false }", 0),
]


@pytest.mark.parametrize(("fields", "constant"), UPSAMPLINGS)
def test_constant_upsampling_is_left_alone(fields: str, constant: int) -> None:
    up = layer("up", "Deconvolution", "a", fields=fields)
    net = DATA + conv("a", "data", fields="param { lr_mult: 0 }") + up
    result = quantize_net(Document(net), WITH_ACTIVATIONS)
    assert [row.bits for row in result.rows if row.weight_bits or row.name == "up"] == [
        "2",
        "float" if constant else "2",
    ]
    assert (up in result.text) == bool(constant)
    asked = NetQuantization(weight_bits=2, layers={"up": 5})
    assert quantize_net(Document(net), asked).rows[-1].bits == "5"


@pytest.mark.parametrize("kind", ["DepthwiseConvolution", "ConvolutionDepthwise"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("num_output: 3 kernel_size: 3", "num_output: 3 kernel_size: 3 group: 3"),
        ("num_output: 3 group: 1 kernel_size: 3", "num_output: 3 group: 3 kernel_size: 3"),
    ],
)
def test_depthwise_convolutions_of_forks(kind: str, options: str, expected: str) -> None:
    net = DATA + layer("dw", kind, "data", fields=f"convolution_param {{ {options} }}")
    result = quantize_net(Document(net), TWO_BITS)
    made = caffe.Net.from_proto(parsed(result.text), caffe.TEST)
    assert made.params["dw"][0].data.shape == (3, 1, 3, 3)
    assert f"convolution_param {{ {expected} }}" in result.text
    assert [(row.old_type, row.new_type) for row in result.rows] == [(kind, "QuantizedConvolution")]
    float_again = NetQuantization(weight_bits=2, layers={"dw": None})
    assert quantize_net(Document(net), float_again).text == net


def test_every_layer_is_told() -> None:
    net = (
        DATA
        + conv("a", "data")
        + layer("p", "PReLU", "a", "a")
        + layer("r", "ReLU", "a", "a")
        + layer("r2", "ReLU", "a", "b")
    )
    result = quantize_net(Document(net), TWO_BITS)
    told = [(row.name, row.bits, row.reason) for row in result.rows]
    assert told == [("a", "2", "--weight-bits"), ("p", "float", "a few numbers a channel")]
    assert result.others == (("ReLU", 2), ("Input", 1))


# engine: CAFFE

ENGINES = (
    DATA
    + layer("a", "Convolution", "data", fields="convolution_param { num_output: 3 engine: CAFFE }")
    + layer("r", "ReLU", "a", "a", "relu_param { engine: CAFFE }")
    + layer("p", "Pooling", "a", fields="pooling_param { engine: DEFAULT kernel_size: 1 }")
)


def test_engines_are_told_and_dropped_if_asked() -> None:
    kept = quantize_net(Document(ENGINES), TWO_BITS)
    assert kept.text.count("engine: CAFFE") == 2
    (note,) = kept.notes
    assert note.startswith("2 layers with engine: CAFFE")
    assert "--drop-engine" in note
    dropped = quantize_net(Document(ENGINES), dataclasses.replace(TWO_BITS, drop_engine=True))
    assert dropped.notes == ("engine: CAFFE is left out of 2 layers",)
    expected = parsed(kept.text)
    expected.layer[1].convolution_param.ClearField("engine")
    expected.layer[2].relu_param.ClearField("engine")
    assert parsed(dropped.text) == expected
    assert "engine: DEFAULT" in dropped.text
    assert not quantize_net(Document(DATA + conv("a", "data")), TWO_BITS).notes


def test_the_command_drops_engines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "engines.prototxt").write_text(ENGINES)
    command = [
        "quantize",
        "engines.prototxt",
        "--weight-bits",
        "2",
        "-o",
        "out.prototxt",
        "--force",
    ]
    assert main(command) == 0
    assert "note: 2 layers with engine: CAFFE" in capsys.readouterr().out
    assert main([*command, "--drop-engine"]) == 0
    assert "note: engine: CAFFE is left out of 2 layers" in capsys.readouterr().out
    assert "CAFFE" not in (folder / "out.prototxt").read_text()


# Nets of 2013/14

OLD = """
input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1"  # a comment
         blobs_lr: 1 blobs_lr: 2 convolution_param { num_output: 4 kernel_size: 3 } }
layers { name: "fc" type: INNER_PRODUCT bottom: "conv1" top: "fc"
         inner_product_param { num_output: 2 } }
"""


def test_old_nets_are_upgraded_on_the_way() -> None:
    result = quantize_net(Document(OLD), NetQuantization(weight_bits=2, last_bits=8))
    assert [(row.name, row.new_type, row.bits) for row in result.rows] == [
        ("conv1", "QuantizedConvolution", "2"),
        ("fc", "QuantizedInnerProduct", "8"),
    ]
    assert any("2013/14" in note and "comments" in note for note in result.notes)
    net = caffe.Net.from_proto(parsed(result.text), caffe.TEST)
    assert {name: [blob.data.shape for blob in blobs] for name, blobs in net.params.items()} == {
        "conv1": [(4, 3, 3, 3), (4,)],
        "fc": [(2, 144), (2,)],
    }
    assert [param.lr_mult for param in parsed(result.text).layer[1].param] == [1, 2]


# Activations


def test_activation_layers_look_like_their_neighbours() -> None:
    net = (
        'layer {\n\tname: "c1"\n\ttype: "Convolution"\n\tbottom: "data"\n\ttop: "c1"\n}\n'
        'layer {\n\tname: "r1"\n\ttype: "ReLU"\n\tbottom: "c1"\n\ttop: "c1"\n}  # c\n\n# d\n'
        'layer { name: "c2" type: "Convolution" bottom: "c1" top: "c2" }\n'
        'layer { name: "c3" type: "Convolution" bottom: "c2" top: "c3" }\n'
    )
    assert rewrite(DATA + net, WITH_ACTIVATIONS) == DATA + (
        'layer {\n\tname: "c1"\n\ttype: "QuantizedConvolution"\n\tbottom: "data"\n\ttop: "c1"\n'
        "\tquantization_param { weight { bits: 2 } }\n}\n"
        'layer {\n\tname: "r1"\n\ttype: "ReLU"\n\tbottom: "c1"\n\ttop: "c1"\n}  # c\n'
        'layer {\n\tname: "c1_q"\n\ttype: "QuantizedActivation"\n\tbottom: "c1"\n\ttop: "c1_q"\n'
        "\tquantization_param { activation { bits: 8 signed: false } }\n}\n\n# d\n"
        'layer { name: "c2" type: "QuantizedConvolution" bottom: "c1_q" top: "c2" '
        "quantization_param { weight { bits: 2 } } }\n"
        'layer { name: "c2_q" type: "QuantizedActivation" bottom: "c2" top: "c2_q" '
        "quantization_param { activation { bits: 8 } } }\n"
        'layer { name: "c3" type: "QuantizedConvolution" bottom: "c2_q" top: "c3" '
        "quantization_param { weight { bits: 2 } } }\n"
    )


def wiring(text: str) -> list[str]:
    """Each layer as "name: bottoms -> tops", with its rules, without the layer data."""
    lines = []
    for one in parsed(text).layer:
        if one.type == "Input":
            continue
        rules = caffe_pb2.LayerParameter(include=one.include, exclude=one.exclude)
        text = text_format.MessageToString(rules, as_one_line=True)
        line = f"{one.name}: {' '.join(one.bottom)} -> {' '.join(one.top)} {text}"
        lines.append(line.rstrip())
    return lines


TRAIN, TEST = "include { phase: TRAIN }", "include { phase: TEST }"
relu = layer("r", "ReLU", "a", "a")
WIRINGS = {
    "two readers and a sum, as in a residual net": (
        conv("a", "data")
        + relu
        + conv("b1", "a")
        + layer("rb", "ReLU", "b1", "b1")
        + conv("b2", "b1")
        + layer("sum", "Eltwise", "a b2")
        + layer("rs", "ReLU", "sum", "sum")
        + conv("c", "sum"),
        [
            "a: data -> a",
            "r: a -> a",
            "a_q: a -> a_q",
            "b1: a_q -> b1",
            "rb: b1 -> b1",
            "b1_q: b1 -> b1_q",
            "b2: b1_q -> b2",
            "sum: a_q b2 -> sum",
            "rs: sum -> sum",
            "sum_q: sum -> sum_q",
            "c: sum_q -> c",
        ],
    ),
    "a reader before the blob is written in place": (
        conv("a", "data") + conv("b", "a") + relu + conv("c", "a"),
        [
            "a: data -> a",
            "a_q: a -> a_q",
            "b: a_q -> b",
            "r: a -> a",
            "a_q2: a -> a_q2",
            "c: a_q2 -> c",
        ],
    ),
    "losses and accuracies": (
        conv("a", "data")
        + layer("loss", "EuclideanLoss", "a a")
        + layer("acc", "Accuracy", "a data", fields=TEST)
        + conv("b", "a"),
        [
            "a: data -> a",
            "a_q: a -> a_q",
            "loss: a_q a_q -> loss",
            "acc: a_q data -> acc include { phase: TEST }",
            "b: a_q -> b",
        ],
    ),
    "inputs stay, reshaped or not": (
        layer("flat", "Flatten", "data") + layer("ip", "InnerProduct", "flat") + conv("b", "data"),
        ["flat: data -> flat", "ip: flat -> ip", "b: data -> b"],
    ),
    "indices stay": (
        layer("index", "ArgMax", "data") + layer("e", "Embed", "index"),
        ["index: data -> index", "e: index -> e"],
    ),
    "several bottoms": (
        conv("a", "data") + conv("b", "data") + layer("c", "Convolution", "a b", "c d"),
        ["a: data -> a", "a_q: a -> a_q", "b: data -> b", "b_q: b -> b_q", "c: a_q b_q -> c d"],
    ),
    "no quantised reader": (
        conv("a", "data") + layer("pool", "Pooling", "a"),
        ["a: data -> a", "pool: a -> pool"],
    ),
    "names that are taken": (
        conv("a", "data") + conv("a_q", "a", "a_q2"),
        ["a: data -> a", "a_q3: a -> a_q3", "a_q: a_q3 -> a_q2"],
    ),
    "a branch for training": (
        conv("a", "data", fields=TRAIN) + conv("b", "a", fields=TRAIN),
        [
            "a: data -> a include { phase: TRAIN }",
            "a_q: a -> a_q include { phase: TRAIN }",
            "b: a_q -> b include { phase: TRAIN }",
        ],
    ),
    "a reader for training": (
        conv("a", "data") + relu + conv("b", "a", fields=TRAIN),
        [
            "a: data -> a",
            "r: a -> a",
            "a_q: a -> a_q include { phase: TRAIN }",
            "b: a_q -> b include { phase: TRAIN }",
        ],
    ),
    "a writer for each phase": (
        conv("a", "data", fields=TRAIN) + conv("a", "data", fields=TEST) + conv("b", "a"),
        [
            "a: data -> a include { phase: TRAIN }",
            "a: data -> a include { phase: TEST }",
            "a_q: a -> a_q",
            "b: a_q -> b",
        ],
    ),
    "in place while training": (
        conv("a", "data") + layer("d", "Dropout", "a", "a", TRAIN) + conv("b", "a"),
        [
            "a: data -> a",
            "a_q: a -> a_q",
            "d: a_q -> a_q include { phase: TRAIN }",
            "b: a_q -> b",
        ],
    ),
    "a dropout": (
        conv("a", "data") + relu + layer("d", "Dropout", "a") + conv("b", "d"),
        ["a: data -> a", "r: a -> a", "a_q: a -> a_q", "d: a_q -> d", "b: d -> b"],
    ),
    "a dropout in place": (
        conv("a", "data") + relu + layer("d", "Dropout", "a", "a") + conv("b", "a"),
        ["a: data -> a", "r: a -> a", "a_q: a -> a_q", "d: a_q -> a_q", "b: a_q -> b"],
    ),
    "two dropouts and shapes": (
        conv("a", "data")
        + layer("d", "Dropout", "a", "a")
        + layer("f", "Flatten", "a")
        + layer("e", "Dropout", "f")
        + layer("g", "Reshape", "e")
        + conv("b", "g"),
        [
            "a: data -> a",
            "a_q: a -> a_q",
            "d: a_q -> a_q",
            "f: a_q -> f",
            "e: f -> e",
            "g: e -> g",
            "b: g -> b",
        ],
    ),
    "a dropout for each phase": (
        conv("a", "data")
        + layer("d", "Dropout", "a", "d", TRAIN)
        + layer("d", "Dropout", "a", "d", TEST)
        + conv("b", "d"),
        [
            "a: data -> a",
            "a_q: a -> a_q",
            "d: a_q -> d include { phase: TRAIN }",
            "d: a_q -> d include { phase: TEST }",
            "b: d -> b",
        ],
    ),
    "a dropout of the input": (
        layer("d", "Dropout", "data") + conv("a", "d"),
        ["d: data -> d", "a: d -> a"],
    ),
    "a dropout of one of two readers": (
        conv("a", "data") + layer("d", "Dropout", "a") + conv("b", "d") + conv("c", "a"),
        ["a: data -> a", "a_q: a -> a_q", "d: a_q -> d", "b: d -> b", "c: a_q -> c"],
    ),
    "a dropout with a layer in place behind it": (
        conv("a", "data") + layer("d", "Dropout", "a", "a") + relu + conv("b", "a"),
        ["a: data -> a", "d: a -> a", "r: a -> a", "a_q: a -> a_q", "b: a_q -> b"],
    ),
    "a dropout with readers before a layer in place": (
        conv("a", "data")
        + layer("d", "Dropout", "a", "a")
        + conv("b", "a")
        + relu
        + conv("c", "a"),
        [
            "a: data -> a",
            "d: a -> a",
            "a_q: a -> a_q",
            "b: a_q -> b",
            "r: a -> a",
            "a_q2: a -> a_q2",
            "c: a_q2 -> c",
        ],
    ),
    "a dropout that is pooled": (
        conv("a", "data")
        + layer("d", "Dropout", "a", "a")
        + layer("p", "Pooling", "a")
        + conv("b", "p"),
        ["a: data -> a", "d: a -> a", "p: a -> p", "p_q: p -> p_q", "b: p_q -> b"],
    ),
    "a dropout before the phases part": (
        conv("a", "data", fields=TRAIN)
        + layer("d", "Dropout", "a", "a", TRAIN)
        + conv("a", "data", fields=TEST)
        + conv("b", "a"),
        [
            "a: data -> a include { phase: TRAIN }",
            "d: a -> a include { phase: TRAIN }",
            "a: data -> a include { phase: TEST }",
            "a_q: a -> a_q",
            "b: a_q -> b",
        ],
    ),
    "a dropout behind a quantised activation": (
        conv("a", "data")
        + layer("q", "QuantizedActivation", "a", "x", "quantization_param { activation { } }")
        + layer("d", "Dropout", "x", "x")
        + conv("b", "x"),
        ["a: data -> a", "q: a -> x", "d: x -> x", "b: x -> b"],
    ),
    "a reader for each phase": (
        conv("a", "data") + conv("b", "a", fields=TRAIN) + conv("b", "a", fields=TEST),
        [
            "a: data -> a",
            "a_q: a -> a_q",
            "b: a_q -> b include { phase: TRAIN }",
            "b: a_q -> b include { phase: TEST }",
        ],
    ),
    "a chain for each phase": (
        conv("a", "data", fields=TRAIN)
        + conv("b", "a", fields=TRAIN)
        + conv("a", "data", fields=TEST)
        + conv("b", "a", fields=TEST),
        [
            "a: data -> a include { phase: TRAIN }",
            "b: a -> b include { phase: TRAIN }",
            "a: data -> a include { phase: TEST }",
            "b: a -> b include { phase: TEST }",
        ],
    ),
    "a stage": (
        conv("a", "data") + conv("b", "a", fields='include { stage: "s" not_stage: "t" }'),
        [
            "a: data -> a",
            'a_q: a -> a_q include { stage: "s" not_stage: "t" }',
            'b: a_q -> b include { stage: "s" not_stage: "t" }',
        ],
    ),
    "a level": (
        conv("a", "data") + conv("b", "a", fields="exclude { min_level: 2 }"),
        [
            "a: data -> a",
            "a_q: a -> a_q exclude { min_level: 2 }",
            "b: a_q -> b exclude { min_level: 2 }",
        ],
    ),
    "a reader that sees another version while training": (
        conv("a", "data")
        + layer("d", "Dropout", "a", "a", TRAIN)
        + conv("b", "a", fields=TEST)
        + layer("p", "Pooling", "a"),
        [
            "a: data -> a",
            "a_q: a -> a_q",
            "d: a_q -> a_q include { phase: TRAIN }",
            "b: a_q -> b include { phase: TEST }",
            "p: a_q -> p",
        ],
    ),
    "names to be quoted": (
        layer("c", "Convolution", "data", 'β\\"') + conv("b", 'β\\"'),
        ['c: data -> β"', 'β"_q: β" -> β"_q', 'b: β"_q -> b'],
    ),
    "quantised already": (
        conv("a", "data")
        + layer("q", "QuantizedActivation", "a", "x", "quantization_param { activation { } }")
        + conv("b", "x")
        + conv("c", "a"),
        ["a: data -> a", "a_q: a -> a_q", "q: a -> x", "b: x -> b", "c: a_q -> c"],
    ),
}


@pytest.mark.parametrize(("net", "expected"), WIRINGS.values(), ids=WIRINGS)
def test_wiring(net: str, expected: list[str]) -> None:
    text = rewrite(DATA + net, WITH_ACTIVATIONS)
    assert wiring(text) == expected
    assert "\\3" not in text  # as an escaped β has it
    check_against_source(DATA + net, text)


def check_against_source(source: str, result: str) -> None:
    """`result` is `source` but for what was asked for, and leaves no blob without a reader."""
    old, new = parsed(source), parsed(result)
    known = {(one.name, one.type) for one in old.layer}
    added = [one for one in new.layer if (one.name, one.type) not in known]
    added = [one for one in added if one.type == "QuantizedActivation"]
    blobs = {one.top[0]: one.bottom[0] for one in added}
    assert len(blobs) == len(added)
    stripped = caffe_pb2.NetParameter()
    stripped.CopyFrom(new)
    del stripped.layer[:]
    for one in new.layer:
        if one in added:
            continue
        copy = stripped.layer.add()
        copy.CopyFrom(one)
        copy.bottom[:] = [blobs.get(blob, blob) for blob in one.bottom]
        if one.type == "Dropout":  # which moves with its blob where it is in place
            copy.top[:] = [blobs.get(blob, blob) for blob in one.top]
        if one.HasField("quantization_param") and one.type != "QuantizedActivation":
            copy.type = one.type.removeprefix("Quantized")
    for one in (*stripped.layer, *old.layer):
        one.ClearField("quantization_param")
    assert stripped == old
    for phase in (caffe_pb2.TRAIN, caffe_pb2.TEST):
        outputs = {blobs.get(blob, blob) for blob in unread(new, phase)}
        assert outputs == set(unread(old, phase))


def check_reads(old: caffe_pb2.NetParameter, new: caffe_pb2.NetParameter, phase: int) -> None:
    """Layers read what they read, but quantised: quantised layers all but the input.

    Each blob is followed as the list of layers that made it what it is; those that add a
    QuantizedActivation are passed over to compare.
    """
    traces = [list(traced(net, phase)) for net in (old, new)]
    kept = [one for one in traces[1] if not is_added(one[0], old)]
    plain = [(one.name, [without_added(t, old) for t in read]) for one, read in kept]
    assert plain == [(one.name, read) for one, read in traces[0]]
    for one, read in kept:
        if one.type.startswith(("QuantizedConv", "QuantizedInner")):
            assert all(is_input(trace) or "QuantizedActivation" in kinds(trace) for trace in read)


def traced(net: caffe_pb2.NetParameter, phase: int) -> Any:
    """Each layer of a phase with the trace of each bottom: (kind, name, traces of its bottoms)."""
    blobs: dict[str, Any] = {}
    for one in net.layer:
        if any(rule.phase != phase for rule in one.include):
            continue
        read = [blobs[blob] for blob in one.bottom]
        yield one, read
        blobs |= dict.fromkeys(one.top, (one.type, one.name, tuple(read)))


def is_added(one: caffe_pb2.LayerParameter, old: caffe_pb2.NetParameter) -> bool:
    return one.type == "QuantizedActivation" and one.name not in {it.name for it in old.layer}


def without_added(trace: Any, old: caffe_pb2.NetParameter) -> Any:
    kind, name, read = trace
    if kind == "QuantizedActivation" and name not in {it.name for it in old.layer}:
        return without_added(read[0], old)
    kind = kind.removeprefix("Quantized")
    return (kind, name, tuple(without_added(one, old) for one in read))


PASSING = ("Dropout", "Flatten", "QuantizedActivation")  # the values stay on their levels


def kinds(trace: Any) -> list[str]:
    """The layers that only pass values on, back from a bottom, and the one behind them."""
    kind, _, read = trace
    return [kind, *(kinds(read[0]) if kind in PASSING else [])]


def is_input(trace: Any) -> bool:
    kind, _, read = trace
    return kind == "Input" or (kind in PASSING and is_input(read[0]))


def unread(net: caffe_pb2.NetParameter, phase: int) -> list[str]:
    """The outputs in a phase, at level 0 without stages; each bottom must be there."""
    outputs: dict[str, bool] = dict.fromkeys(net.input, True)
    for one in net.layer:
        if any(rule.HasField("phase") and rule.phase != phase for rule in one.include):
            continue
        if any(rule.stage for rule in one.include):
            continue
        for blob in one.bottom:
            assert blob in outputs, f"{blob} is read before it is written"
        fresh = set(one.top) - set(one.bottom)
        assert not fresh & set(outputs), "a blob is written anew"
        outputs |= dict.fromkeys(one.bottom, False)
        outputs |= dict.fromkeys(one.top, True)
    return [blob for blob, is_unread in outputs.items() if is_unread]


@st.composite
def nets(draw: st.DrawFn) -> str:
    """Layers in place and not, with one reader or several, in one phase or both."""
    text = DATA
    blobs = {"data": ""}  # and the rule of the layer that made it
    for i in range(draw(st.integers(1, 8))):
        bottom = draw(st.sampled_from(sorted(blobs)))
        rule = blobs[bottom] or draw(st.sampled_from(["", "", "", TRAIN, TEST]))
        kinds = ["Convolution", "InnerProduct", "ReLU", "Pooling", "Eltwise", "Dropout", "Flatten"]
        kind = draw(st.sampled_from(kinds))
        if kind == "Flatten" and bottom == "data":  # an input still, in the phases without a ReLU
            continue
        if kind in ("ReLU", "Dropout") and bottom != "data" and draw(st.booleans()):
            text += layer(f"l{i}", kind, bottom, bottom, rule)
            continue
        bottoms = f"{bottom} {bottom}" if kind == "Eltwise" else bottom
        text += layer(f"l{i}", kind, bottoms, f"b{i}", rule)
        blobs[f"b{i}"] = rule
    return text


@settings(deadline=None)
@given(nets())
def test_any_net_keeps_its_layers_and_outputs(net: str) -> None:
    try:
        text = rewrite(net, WITH_ACTIVATIONS)
    except PrototxtError:
        assert "Convolution" not in net
        assert "InnerProduct" not in net
        return
    check_against_source(net, text)
    for phase in (caffe_pb2.TRAIN, caffe_pb2.TEST):
        check_reads(parsed(net), parsed(text), phase)
    assert rewrite(text, WITH_ACTIVATIONS) == text


SIGNS = {
    "convolution": ("", True),
    "ReLU": (layer("x", "ReLU", "a", "a"), False),
    "ReLU with a slope": (
        layer("x", "ReLU", "a", "a", "relu_param { negative_slope: 0.1 }"),
        True,
    ),
    "scale after a ReLU": (layer("r", "ReLU", "a", "a") + layer("x", "Scale", "a", "a"), True),
    "pooling, dropout, LRN after a ReLU": (
        layer("r", "ReLU", "a", "a")
        + layer("p", "Pooling", "a", "a1")
        + layer("n", "LRN", "a1")
        + layer("d", "Dropout", "n", "n")
        + layer("a2", "Flatten", "n"),
        False,
    ),
    "sigmoid": (layer("x", "Sigmoid", "a", "a"), False),
    "tanh": (layer("x", "TanH", "a", "a"), True),
    "square": (layer("x", "Power", "a", "a", "power_param { power: 2 }"), False),
    "power": (layer("x", "Power", "a", "a", "power_param { scale: 2 }"), True),
    "ReLU6": (layer("x", "Clip", "a", "a", "clip_param { min: 0 max: 6 }"), False),
    "clip": (layer("x", "Clip", "a", "a", "clip_param { min: -1 max: 6 }"), True),
    "sum": (layer("r", "ReLU", "a") + layer("x", "Eltwise", "r r"), False),
    "sum with a float": (layer("r", "ReLU", "a") + layer("x", "Eltwise", "r a"), True),
    "difference": (
        layer("r", "ReLU", "a")
        + layer("x", "Eltwise", "r r", fields="eltwise_param { coeff: [1, -1] }"),
        True,
    ),
    "concatenation": (layer("r", "ReLU", "a") + layer("x", "Concat", "r r"), False),
    "concatenation with a float": (layer("r", "ReLU", "a") + layer("x", "Concat", "a r"), True),
    "ReLU while training": (layer("x", "ReLU", "a", "a", TRAIN), True),
}


@pytest.mark.parametrize(("chain", "signed"), SIGNS.values(), ids=SIGNS)
def test_codes_have_a_sign_where_values_may_be_negative(chain: str, signed: bool) -> None:
    net = DATA + conv("a", "data") + chain
    last = parsed(net).layer[-1].top[0]
    net += conv("out", last)
    layers = parsed(rewrite(net, WITH_ACTIVATIONS)).layer
    (activation,) = (one for one in layers if one.type == "QuantizedActivation")
    assert activation.quantization_param.activation.signed == signed
    for method, knows_unsigned in (("clip", True), ("binary", False)):
        options = NetQuantization(
            weight_bits=2,
            activation_bits=8 if knows_unsigned else None,
            activation_method=method,
        )
        layers = parsed(rewrite(net, options)).layer
        (activation,) = (one for one in layers if one.type == "QuantizedActivation")
        assert activation.quantization_param.activation.signed == (signed or not knows_unsigned)


def test_quantised_activations_get_the_new_options() -> None:
    net = DATA + conv("a", "data") + layer("r", "ReLU", "a", "a") + conv("b", "a")
    text = rewrite(net, WITH_ACTIVATIONS)
    options = dataclasses.replace(WITH_ACTIVATIONS, activation_bits=4)
    assert rewrite(text, options) == text.replace("activation { bits: 8", "activation { bits: 4")
    assert rewrite(text, TWO_BITS) == text
    rows = quantize_net(Document(text), options).rows
    assert [row.note for row in rows if row.activation_bits] == ["unsigned, was quantised already"]


# What is refused

BAD_OPTIONS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["weights: bits is missing", "ul2q", "1 to 16"]),
    ({"weight_bits": 0}, ["weights: bits is 0", "1 to 16"]),
    ({"weight_bits": 2, "bias_bits": 17}, ["biases: bits is 17", "1 to 16"]),
    ({"weight_bits": 2, "first_bits": 17}, ["first layer: bits is 17"]),
    ({"method": "ternary", "last_bits": 17}, ["last layer: bits is 17"]),
    ({"weight_bits": 2, "layers": {"a": 20}}, ["layer 'a': bits is 20"]),
    ({"weight_bits": 2, "method": "twn"}, ["weights: method is", "twn", "ternary_quantized"]),
    ({"weight_bits": 2, "fit": "best"}, ["fit is", "best", "exact, paper, empirical"]),
    ({"weight_bits": 2, "granularity": "row"}, ["granularity is", "row", "channel"]),
    ({"weight_bits": 2, "shift": "one"}, ["shift is", "one", "mean, zero"]),
    ({"weight_bits": 2, "rounding": "up"}, ["rounding is", "up", "stochastic"]),
    ({"weight_bits": 2, "gradient": "none"}, ["gradient is", "none", "identity, clipped"]),
    ({"method": "ternary", "weight_bits": 4}, ["bits is 4", "must be 2", "ternary"]),
    ({"method": "ternary_quantized"}, ["bits is missing"]),
    ({"method": "clip", "weight_bits": 4, "fit": "paper"}, ["fit is paper", "clip"]),
    ({"method": "clip", "weight_bits": 4, "shift": "mean"}, ["shift is mean", "clip"]),
    ({"weight_bits": 4, "rounding": "stochastic"}, ["rounding is stochastic", "ul2q"]),
    ({"weight_bits": 4, "activation_method": "clip"}, ["activations: bits is missing", "clip"]),
    (
        {"weight_bits": 4, "activation_method": "binary", "activation_bits": 8},
        ["activations: bits is 8", "must be 1"],
    ),
    ({"weight_bits": 4, "activation_method": "relu"}, ["activations: method is", "relu"]),
]


@pytest.mark.parametrize(("options", "words"), BAD_OPTIONS)
def test_bad_options(options: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(OptionsError) as caught:
        NetQuantization(**options)
    for word in words:
        assert word in str(caught.value)


BAD_NETS = {
    "no weights": (DATA + layer("r", "ReLU", "data"), ["net.prototxt:", "none of", "InnerProduct"]),
    "of both formats": (
        'layers { type: CONVOLUTION } layer { type: "ReLU" }',
        ["net.prototxt: ", "`layers`", "beside `layer`"],
    ),
    "of the fork": (
        'layer {\n type: "Convolution" weights_compress: "ULQ" }',
        [":2:22:", "weights_compress", "import-fork"],
    ),
    "a solver": ("base_lr: 0.1", [":1:1:", "this is a solver"]),
    "unknown field": (conv("a", "data", fields="weight: 1"), ["no field 'weight'"]),
    "layers in a list": ('layer: [{ name: "a" }, { name: "b" }]', [":1:1:", "list"]),
    "a blob that nobody writes": (conv("a", "dat"), ["'a'", "'dat'"]),
    "no text": ("layer {", [":1:8:", "expected }"]),
}


@pytest.mark.parametrize(("net", "words"), BAD_NETS.values(), ids=BAD_NETS)
def test_bad_nets(net: str, words: list[str]) -> None:
    with pytest.raises(PrototxtError) as caught:
        quantize_net(Document(net, "net.prototxt"), WITH_ACTIVATIONS)
    for word in words:
        assert word in str(caught.value)


def test_unknown_layer() -> None:
    net = DATA + conv("conv1", "data") + conv("ip", "conv1")
    with pytest.raises(OptionsError, match=r"no layer with weights is named 'conv2'.*'conv1'"):
        rewrite(net, NetQuantization(weight_bits=2, layers={"conv2": 4}))
    with pytest.raises(FileNotFoundError, match="gone"):
        ul2q.quantize_net("gone.prototxt", ul2q.NetQuantization(weight_bits=2))


# The command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net_float.prototxt").write_text(DATA + conv("a", "data") + conv("b", "a"))
    return tmp_path


NAMES = [
    ("net_float.prototxt", {"weight_bits": 2}, "net_2bit.prototxt"),
    ("x/net.pt", {"weight_bits": 2, "last_bits": 8}, "x/net_2bit.pt"),
    ("net", {"method": "ternary"}, "net_ternary"),
    ("net", {"method": "ternary_quantized", "weight_bits": 8}, "net_ternary_quantized"),
    ("net", {"method": "clip", "weight_bits": 4, "activation_bits": 8}, "net_clip_4bit_act8bit"),
    ("net", {"method": "binary", "activation_method": "binary"}, "net_binary_act1bit"),
]


@pytest.mark.parametrize(("net", "options", "expected"), NAMES)
def test_default_output(net: str, options: dict[str, Any], expected: str) -> None:
    assert default_output(Path(net), NetQuantization(**options)) == Path(expected)


def test_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--weight-bits 2 --last-bits 8 --activation-bits 4 --fit empirical --layer a=float"
    assert main(["quantize", "net_float.prototxt", *options.split()]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "layer  type                  bits   method  why",
        "a      Convolution           float          --layer",
        "a_q    QuantizedActivation   4      ul2q    read by a quantised layer",
        "b      QuantizedConvolution  8      ul2q    --last-bits: none behind it",
        "without weights, unchanged: 1 Input",
        "net: net_2bit_act4bit.prototxt",
    ]
    written = (folder / "net_2bit_act4bit.prototxt").read_text()
    expected = NetQuantization(
        weight_bits=2, last_bits=8, activation_bits=4, fit="empirical", layers={"a": None}
    )
    assert written == quantize_net(folder / "net_float.prototxt", expected).text
    assert sorted(path.name for path in folder.iterdir()) == [
        "net_2bit_act4bit.prototxt",
        "net_float.prototxt",
    ]


def test_command_replaces_nothing_unasked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "net_float.prototxt").read_text()
    arguments = ["quantize", "net_float.prototxt", "--weight-bits", "2", "-o", "net_float.prototxt"]
    assert main(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert (folder / "net_float.prototxt").read_text() == before
    assert main([*arguments, "--force"]) == 0
    assert (folder / "net_float.prototxt").read_text() == rewrite(before)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("line", "status", "word"),
    [
        ("net_float.prototxt", 1, "bits is missing"),
        ("gone.prototxt --weight-bits 2", 1, "gone.prototxt"),
        ("net_float.prototxt --weight-bits 2 --layer c=3", 1, "'c'"),
        ("net_float.prototxt --weight-bits two", 2, "--weight-bits"),
        ("net_float.prototxt --weight-bits 2 --layer a", 2, "LAYER=float"),
        ("net_float.prototxt --weight-bits 2 --layer =3", 2, "LAYER=float"),
    ],
)
def test_command_refuses(
    line: str, status: int, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quantize", *line.split()]) == status
    assert word in capsys.readouterr().err


def test_help_names_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", "--help"]) == 0
    words = set(capsys.readouterr().out.replace(",", " ").replace(".", " ").split())
    for enum in ("Method", "Fit", "Granularity", "Shift", "Rounding", "Gradient"):
        values = getattr(caffe_pb2.QuantizerParameter, enum).keys()
        assert {value.lower() for value in values} <= words


# What the net computes

LAYERS = (
    layer("x", "Input", fields="input_param { shape { dim: [2, 4, 6, 6] } }")
    + layer(
        "conv",
        "Convolution",
        "x",
        fields="convolution_param { num_output: 6 kernel_size: 3 group: 2 } ",
    )
    + layer("relu", "ReLU", "conv", "conv")
    + layer(
        "up", "Deconvolution", "conv", fields="convolution_param { num_output: 5 kernel_size: 2 }"
    )
    + layer("ip", "InnerProduct", "up", fields="inner_product_param { num_output: 7 }")
)
# Options for the net, and what `ul2q.quantize` is given for each blob: conv, up, ip, biases.
COMPUTED: dict[str, tuple[dict[str, Any], list[dict[str, Any] | None]]] = {
    "ul2q": (
        {"weight_bits": 2, "last_bits": 8},
        [{"bits": 2}, {"bits": 2}, {"bits": 8}, None],
    ),
    "a float layer and biases": (
        {"weight_bits": 3, "bias_bits": 4, "layers": {"up": None}},
        [{"bits": 3}, None, {"bits": 3}, {"bits": 4}],
    ),
    "per channel": (
        {"weight_bits": 3, "fit": "paper", "shift": "zero", "granularity": "channel"},
        [
            {"bits": 3, "fit": "paper", "shift": "zero", "granularity": "channel", "axis": axis}
            for axis in (0, 1, 0)
        ]
        + [None],
    ),
    "binary": (
        {"method": "binary", "first_bits": 8},
        [{"bits": 8}, {"method": "binary"}, {"method": "binary"}, None],
    ),
    "ternary": (
        {"method": "ternary", "fit": "empirical"},
        [{"method": "ternary", "fit": "empirical"}] * 3 + [None],
    ),
    "ternary_quantized": (
        {"method": "ternary_quantized", "weight_bits": 4},
        [{"method": "ternary_quantized", "bits": 4}] * 3 + [None],
    ),
    "fixed_point": (
        {"method": "fixed_point", "weight_bits": 4, "bias_bits": 8, "rounding": "stochastic"},
        [*[{"method": "fixed_point", "bits": 4}] * 3, {"method": "fixed_point", "bits": 8}],
    ),
    "clip": (
        {"method": "clip", "weight_bits": 4},
        [{"method": "clip", "bits": 4}] * 3 + [None],
    ),
}


@pytest.mark.parametrize(("options", "blobs"), COMPUTED.values(), ids=COMPUTED)
def test_the_net_computes_with_quantised_weights(
    tmp_path: Path, options: dict[str, Any], blobs: list[dict[str, Any] | None]
) -> None:
    """As the float net does whose weights are replaced by the values of `ul2q.quantize`."""
    rng = np.random.default_rng(4)
    float_net = load(tmp_path, LAYERS, caffe.TEST)
    net = load(tmp_path, rewrite(LAYERS, NetQuantization(**options)), caffe.TEST)
    for name, weight in zip(("conv", "up", "ip"), blobs, strict=False):
        is_float = weight is None
        for parameter, master, kwargs in zip(
            float_net.params[name],
            net.params[name],
            (weight, None if is_float else blobs[-1]),
            strict=True,
        ):
            values = rng.normal(0.1, 1, master.data.shape).astype(np.float32)
            master.data[...] = values
            parameter.data[...] = (
                values if kwargs is None else ul2q.quantize(values, **kwargs).values
            )
    image = rng.normal(size=(2, 4, 6, 6))
    float_net.blobs["x"].data[...] = net.blobs["x"].data[...] = image
    np.testing.assert_array_equal(net.forward()["ip"], float_net.forward()["ip"])


def test_an_embed_layer_computes_with_quantised_weights(tmp_path: Path) -> None:
    source = layer("x", "Input", fields="input_param { shape { dim: 5 } }") + layer(
        "e", "Embed", "x", fields="embed_param { input_dim: 9 num_output: 4 bias_term: false }"
    )
    net = load(tmp_path, rewrite(source, NetQuantization(weight_bits=3)), caffe.TEST)
    weights = np.random.default_rng(6).normal(size=(9, 4)).astype(np.float32)
    indices = [0, 8, 3, 3, 1]
    net.params["e"][0].data[...] = weights
    net.blobs["x"].data[...] = indices
    expected = ul2q.quantize(weights, 3).values[indices]
    np.testing.assert_array_equal(net.forward()["e"], expected)


RESIDUAL = (
    layer(
        "x",
        "DummyData",
        tops="x label",
        fields="dummy_data_param { shape { dim: [4, 3, 8, 8] } shape { dim: 4 } "
        'data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } }',
    )
    + "".join(
        layer(
            name,
            "Convolution",
            bottom,
            fields="convolution_param { num_output: 4 kernel_size: 3 pad: 1 "
            'weight_filler { type: "msra" } }',
        )
        + layer(f"{name}_relu", "ReLU", name, name)
        for name, bottom in (("c1", "x"), ("c2", "c1"))
    )
    + layer("sum", "Eltwise", "c1 c2")
    + layer("drop", "Dropout", "sum", "sum", TRAIN)
    + layer(
        "ip",
        "InnerProduct",
        "sum",
        fields='inner_product_param { num_output: 3 weight_filler { type: "xavier" } }',
    )
    + layer("loss", "SoftmaxWithLoss", "ip label", "loss")
    + layer("accuracy", "Accuracy", "ip label", fields=TEST)
)


@pytest.mark.parametrize("phase", [caffe.TRAIN, caffe.TEST])
@pytest.mark.parametrize("options", [TWO_BITS, WITH_ACTIVATIONS], ids=["weights", "activations"])
def test_a_residual_net_runs(tmp_path: Path, options: NetQuantization, phase: int) -> None:
    net = load(tmp_path, rewrite(RESIDUAL, options), phase)
    outputs = net.forward()
    assert set(outputs) == ({"loss", "accuracy"} if phase == caffe.TEST else {"loss"})
    assert all(np.isfinite(value) for value in outputs.values())
    if phase == caffe.TRAIN:
        net.backward()
        for name in ("c1", "c2", "ip"):
            gradient = net.params[name][0].diff
            assert np.isfinite(gradient).all()
            assert gradient.any()
    activations = [one for one in net.layers if one.type == "QuantizedActivation"]
    assert len(activations) == (2 if options.quantizes_activations else 0)


def load(folder: Path, text: str, phase: int) -> caffe.Net:
    path = folder / "net.prototxt"
    path.write_text(text, encoding="utf-8")
    return caffe.Net(str(path), phase)

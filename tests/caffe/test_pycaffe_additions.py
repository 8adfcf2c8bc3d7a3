"""What ul2q adds to pycaffe: its layers in net_spec, tables of nets and blobs, and types."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
import pydoc
import re
import sys
import types
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import caffe
import pytest
from caffe import layers as L  # noqa: N812
from caffe import params as P  # noqa: N812
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from tests.small_nets import LINEAR, solver_message

# net_spec

# What is written in Python, and the layer that a prototxt would have.
SPECS: list[tuple[Any, str]] = [
    (
        lambda x: L.QuantizedConvolution(
            x, num_output=20, kernel_size=5, quantization_param={"weight": {"bits": 2}}
        ),
        'type: "QuantizedConvolution" convolution_param { num_output: 20 kernel_size: 5 }'
        "quantization_param { weight { bits: 2 } }",
    ),
    (
        lambda x: L.QuantizedInnerProduct(
            x,
            num_output=10,
            bias_term=False,
            weight_filler={"type": "xavier"},
            param=[{"lr_mult": 2}],
            quantization_param={"weight": {"bits": 4, "fit": P.Quantizer.PAPER}},
        ),
        'type: "QuantizedInnerProduct" param { lr_mult: 2 } '
        'inner_product_param { num_output: 10 bias_term: false weight_filler { type: "xavier" } }'
        "quantization_param { weight { bits: 4 fit: PAPER } }",
    ),
    (
        lambda x: L.QuantizedInnerProduct(
            x,
            inner_product_param={"num_output": 10},
            quantization_param={
                "weight": {"bits": 1, "method": P.Quantizer.UL2Q},
                "bias": {"bits": 8},
            },
        ),
        'type: "QuantizedInnerProduct" inner_product_param { num_output: 10 }'
        "quantization_param { weight { bits: 1 method: UL2Q } bias { bits: 8 } }",
    ),
    (
        lambda x: L.QuantizedActivation(
            x, quantization_param={"activation": {"bits": 8, "signed": False}}
        ),
        'type: "QuantizedActivation" quantization_param { activation { bits: 8 signed: false } }',
    ),
    (
        lambda x: L.Convolution(x, num_output=3, kernel_size=[3, 5], name="c"),
        'name: "c" type: "Convolution" convolution_param {'
        " num_output: 3 kernel_size: 3 kernel_size: 5 }",
    ),
    (
        lambda x: L.Deconvolution(x, num_output=3, kernel_size=4, stride=2),
        'type: "Deconvolution" convolution_param { num_output: 3 kernel_size: 4 stride: 2 }',
    ),
    (
        lambda x: L.QuantizedDeconvolution(
            x, num_output=3, kernel_size=4, quantization_param={"weight": {"bits": 2}}
        ),
        'type: "QuantizedDeconvolution" convolution_param { num_output: 3 kernel_size: 4 }'
        "quantization_param { weight { bits: 2 } }",
    ),
    *(
        (
            lambda x, kind=kind: getattr(L, kind)(x, num_output=3),
            f'type: "{kind}" recurrent_param {{ num_output: 3 }}',
        )
        for kind in ("LSTM", "RNN", "QuantizedLSTM", "QuantizedRNN")
    ),
    (
        lambda x: L.Im2col(x, kernel_size=3),
        'type: "Im2col" convolution_param { kernel_size: 3 }',
    ),
    (
        lambda x: L.SoftmaxWithLoss(x, ignore_label=255),
        'type: "SoftmaxWithLoss" loss_param { ignore_label: 255 }',
    ),
    (
        lambda x: L.Pooling(x, pool=P.Pooling.AVE, global_pooling=True),
        'type: "Pooling" pooling_param { pool: AVE global_pooling: true }',
    ),
]


@pytest.mark.parametrize(("spec", "text"), SPECS)
def test_layers_written_in_python(spec: Any, text: str) -> None:
    net = caffe.NetSpec()
    net.x = L.Input(input_param={"shape": {"dim": [1, 3, 8, 8]}})
    net.y = spec(net.x)
    want = text_format.Parse('name: "y" bottom: "x" top: "y"', caffe_pb2.LayerParameter())
    want.MergeFrom(text_format.Parse(text, caffe_pb2.LayerParameter()))
    assert net.to_proto().layer[1] == want


WRONG_FIELDS = {
    "misspelt": (
        lambda: L.InnerProduct(num_outputs=2),
        "InnerProduct has no field 'num_outputs'; did you mean 'num_output'?",
    ),
    "without a near name": (
        lambda: L.LSTM(zzz=2),
        "LSTM has no field 'zzz'; it takes the fields of a layer and of recurrent_param",
    ),
    "of a layer without fields": (
        lambda: L.BNLL(zzz=2),
        "BNLL has no field 'zzz'; it takes the fields of a layer",
    ),
    "of the fork": (
        lambda: L.Convolution(num_output=2, weights_compress=["ULQ"]),
        "weights_compress is a field of the fork Quantization-caffe.*QuantizedConvolution",
    ),
    "of the fork's parameters": (
        lambda: L.Convolution(num_output=2, activations_compress_param=[{"maxbits": 8}]),
        "activations_compress_param is a field of the fork.*QuantizedActivation",
    ),
}


@pytest.mark.parametrize(("make", "words"), WRONG_FIELDS.values(), ids=WRONG_FIELDS)
def test_a_field_that_a_layer_does_not_have(make: Any, words: str) -> None:
    with pytest.raises(AttributeError, match=words):
        make()


def test_a_message_can_be_pickled() -> None:
    layer = caffe_pb2.LayerParameter(name="conv", quantization_param={"weight": {"bits": 2}})
    read = pickle.loads(pickle.dumps(layer))
    assert read == layer
    assert type(read) is caffe_pb2.LayerParameter


# Each value of QuantizerParameter, as protoc finds it, with the comment above it.
PROTO = Path(__file__).parents[2] / "cpp" / "caffe" / "proto" / "quantization.proto"
QUANTIZER = PROTO.read_text(encoding="utf-8").partition("message QuantizerParameter {")[2]
QUANTIZATION_COMMENTS = [
    f"{name}: {' '.join(re.sub(r'^ *//', '', comment, flags=re.MULTILINE).split())}"
    for comment, name in re.findall(
        r"((?:^ +//.*\n)+) +([A-Z0-9_]+) = \d+", QUANTIZER.partition("\n}\n")[0], re.MULTILINE
    )
]


def test_each_value_has_a_comment() -> None:
    enums = caffe.proto.caffe_pb2.QuantizerParameter.DESCRIPTOR.enum_types
    assert len(QUANTIZATION_COMMENTS) == sum(len(enum.values) for enum in enums) > 0


def test_the_layers_are_listed_and_documented() -> None:
    assert dir(L) == sorted(caffe.layer_type_list())
    assert {"Quantizer", "Pooling", "Convolution"} <= set(dir(caffe.params))
    text = pydoc.plain(pydoc.render_doc(L))
    assert set(dir(L)) <= set(re.findall(r"\w+", text))
    for name in dir(L):
        assert getattr(L, name).__name__ == name
        assert (inspect.getdoc(getattr(L, name)) or "").startswith(f"A {name} layer: {name}(")
    text = pydoc.plain(pydoc.render_doc(L.QuantizedConvolution))
    for line in (
        "quantization_param, e.g. dict(weight=dict(bits=2)), is required.",
        "Fields of convolution_param:",
        "num_output: int >= 0\n",
        "bias_term: bool, default True",
        "engine: one of DEFAULT, CAFFE, CUDNN, default DEFAULT",
        "weight_filler: dict of FillerParameter's fields",
        "Fields of weight and bias:",
    ):
        assert line in text
    words = " ".join(text.split())
    for entry in QUANTIZATION_COMMENTS:
        assert entry in words
    text = pydoc.plain(pydoc.render_doc(L.QuantizedActivation))
    assert "quantization_param, e.g. dict(activation=dict(bits=8)), is required." in text
    assert "Fields of activation:" in text
    assert "moving_average_fraction: float, default 0.95. activation only." in text
    copy.copy(L)
    assert not hasattr(L, "__wrapped__")


# Tables

NET = """
name: "table"
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 2 dim: 6 dim: 6 } } }
layer { name: "<1>" type: "QuantizedConvolution" bottom: "data" top: "a"
  convolution_param { num_output: 1000 kernel_size: 3 }
  quantization_param { weight { bits: 2 } bias { bits: 8 } } }
layer { name: "b" type: "QuantizedInnerProduct" bottom: "a" top: "b"
  inner_product_param { num_output: 5 bias_term: false }
  quantization_param { weight { bits: 16 } } }
layer { name: "c" type: "InnerProduct" bottom: "b" top: "c" inner_product_param { num_output: 1 } }
layer { name: "d" type: "Slice" bottom: "b" top: "d1" top: "d2" slice_param { slice_point: 2 } }
layer { name: "sum" type: "Reduction" bottom: "c" top: "sum" }
layer { name: "q" type: "QuantizedActivation" bottom: "sum" top: "q"
  quantization_param { activation { bits: 8 } } }
layer { name: "e" type: "Silence" bottom: "d1" bottom: "d2" }
layer { name: "p" type: "Python" top: "p" python_param { module: "table_layers" layer: "Two" } }
"""

# The rows of its table, in cells.
ROWS = [
    ["data", "Input", "data", "1 × 2 × 6 × 6", "", ""],
    ["<1>", "QuantizedConvolution", "a", "1 × 1000 × 4 × 4", "19,000", "2+8"],
    ["b", "QuantizedInnerProduct", "b", "1 × 5", "80,000", "16"],
    ["b_b_0_split", "Split", "b_b_0_split_0, b_b_0_split_1", "1 × 5, 1 × 5", "", ""],
    ["c", "InnerProduct", "c", "1 × 1", "6", ""],
    ["d", "Slice", "d1, d2", "1 × 2, 1 × 3", "", ""],
    ["sum", "Reduction", "sum", "scalar", "", ""],
    ["q", "QuantizedActivation", "q", "scalar", "4", "8"],
    ["e", "Silence", "", "", "", ""],
    ["p", "Python", "p", "2", "3", ""],
]


class Two(caffe.Layer):
    """A layer with something of its own under `param`."""

    def setup(self, bottom: Any, top: Any) -> None:  # noqa: ARG002
        self.param = 5  # type: ignore[misc]
        self.blobs.add_blob(3)

    def reshape(self, bottom: Any, top: Any) -> None:  # noqa: ARG002
        top[0].reshape(2)

    def forward(self, bottom: Any, top: Any) -> None: ...


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = types.ModuleType("table_layers")
    module.Two = Two  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    path = tmp_path / "net.prototxt"
    path.write_text(NET, encoding="utf-8")
    return caffe.Net(str(path), caffe.TEST)


def test_a_net_shows_itself_as_a_table(net: Any) -> None:
    first, headings, *lines = repr(net).splitlines()
    assert first == "<caffe.Net 'table', TEST: 10 layers, 99,013 parameters>"
    columns = ["layer", "type", "top", "shape", "parameters", "bits"]
    assert headings.split() == columns
    edges = [*(headings.index(column) for column in columns), 1000]
    for line, row in zip(lines, ROWS, strict=True):
        got = [line[a:b].strip() for a, b in itertools.pairwise(edges)]
        assert got == row


def test_a_net_shows_itself_as_html(net: Any) -> None:
    table = ET.fromstring(net._repr_html_())
    rows = [[cell.text or "" for cell in row] for row in table.findall("tr")]
    assert rows[0] == ["layer", "type", "top", "shape", "parameters", "bits"]
    assert rows[1:] == ROWS
    assert table.findtext("caption") == "<caffe.Net 'table', TEST: 10 layers, 99,013 parameters>"


@pytest.mark.parametrize(
    ("quantizer", "bits"),
    [
        ("bits: 8", "8"),
        ("bits: 8 signed: false", "8"),
        ("method: BINARY", "1"),
        ("method: TERNARY", "2"),
        ("method: TERNARY_QUANTIZED bits: 8", "2"),
    ],
)
def test_a_table_counts_the_bits_of_a_code(quantizer: str, bits: str) -> None:
    net = caffe.Net.from_proto(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 } } }'
        'layer { name: "q" type: "QuantizedActivation" bottom: "x" top: "x" '
        f"quantization_param {{ activation {{ {quantizer} }} }} }}",
        caffe.TEST,
    )
    assert repr(net).splitlines()[-1].split()[-1] == bits


def test_blobs_show_their_shape(net: Any) -> None:
    assert repr(net.blobs["a"]) == "<caffe.Blob 1 × 1000 × 4 × 4>"
    assert repr(net.blobs["sum"]) == "<caffe.Blob scalar>"
    net.blobs["data"].reshape(3, 2, 6, 6)
    net.reshape()
    assert "3 × 1000 × 4 × 4" in repr(net)


def test_a_layer_shows_itself(net: Any) -> None:
    assert repr(net.layers[0]) == "<caffe.Layer 'data', Input>"
    assert repr(net.layers[1]) == (
        "<caffe.Layer '<1>', QuantizedConvolution, 2+8 bits, 1000 × 2 × 3 × 3, 1000>"
    )


def test_a_solver_shows_itself(tmp_path: Path) -> None:
    settings = solver_message(tmp_path, LINEAR.replace("\n", 'name: "line"\n', 1), max_iter=1500)
    solver = caffe.get_solver(settings)
    solver.step(2)
    assert repr(solver) == "<caffe.SGDSolver of net 'line', iteration 2 of 1,500>"
    settings.ClearField("max_iter")
    settings.type = "Adam"
    assert repr(caffe.get_solver(settings)) == "<caffe.AdamSolver of net 'line', iteration 0>"

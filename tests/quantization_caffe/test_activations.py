"""Activations that the fork quantised."""

from __future__ import annotations

import pytest
from caffe.proto import caffe_pb2

from tests.quantization_caffe.fork_nets import NETS, RELU, import_text, net_of
from ul2q.nets.prototxt_text import Document
from ul2q.quantization_caffe import ActivationError, import_net

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


def test_an_activation_behind_a_dropout_is_warned_of() -> None:
    dropout = (
        'layer { name: "d" type: "Dropout" bottom: "x" top: "y" activations_compress: "Clip" }'
    )
    relu = 'layer { name: "r" type: "ReLU" bottom: "y" top: "z" activations_compress: "Clip" }'
    notes = [str(note) for note in import_text(dropout, relu).warnings if "'d'" in note.text]
    (note,) = notes  # the ReLU reads what is quantised
    assert "layer 'y_q' stands behind layer 'd' (Dropout), which drops values" in note
    assert "put it before 'd', or" in note


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

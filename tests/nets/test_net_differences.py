"""In what nets differ, by layer and field."""

from __future__ import annotations

from ul2q.nets.net_differences import net_differences
from ul2q.nets.prototxt import parse_net

NET = """
name: "a"
layer { name: "data" type: "Data" top: "x" include { phase: TRAIN }
  transform_param { mean_file: "old/mean" scale: 2 } data_param { source: "old" batch_size: 4 } }
layer { name: "data" type: "Data" top: "x" include { phase: TEST } data_param { batch_size: 8 } }
layer { name: "conv1" type: "QuantizedConvolution" bottom: "x" top: "y"
  convolution_param { num_output: 2 } quantization_param { weight { bits: 2 } } }
layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }
"""


def told(new: str, *, sources: bool = True) -> list[str]:
    old = parse_net(NET, "old")
    return [str(one) for one in net_differences(old, parse_net(new, "new"), sources=sources)]


def test_the_text_does_not_matter() -> None:
    """Comments, line ends and the order of a layer's fields are no differences."""
    other = NET.replace('name: "conv1" type: "QuantizedConvolution"',
                        'type: "QuantizedConvolution" # two\n name: "conv1"')  # fmt: skip
    assert other != NET
    assert told(other) == []


def test_fields_of_layers() -> None:
    assert told(NET.replace("bits: 2", "bits: 1").replace("batch_size: 8", "batch_size: 9")) == [
        "layer 'data' (2): data_param.batch_size was 8, is 9",
        "layer 'conv1': quantization_param.weight.bits was 2, is 1",
    ]


def test_layers_that_come_and_go() -> None:
    other = NET.replace('"relu" type: "ReLU"', '"act" type: "Sigmoid"').replace('"a"', '"b"')
    assert told(other) == [
        "name was a, is b",
        "layer 'relu' was ReLU, is not given",
        "layer 'act' was not given, is Sigmoid",
    ]


def test_the_order_of_layers() -> None:
    *rest, relu = NET.strip().splitlines()
    (line,) = told("\n".join([rest[0], relu, *rest[1:]]))
    assert line.startswith("the order of the layers was ")


def test_databases_count_unless_they_are_compared_themselves() -> None:
    other = NET.replace('"old', '"new').replace("scale: 2", "scale: 3")
    scale = "layer 'data': transform_param.scale was 2.0, is 3.0"
    assert sorted(told(other)) == [
        "layer 'data': data_param.source was old, is new",
        "layer 'data': transform_param.mean_file was old/mean, is new/mean",
        scale,
    ]
    assert told(other, sources=False) == [scale]


def test_nets_of_2014() -> None:
    text = 'layers { name: "ip" type: INNER_PRODUCT inner_product_param { num_output: %d } }'
    old, new = (parse_net(text % count, "net") for count in (3, 4))
    assert [str(one) for one in net_differences(old, new)] == [
        "layer 'ip': inner_product_param.num_output was 3, is 4"
    ]

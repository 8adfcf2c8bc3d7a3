"""The quantizers that do what the fork's methods did."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from tests.quantization_caffe.fork_formulas import (
    clip_of_the_fork,
    fixed_point_of_the_fork,
    ternary_of_the_fork,
    ulq_of_the_fork,
)
from tests.quantization_caffe.fork_nets import CONVOLUTION, import_text, net_of
from ul2q.nets.prototxt_text import Document
from ul2q.quantization_caffe import import_net

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

BITS = " weights_compress_param { maxbits: %d }"


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

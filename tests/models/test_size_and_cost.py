"""Sizes and multiply-adds of models, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q import cli
from ul2q.models.caffemodel import ModelBlob, WeightsError
from ul2q.models.cost import multiply_adds, net_for_one_example
from ul2q.models.inspection import size_and_cost
from ul2q.models.size import LayerSize, model_size
from ul2q.nets.bundled import prototxt_path
from ul2q.nets.prototxt import PrototxtError

if TYPE_CHECKING:
    from tests.conftest import Workspace
    from tests.small_nets import NetMaker

# conv1: 5·5·1·32 weights at 24·24 places; conv2: 5·5·32·64 at 8·8; 64·4·4 → 512 → 10.
LENET = {"conv1": 460_800, "conv2": 3_276_800, "ip1": 524_288, "ip2": 5_120}
# 3·3 kernels on maps of 32, 16 and 8 pixels a side; 256·4·4 → 1024 → 10.
VGG7 = {
    "conv1": 9 * 3 * 64 * 1024,
    "conv2": 9 * 64 * 64 * 1024,
    "conv3": 9 * 64 * 128 * 256,
    "conv4": 9 * 128 * 128 * 256,
    "conv5": 9 * 128 * 256 * 64,
    "conv6": 9 * 256 * 256 * 64,
    "ip1": 4096 * 1024,
    "ip2": 1024 * 10,
}


@pytest.mark.parametrize("width", ["float", "2bit"])
@pytest.mark.parametrize(("net", "costs"), [("lenet", LENET), ("vgg7_64", VGG7)])
def test_the_nets_of_the_paper(net: str, width: str, costs: dict[str, int]) -> None:
    found = multiply_adds(net_for_one_example(prototxt_path(f"{net}/deploy_{width}.prototxt")))
    assert list(found.values()) == list(costs.values())


# Type, options, the input, and the multiply-adds of one example.
LAYERS: dict[str, tuple[str, str, str, int]] = {
    # 6 outputs × 2 of 4 inputs × 3·3 at 8·6 places.
    "groups": (
        "Convolution",
        "convolution_param { num_output: 6 kernel_size: 3 group: 2 }",
        "3 4 10 8",
        6 * 2 * 9 * 8 * 6,
    ),
    # A kernel of 3 with dilation 2 spans 5: 6·4 places; the holes cost nothing.
    "dilation": (
        "QuantizedConvolution",
        "convolution_param { num_output: 6 kernel_size: 3 dilation: 2 }",
        "3 4 10 8",
        6 * 4 * 9 * 6 * 4,
    ),
    "stride and padding": (
        "Convolution",
        "convolution_param { num_output: 2 kernel_size: 3 stride: 2 pad: 1 }",
        "1 1 5 5",
        2 * 9 * 3 * 3,
    ),
    "one axis": (
        "Convolution",
        "convolution_param { num_output: 2 kernel_size: 3 }",
        "2 3 7",
        2 * 3 * 3 * 5,
    ),
    # Each of 5·4 places of 4 inputs goes into 3 of 6 outputs at 2·2 places.
    "deconvolution": (
        "QuantizedDeconvolution",
        "convolution_param { num_output: 6 kernel_size: 2 stride: 2 group: 2 }",
        "3 4 5 4",
        4 * 5 * 4 * 3 * 4,
    ),
    "inner product": ("InnerProduct", "inner_product_param { num_output: 6 }", "3 4 5", 6 * 20),
    "inner product, transposed": (
        "InnerProduct",
        "inner_product_param { num_output: 6 transpose: true }",
        "3 4 5",
        6 * 20,
    ),
    # The last axis alone: once for each of 4 vectors.
    "inner product of an axis": (
        "QuantizedInnerProduct",
        "inner_product_param { num_output: 6 axis: 2 }",
        "3 4 5",
        4 * 6 * 5,
    ),
    "look-ups": ("Embed", "embed_param { num_output: 6 input_dim: 5 }", "3 4", 0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_single_layers(name: str, make_net: NetMaker) -> None:
    kind, options, shape, expected = LAYERS[name]
    quantization = "quantization_param { weight { bits: 2 } }" * kind.startswith("Quantized")
    net = make_net(
        "layer { name: 'in' type: 'Input' top: 'in' input_param { shape { "
        f"{' '.join(f'dim: {n}' for n in shape.split())} }} }} }}\n"
        f"layer {{ name: 'l' type: '{kind}' bottom: 'in' top: 'l' {options} {quantization} }}",
        caffe.TEST,
    )
    assert multiply_adds(net) == {"l": expected}


def test_a_recurrent_layer_costs_each_time_step(make_net: NetMaker) -> None:
    net = make_net(
        "layer { name: 'x' type: 'Input' top: 'x' input_param { shape { dim: 4 dim: 2 dim: 3 } } }"
        "layer { name: 'c' type: 'Input' top: 'c' input_param { shape { dim: 4 dim: 2 } } }"
        "layer { name: 'l' type: 'LSTM' bottom: 'x' bottom: 'c' top: 'l' "
        "recurrent_param { num_output: 5 weight_filler { type: 'constant' } "
        "bias_filler { type: 'constant' } } }",
        caffe.TEST,
    )
    # Four gates of the input's 3 and the state's 5 numbers, for 2 streams; by time step.
    assert multiply_adds(net) == {"l": 2 * (4 * 5 * 3 + 4 * 5 * 5)}


def test_the_data_tell_the_shape(workspace: Workspace) -> None:
    """Images of 1 × 8 × 8 in the LMDB, 4 outputs; without it the message says what helps."""
    assert multiply_adds(net_for_one_example(Path("net.prototxt"))) == {"ip": 256}
    workspace.net(("scale: 0.00390625 }\n  data_param { source: \"data/test_lmdb",
                   "crop_size: 6 }\n  data_param { source: \"data/test_lmdb"))  # fmt: skip
    assert multiply_adds(net_for_one_example(Path("net.prototxt"))) == {"ip": 144}
    workspace.net(("data/test_lmdb", "gone/test_lmdb"))
    with pytest.raises(PrototxtError, match=r"net\.prototxt: its data.*give the net that is depl"):
        net_for_one_example(Path("net.prototxt"))


def blob(layer: str, kind: str, index: int, *shape: int) -> ModelBlob:
    return ModelBlob(layer, kind, index, np.zeros(shape, np.float32))


def layer(text: str) -> caffe_pb2.LayerParameter:
    return text_format.Parse(text, caffe_pb2.LayerParameter())


def test_sizes() -> None:
    blobs = [
        blob("conv", "QuantizedConvolution", 0, 6, 4, 3, 3),
        blob("conv", "QuantizedConvolution", 1, 6),
        blob("bn", "BatchNorm", 0, 6),
        blob("bn", "BatchNorm", 1, 6),
        blob("bn", "BatchNorm", 2, 1),
        blob("up", "QuantizedDeconvolution", 0, 4, 3, 2, 2),
        blob("ip", "QuantizedInnerProduct", 0, 5, 40),
        blob("float", "InnerProduct", 0, 2, 5),
    ]
    layers = [
        layer(
            'name: "conv" type: "QuantizedConvolution" quantization_param '
            "{ weight { bits: 2 granularity: CHANNEL } bias { bits: 8 } }"
        ),
        layer(
            'name: "up" type: "QuantizedDeconvolution" convolution_param { group: 2 } '
            "quantization_param { weight { bits: 3 granularity: CHANNEL } }"
        ),
        layer(
            'name: "ip" type: "QuantizedInnerProduct" '
            "quantization_param { weight { method: TERNARY } }"
        ),
    ]
    size = model_size(blobs, layers)
    assert size.layers == (
        # Codes, and α and β of 6 channels and of the biases, as two floats each.
        LayerSize("conv", "Convolution", 216, 2, 6, 2 * 216 + 64 * 6 + 8 * 6 + 64),
        LayerSize("bn", "BatchNorm", 0, 32, 13, 32 * 13),
        LayerSize("up", "Deconvolution", 48, 3, 0, 3 * 48 + 64 * 6),
        LayerSize("ip", "InnerProduct", 200, 2, 0, 2 * 200 + 64),
        LayerSize("float", "InnerProduct", 10, 32, 0, 320),
    )
    assert (size.weights, size.parameters) == (474, 493)
    assert size.bits_per_weight == pytest.approx((432 + 144 + 400 + 320) / 474)
    assert size.float_kilobytes == 493 * 4 / 1000
    assert size.kilobytes == (928 + 416 + 528 + 464 + 320) / 8000
    assert size.compression == pytest.approx(493 * 32 / 2656)


def test_a_teacher_does_not_count() -> None:
    blobs = [blob("ip", "InnerProduct", 0, 2, 5), blob("teacher", "InnerProduct", 0, 7, 5)]
    teacher = layer('name: "teacher" type: "InnerProduct" include { phase: TRAIN }')
    both = [layer('name: "ip" type: "InnerProduct"'), teacher]
    assert model_size(blobs, both).weights == 10
    staged = layer('name: "teacher" include { phase: TRAIN } include { stage: "deploy" }')
    assert model_size(blobs, [both[0], staged]).weights == 45
    assert model_size(blobs[1:], [teacher]).weights == 35  # a net for training alone


def test_lenet_at_two_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """800 + 51,200 + 524,288 weights at 2 bits, 5,120 at 8; 2,445 other numbers as floats."""
    net = prototxt_path("lenet/deploy_2bit.prototxt")
    model = tmp_path / "lenet.caffemodel"
    caffe.Net(str(net), caffe.TEST).save(str(model))
    size = size_and_cost(model).size
    assert (size.weights, size.parameters) == (581_408, 583_853)
    bits = 2 * 576_288 + 8 * 5_120 + 4 * 64 + 32 * 2_445
    assert size.kilobytes == pytest.approx(bits / 8000)
    assert size.bits_per_weight == pytest.approx((2 * 576_288 + 8 * 5_120) / 581_408)
    # The same weights in the float net.
    as_float = size_and_cost(model, prototxt_path("lenet/deploy_float.prototxt")).size
    assert (as_float.bits_per_weight, as_float.compression) == (32, 1)

    assert cli.main(["inspect", str(model), "--net", str(net)]) == 0
    lines = capsys.readouterr().out.split("\n\n")[1].splitlines()
    headings = "layer type weights bits a weight kB kB float compression multiply-adds"
    assert lines[0].split() == headings.split()
    assert lines[1].split() == ["conv1", "Convolution", "800", "2", "0.2", "3.2", "15.4", "460,800"]
    assert lines[2].split() == ["bn1", "BatchNorm", "0.3", "0.3", "1.0"]
    assert lines[-1].split() == ["all", "581,408", "2.05", "159.0", "2,335.4", "14.7", "4,267,008"]


def test_a_net_of_another_model_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "lenet.caffemodel"
    caffe.Net(str(prototxt_path("lenet/deploy_float.prototxt")), caffe.TEST).save(str(model))
    other = tmp_path / "other.prototxt"
    other.write_text("layer { name: 'x' type: 'InnerProduct' }")
    with pytest.raises(
        WeightsError, match=r"lenet\.caffemodel with .*other\.prototxt: the net has"
    ):
        size_and_cost(model, other)

"""Nets that train and test into nets that are deployed: the text, and what the net computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.nets.deploy import deploy_net
from ul2q.nets.prototxt import PrototxtError
from ul2q.nets.prototxt_text import Document

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = {"data": (3, 8, 8)}

# Comments, blank lines and fields that have nothing to do with data or losses.
NET = """\
# A net.
name: "net"
layer {
  name: "data"
  type: "Data"  # an LMDB
  top: "data"
  top: "label"
  include { phase: TRAIN }
  transform_param { mirror: true mean_value: 10 mean_value: 20 mean_value: 30 scale: 0.5 }
  data_param { source: "train_lmdb" batch_size: 4 backend: LMDB }
}
layer {
  name: "data"
  type: "Data"
  top: "data"
  top: "label"
  include { phase: TEST }
  transform_param { mean_value: 10 mean_value: 20 mean_value: 30 scale: 0.5 }
  data_param { source: "test_lmdb" batch_size: 2 backend: LMDB }
}

# The features.
layer {
  name: "conv"
  type: "Convolution"
  bottom: "data"
  top: "conv"
  param { lr_mult: 1 }  # the weights
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } }
}
layer { name: "noise" type: "Dropout" bottom: "conv" top: "conv" include { phase: TRAIN } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" exclude { phase: TRAIN } }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param {
  num_output: 5 weight_filler { type: "xavier" } } }

# What is measured.
layer {
  name: "accuracy"
  type: "Accuracy"
  bottom: "ip"
  bottom: "label"
  top: "accuracy"
  include { phase: TEST }
}
layer {
  name: "loss"  # cross entropy
  type: "SoftmaxWithLoss"
  bottom: "ip"
  bottom: "label"
  top: "loss"
  loss_weight: 2
  softmax_param { axis: 1 }
}
"""

DEPLOYED = """\
# A net.
name: "net"
layer {
  name: "data"
  type: "Input"
  top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } }  # pixels minus 10, 20, 30, times 0.5
}

# The features.
layer {
  name: "conv"
  type: "Convolution"
  bottom: "data"
  top: "conv"
  param { lr_mult: 1 }  # the weights
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } }
}
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip" inner_product_param {
  num_output: 5 weight_filler { type: "xavier" } } }

# What is measured.
layer {
  name: "prob"  # cross entropy
  type: "Softmax"
  bottom: "ip"
  top: "prob"
  softmax_param { axis: 1 }
}
"""


def deployed(text: str, shapes: dict[str, Any] | None = None) -> str:
    return deploy_net(Document(text, "net.prototxt"), shapes)


def parsed(text: str) -> caffe_pb2.NetParameter:
    return text_format.Parse(text, caffe_pb2.NetParameter())


def layer(name: str, kind: str, bottoms: str = "", tops: str = "", fields: str = "") -> str:
    """A layer on one line; bottoms and tops are blanks apart."""
    blobs = [f'bottom: "{b}"' for b in bottoms.split()] + [f'top: "{t}"' for t in tops.split()]
    return f'layer {{ name: "{name}" type: "{kind}" {" ".join(blobs)} {fields} }}\n'


def data(tops: str = "data label", fields: str = "") -> str:
    return layer("data", "Data", "", tops, fields)


def wiring(text: str) -> list[str]:
    """Each layer as "name (type): bottoms -> tops"."""
    return [
        f"{one.name} ({one.type}): {' '.join(one.bottom)} -> {' '.join(one.top)}"
        for one in parsed(text).layer
    ]


def test_the_text() -> None:
    assert deployed(NET, IMAGE) == DEPLOYED


def test_lines_end_as_in_the_net() -> None:
    assert deployed(NET.replace("\n", "\r\n"), IMAGE) == DEPLOYED.replace("\n", "\r\n")


def test_a_deployed_net_stays_as_it_is() -> None:
    assert deployed(DEPLOYED) == DEPLOYED


def test_a_file_is_as_its_text(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET, encoding="utf-8")
    assert deploy_net(path, IMAGE) == deploy_net(str(path), IMAGE) == DEPLOYED
    assert path.read_text(encoding="utf-8") == NET
    with pytest.raises(FileNotFoundError, match="gone"):
        deploy_net(tmp_path / "gone.prototxt")


def test_it_computes_what_the_trained_net_does_in_phase_test() -> None:
    """The scores are those of the trained net; the probabilities are exp(scores) over their sum."""
    sizes = "input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } shape { dim: 1 } }"
    ends = layer("data", "Input", "", "data label", sizes)
    body = NET[NET.index("# The features.") :]
    caffe.set_random_seed(1)
    trained = caffe.Net.from_proto(ends + body, caffe.TEST)
    net = caffe.Net.from_proto(deployed(NET, IMAGE), caffe.TEST)
    assert list(net.params) == list(trained.params)
    for name, blobs in trained.params.items():
        for ours, theirs in zip(net.params[name], blobs, strict=True):
            ours.data[...] = theirs.data
    image = np.random.default_rng(1).normal(size=(1, 3, 8, 8))
    scores = trained.forward(data=image, label=np.zeros(1), blobs=["ip"])["ip"].astype(np.float64)
    want = np.exp(scores) / np.exp(scores).sum()
    assert want.max() - want.min() > 0.01
    np.testing.assert_allclose(net.forward(data=image)["prob"], want, rtol=1e-5)


LOSS = layer("loss", "SoftmaxWithLoss", "ip label", "loss")
IP = layer("ip", "InnerProduct", "data", "ip", "inner_product_param { num_output: 2 }")
WIRINGS = {
    "a loss of phase TRAIN": (
        data() + IP + layer("loss", "SoftmaxWithLoss", "ip label", "l", "include { phase: TRAIN }"),
        ["data (Input):  -> data", "ip (InnerProduct): data -> ip", "prob (Softmax): ip -> prob"],
    ),
    "probabilities in phase TEST already": (
        data()
        + IP
        + layer("loss", "SoftmaxWithLoss", "ip label", "loss", "include { phase: TRAIN }")
        + layer("p", "Softmax", "ip", "p", "include { phase: TEST }")
        + layer("accuracy", "Accuracy", "p label", "accuracy", "include { phase: TEST }"),
        ["data (Input):  -> data", "ip (InnerProduct): data -> ip", "p (Softmax): ip -> p"],
    ),
    "the same scores in two losses": (
        data() + IP + LOSS + layer("again", "SoftmaxWithLoss", "ip label", "again"),
        ["data (Input):  -> data", "ip (InnerProduct): data -> ip", "prob (Softmax): ip -> prob"],
    ),
    "two heads": (
        data("data label other")
        + IP
        + layer("ip2", "InnerProduct", "data", "ip2", "inner_product_param { num_output: 3 }")
        + LOSS
        + layer("loss2", "SigmoidCrossEntropyLoss", "ip2 other", "loss2"),
        [
            "data (Input):  -> data",
            "ip (InnerProduct): data -> ip",
            "ip2 (InnerProduct): data -> ip2",
            "ip_prob (Softmax): ip -> ip_prob",
            "ip2_prob (Sigmoid): ip2 -> ip2_prob",
        ],
    ),
    "prob is taken": (
        data() + layer("prob", "InnerProduct", "data", "ip") + LOSS,
        [
            "data (Input):  -> data",
            "prob (InnerProduct): data -> ip",
            "prob2 (Softmax): ip -> prob2",
        ],
    ),
    "a loss that compares the scores themselves": (
        data() + IP + layer("loss", "EuclideanLoss", "ip label", "loss"),
        ["data (Input):  -> data", "ip (InnerProduct): data -> ip"],
    ),
    "twins that share their weights": (
        layer("pair", "Data", "", "a b similar")
        + layer("fa", "InnerProduct", "a", "fa")
        + layer("fb", "InnerProduct", "b", "fb")
        + layer("loss", "ContrastiveLoss", "fa fb similar", "loss"),
        ["pair (Input):  -> a b", "fa (InnerProduct): a -> fa", "fb (InnerProduct): b -> fb"],
    ),
    "labels that are cut": (
        data()
        + layer("cut", "Slice", "label", "label1 label2")
        + layer("quiet", "Silence", "label2")
        + IP
        + layer("loss", "SoftmaxWithLoss", "ip label1", "loss"),
        ["data (Input):  -> data", "ip (InnerProduct): data -> ip", "prob (Softmax): ip -> prob"],
    ),
    "a loss of another type by its weight": (
        data() + IP + layer("sum", "Reduction", "ip", "sum", "loss_weight: 1"),
        ["data (Input):  -> data", "ip (InnerProduct): data -> ip"],
    ),
    "a loss weight within the net": (
        data() + layer("ip", "InnerProduct", "data", "ip", "loss_weight: 1") + LOSS,
        ["data (Input):  -> data", "ip (InnerProduct): data -> ip", "prob (Softmax): ip -> prob"],
    ),
    "another layer a phase": (
        data()
        + layer("a", "BatchNorm", "data", "x", "include { phase: TRAIN }")
        + layer("b", "BatchNorm", "data", "x", "include { phase: TEST }")
        + layer("ip", "InnerProduct", "x", "ip")
        + LOSS,
        [
            "data (Input):  -> data",
            "b (BatchNorm): data -> x",
            "ip (InnerProduct): x -> ip",
            "prob (Softmax): ip -> prob",
        ],
    ),
    "learnt, not read": (
        data() + layer("w", "Parameter", "", "w") + layer("add", "Eltwise", "data w", "ip") + LOSS,
        [
            "data (Input):  -> data",
            "w (Parameter):  -> w",
            "add (Eltwise): data w -> ip",
            "prob (Softmax): ip -> prob",
        ],
    ),
    "layers in place behind the loss": (
        data() + IP + LOSS + layer("r", "ReLU", "ip", "ip") + layer("s", "Sigmoid", "ip", "s"),
        [
            "data (Input):  -> data",
            "ip (InnerProduct): data -> ip",
            "prob (Softmax): ip -> prob",
            "r (ReLU): ip -> ip",
            "s (Sigmoid): ip -> s",
        ],
    ),
}


@pytest.mark.parametrize(("net", "expected"), WIRINGS.values(), ids=WIRINGS)
def test_wiring(net: str, expected: list[str]) -> None:
    blobs = ("a", "b") if '"pair"' in net else ("data",)
    text = deployed(net, dict.fromkeys(blobs, (3, 8, 8)))
    assert wiring(text) == expected
    for one in parsed(text).layer:
        assert [*one.include, *one.exclude, *one.loss_weight] == []


CROP = "transform_param { crop_size: 6"
SHAPES = {
    "a crop, and a mean for each channel": (
        data(fields=f"{CROP} mean_value: [1, 2, 3] }}"),
        [1, 3, 6, 6],
    ),
    "a crop of grey images": (data(fields=f"{CROP} force_gray: true }}"), [1, 1, 6, 6]),
    "a crop of coloured images": (data(fields=f"{CROP} force_color: true }}"), [1, 3, 6, 6]),
    "files": (
        layer(
            "d", "ImageData", "", "data label", "image_data_param { new_height: 5 new_width: 7 }"
        ),
        [1, 3, 5, 7],
    ),
    "grey files, cropped": (
        layer(
            *("d", "ImageData", "", "data label"),
            f"image_data_param {{ new_height: 9 new_width: 9 is_color: false }} {CROP} }}",
        ),
        [1, 1, 6, 6],
    ),
    "memory": (
        layer(
            *("d", "MemoryData", "", "data label"),
            "memory_data_param { batch_size: 9 channels: 2 height: 3 width: 4 }",
        ),
        [1, 2, 3, 4],
    ),
    "windows": (
        layer("d", "WindowData", "", "data label", f"{CROP} }} window_data_param {{ }}"),
        [1, 3, 6, 6],
    ),
    "one shape for all tops": (
        layer("d", "DummyData", "", "data label", "dummy_data_param { shape { dim: [7, 2] } }"),
        [7, 2],
    ),
    "a shape for each top": (
        layer(
            *("d", "Input", "", "label data"),
            "input_param { shape { dim: 7 } shape { dim: [7, 2] } }",
        ),
        [7, 2],
    ),
}


@pytest.mark.parametrize(("source", "expected"), SHAPES.values(), ids=SHAPES)
def test_shapes_that_the_net_tells(source: str, expected: list[int]) -> None:
    first = parsed(deployed(source + IP + LOSS)).layer[0]
    assert (first.type, list(first.top)) == ("Input", ["data"])
    assert [list(shape.dim) for shape in first.input_param.shape] == [expected]


@pytest.mark.parametrize("source", [source for source, _ in SHAPES.values()], ids=list(SHAPES))
def test_a_shape_that_is_given_wins(source: str) -> None:
    first = parsed(deployed(source + IP + LOSS, {"data": (4, 9)})).layer[0]
    assert [list(shape.dim) for shape in first.input_param.shape] == [[1, 4, 9]]


def test_a_label_that_the_net_reads_is_an_input() -> None:
    net = data() + layer("e", "Embed", "label", "e") + IP + layer("s", "Eltwise", "e ip", "s")
    first = parsed(deployed(net, IMAGE)).layer[0]
    assert list(first.top) == ["data", "label"]
    assert [list(shape.dim) for shape in first.input_param.shape] == [[1, 3, 8, 8], [1]]


TRANSFORMS = {
    "": None,
    'mean_file: "data/mean.binaryproto"': "pixels minus data/mean.binaryproto",
    "mean_value: 128 scale: 0.00390625": "pixels minus 128, times 0.00390625",
    "mirror: true crop_size: 8": None,
}


@pytest.mark.parametrize(("fields", "comment"), TRANSFORMS.items())
def test_a_comment_says_what_was_done_to_the_pixels(fields: str, comment: str | None) -> None:
    text = deployed(data(fields=f"transform_param {{ {fields} }}") + IP + LOSS, IMAGE)
    comments = [line.partition("  # ")[2] for line in text.splitlines() if "#" in line]
    assert comments == ([comment] if comment else [])


BAD: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "a size that nobody tells": (
        data() + IP + LOSS,
        {},
        ["net.prototxt: layer 'data' (Data)", "shape of its top 'data'", "give it"],
    ),
    "a crop, but no channels": (data(fields=f"{CROP} }}") + IP + LOSS, {}, ["'data'", "give it"]),
    "HDF5": (layer("h", "HDF5Data", "", "data label") + IP + LOSS, {}, ["'h' (HDF5Data)", "give"]),
    "a shape of no input": (
        data() + IP + LOSS,
        {**IMAGE, "ip": (3,)},
        ["net.prototxt: ", "'ip', which is no input", "'data' is"],
    ),
    "nothing but data": (data(), IMAGE, ["net.prototxt: ", "nothing to deploy"]),
    "labels alone": (
        data() + layer("loss", "SoftmaxWithLoss", "data label", "loss", "include { phase: TRAIN }"),
        {},
        ["'data'"],
    ),
    "no data": (layer("w", "Parameter", "", "w") + layer("r", "ReLU", "w", "r"), {}, ["nothing"]),
    "a blob of phase TRAIN alone": (
        data(fields="include { phase: TRAIN }") + IP + LOSS,
        IMAGE,
        ["net.prototxt: no layer of phase TEST writes 'data'"],
    ),
    "a loss of nothing": (
        data() + layer("loss", "SoftmaxWithLoss", "", "loss"),
        {},
        ["net.prototxt: layer 'loss' (SoftmaxWithLoss) has no bottom"],
    ),
    "old format": ('name: "n"\nlayers { type: CONVOLUTION }', {}, ["net.prototxt:2:1:", "2013"]),
    "old inputs": ('input: "data"\n' + IP, {}, ["net.prototxt:1:1:", 'type "Input"']),
    "of the fork": (
        'layer {\n type: "Convolution" weights_compress: "ULQ" }',
        {},
        [":2:22:", "weights_compress", "import-fork"],
    ),
    "unknown field": (layer("a", "ReLU", "b", "c", "weight: 1"), {}, ["no field 'weight'"]),
    "no text": ("layer {", {}, [":1:8:", "expected }"]),
}


@pytest.mark.parametrize(("net", "shapes", "words"), BAD.values(), ids=BAD)
def test_bad_nets(net: str, shapes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(PrototxtError) as caught:
        deployed(net, shapes)
    for word in words:
        assert word in str(caught.value)

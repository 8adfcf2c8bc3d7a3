"""Bad input of every kind, in one process: each an exception that says where and what is wrong.

Run as a script (`python tests/caffe/test_bad_input.py FOLDER`) it goes through the table without pytest.
"""

from __future__ import annotations

import errno
import gc
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import lmdb
import numpy as np
import pytest
from caffe.proto import caffe_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Case:
    """`do` works in an empty folder and raises `error`, whose message holds all of `words`."""

    name: str
    do: Callable[[Path], object]
    words: tuple[str, ...]
    error: type[Exception] = caffe.CaffeError


CASES: list[Case] = []


# What the cases are made of


def inputs(**shapes: tuple[int, ...]) -> str:
    """Input layers, by the name of their blob."""
    return "".join(
        f"layer {{ name: '{name}' type: 'Input' top: '{name}' input_param {{ shape {{ "
        + " ".join(f"dim: {extent}" for extent in shape)
        + " } } }\n"
        for name, shape in shapes.items()
    )


def layer(kind: str, bottoms: str, fields: str = "", *, tops: str = "y", name: str = "L") -> str:
    """A layer of type `kind`; bottoms and tops are blanks apart."""
    bottom = "".join(f"bottom: '{blob}' " for blob in bottoms.split())
    top = "".join(f"top: '{blob}' " for blob in tops.split())
    return f"layer {{ name: '{name}' type: '{kind}' {bottom}{top}{fields} }}\n"


def make_net(folder: Path, text: str | bytes, phase: int = caffe.TRAIN) -> Any:
    path = folder / "net.prototxt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return caffe.Net(path, phase)


def refused(name: str, text: str | bytes, *words: str, error: Any = caffe.CaffeError) -> None:
    """A net that cannot be made."""
    CASES.append(Case(name, lambda folder: make_net(folder, text), words, error))


def refused_layer(kind: str, what: str, text: str, *words: str, error: Any = None) -> None:
    """A net whose layer 'L' is refused."""
    place = f"Layer 'L' ({kind})"
    refused(f"{kind}: {what}", text, place, *words, error=error or caffe.CaffeError)


def fails(name: str, text: str, feed: dict[str, object], *words: str, phase: int = 0) -> None:
    """A net whose forward pass fails on the values of `feed`."""

    def do(folder: Path) -> None:
        net = make_net(folder, text, phase)
        for blob, values in feed.items():
            net.blobs[blob].data[...] = values
        net.forward()

    CASES.append(Case(name, do, words))


def fails_backward(name: str, text: str, feed: dict[str, object], *words: str) -> None:
    """A net whose labels are changed to those of `feed` between the passes."""

    def do(folder: Path) -> None:
        net = make_net(folder, "force_backward: true\n" + text)
        net.forward()
        for blob, values in feed.items():
            net.blobs[blob].data[...] = values
        net.backward()

    CASES.append(Case(name, do, words))


def case(
    name: str, *words: str, error: type[Exception] = caffe.CaffeError
) -> Callable[[Callable[[Path], object]], Callable[[Path], object]]:
    """Enter a function of a folder into the table."""

    def enter(do: Callable[[Path], object]) -> Callable[[Path], object]:
        CASES.append(Case(name, do, words, error))
        return do

    return enter


IMAGE = inputs(x=(2, 3, 4, 4))
SCORES = inputs(x=(2, 3), label=(2,))

# Text

TEXTS: list[tuple[str, str | bytes, list[str]]] = [
    (
        "an unknown field",
        "layer {\n pooling_parm { pool: MAX } }",
        ["net.prototxt:2:2", '"pooling_parm"', 'Did you mean "pooling_param"'],
    ),
    (
        "an unknown value",
        "layer { name: 'p'\n pooling_param { pool: MAXX } }",
        ["net.prototxt:2:24", '"MAXX"', 'Did you mean "MAX"', "(in layer 'p')"],
    ),
    ("a brace that is not closed", "layer { name: 'a'\n", ["net.prototxt:2:1", "(in layer 'a')"]),
    ("a word for a number", "layer { top: 'x' loss_weight: many }", ["net.prototxt:1:31", "many"]),
    ("a string without end", "layer { name: 'a }", ["net.prototxt:1", "string"]),
    (
        "a field that is missing",
        layer("Clip", "x", "clip_param { min: 0 }"),
        ["net.prototxt", "clip_param.max"],
    ),
    ("no text", b"\x00\xff\x12garbage", ["net.prototxt:1:1"]),
]
for label, content, places in TEXTS:
    refused(f"prototxt: {label}", content, *places)

# Nets

refused_layer(
    "Convoluton",
    "unknown",
    IMAGE + layer("Convoluton", "x"),
    "Unknown layer type: Convoluton",
    'Did you mean "Convolution"',
    "known types: ",
)
refused_layer("relu", "unknown", IMAGE + layer("relu", "x"), 'Did you mean "ReLU"')
refused_layer("", "unknown", IMAGE + layer("", "x"), "Unknown layer type: .")
refused_layer(
    "ReLU",
    "unknown bottom",
    inputs(data=(1, 2)) + layer("ReLU", "dta"),
    "Unknown bottom blob 'dta'",
    'Did you mean "data"?',
)
refused_layer("ReLU", "its own bottom", layer("ReLU", "y"), "Unknown bottom blob 'y'")
refused_layer(
    "ReLU",
    "a circle",
    layer("ReLU", "z") + layer("ReLU", "y", tops="z", name="M"),
    "Unknown bottom blob 'z'",
)
refused_layer(
    "ReLU",
    "top of another",
    IMAGE + layer("TanH", "x", name="M") + layer("ReLU", "x"),
    "'y' produced by multiple sources",
)
refused_layer(
    "EuclideanLoss", "one bottom", IMAGE + layer("EuclideanLoss", "x"), "takes 2 bottom blob(s)"
)
refused_layer("ReLU", "two tops", IMAGE + layer("ReLU", "x", tops="y z"), "produces 1 top blob(s)")
refused_layer("Input", "no top", "layer { name: 'L' type: 'Input' }", "at least 1 top blob")
refused_layer(
    "ReLU",
    "loss_weight",
    IMAGE + layer("ReLU", "x", "loss_weight: 1 loss_weight: 2"),
    "loss_weight must be",
)
refused_layer(
    "ReLU",
    "propagate_down",
    IMAGE + layer("ReLU", "x", "propagate_down: true propagate_down: true"),
    "propagate_down param must be specified",
)
refused_layer(
    "ReLU", "param", IMAGE + layer("ReLU", "x", "param { lr_mult: 1 }"), "Too many params"
)
refused(
    "net: include and exclude",
    IMAGE + layer("ReLU", "x", "include { phase: TEST } exclude { phase: TEST }"),
    "include rules or exclude rules; not both",
)
IP3, IP4 = (f"inner_product_param {{ num_output: {n} }} param {{ name: 'w' MORE }}" for n in (3, 4))
refused_layer(
    "InnerProduct",
    "shared weights of another shape",
    IMAGE
    + layer("InnerProduct", "x", IP3.replace("MORE", ""), name="M", tops="m")
    + layer("InnerProduct", "x", IP4.replace("MORE", "")),
    "Cannot share param 'w'",
    "shape mismatch",
)
refused_layer(
    "InnerProduct",
    "shared weights of another count",
    IMAGE
    + layer("InnerProduct", "x", IP3.replace("MORE", ""), name="M", tops="m")
    + layer("InnerProduct", "x", IP4.replace("MORE", "share_mode: PERMISSIVE")),
    "Cannot share param 'w'",
    "count mismatch",
)
refused_layer(
    "InnerProduct",
    "shared weights with another lr_mult",
    IMAGE
    + layer("InnerProduct", "x", IP3.replace("MORE", "lr_mult: 1"), name="M", tops="m")
    + layer("InnerProduct", "x", IP3.replace("MORE", "lr_mult: 2")),
    "Shared param 'w' has mismatched lr_mult",
)
refused(
    "net: three numbers for input_dim",
    "input: 'x' input_dim: 1 input_dim: 2 input_dim: 3",
    "four of input_dim",
)
refused(
    "net: two inputs of one shape",
    "input: 'x' input: 'y' input_shape { dim: 1 }",
    "one input_shape",
)

# Parameters of layers

PARAMETERS = [
    ("Convolution", "group 0", "num_output: 3 kernel_size: 1 group: 0", "group must be positive"),
    (
        "Convolution",
        "group 2 of 3",
        "num_output: 2 kernel_size: 1 group: 2",
        "group is 2; must divide",
    ),
    ("Convolution", "stride 0", "num_output: 3 kernel_size: 1 stride: 0", "Stride dimensions"),
    (
        "Convolution",
        "stride_w 0",
        "num_output: 3 kernel_size: 1 stride_h: 1 stride_w: 0",
        "Stride dim",
    ),
    (
        "Convolution",
        "kernel 0",
        "num_output: 3 kernel_size: 0",
        "Filter dimensions must be nonzero",
    ),
    ("Convolution", "no kernel", "num_output: 3", "kernel_size must be specified"),
    (
        "Convolution",
        "kernel too large",
        "num_output: 3 kernel_size: 7 pad: 1",
        "larger than the padded",
    ),
    (
        "Convolution",
        "dilated too far",
        "num_output: 3 kernel_size: 3 dilation: 2",
        "larger than the pad",
    ),
    ("Convolution", "no outputs", "kernel_size: 1", "num_output_ > 0"),
    ("Convolution", "axis", "num_output: 1 kernel_size: 1 axis: 9", "axis 9 out of range"),
    (
        "Convolution",
        "filler",
        "num_output: 1 kernel_size: 1 weight_filler { type: 'xavir' }",
        "xavir",
    ),
    (
        "Convolution",
        "std",
        "num_output: 1 kernel_size: 1 weight_filler { type: 'gaussian' std: -1 }",
        "sigma > 0",
    ),
    (
        "Convolution",
        "min > max",
        "num_output: 1 kernel_size: 1 weight_filler { type: 'uniform' min: 2 max: 1 }",
        "a <= b",
    ),
    ("Deconvolution", "pad", "num_output: 1 kernel_size: 1 pad: 5", "padding leaves no output"),
    ("Im2col", "kernel too large", "kernel_size: 5", "larger than the padded input"),
    ("Pooling", "stride 0", "kernel_size: 2 stride: 0", "pooling_param.stride must be positive"),
    ("Pooling", "kernel too large", "kernel_size: 9", "9 x 9, is larger than the padded input"),
    ("Pooling", "no kernel", "stride: 2", "kernel_size OR kernel_h and kernel_w"),
    ("Pooling", "pad", "kernel_size: 2 pad: 2", "pad_h_ < kernel_h_"),
    ("LRN", "even size", "local_size: 4", "odd values for local_size"),
    ("InnerProduct", "no outputs", "", "num_output must be positive"),
    ("Dropout", "ratio 1.5", "dropout_ratio: 1.5", "dropout_ratio is 1.5; must be in [0, 1)"),
    ("Concat", "axis", "axis: 7", "axis 7 out of range"),
    ("Flatten", "axis", "axis: -9", "axis -9 out of range"),
    ("Tile", "tiles", "axis: 1 tiles: -1", "shape[i] >= 0"),
    ("Log", "base", "base: -2", "base must be strictly positive"),
    ("ArgMax", "top_k", "top_k: 100", "top_k must be less than or equal"),
    ("Reshape", "count", "shape { dim: 5 dim: -1 }", "must be divisible"),
    ("Reshape", "two -1", "shape { dim: -1 dim: -1 }", "contains multiple -1 dims"),
    ("Slice", "three into two", "slice_dim: 1", "Number of top blobs (2)"),
    ("Slice", "points", "slice_point: 9", "shape[i] >= 0"),
    ("Embed", "no indices", "num_output: 2", "input_dim must be positive"),
    ("Scale", "axis", "axis: 2 num_axes: 4", "scale blob's shape extends past bottom[0]'s shape"),
    ("Reduction", "axis", "axis: 8", "axis 8 out of range"),
]
for kind, what, fields, found in PARAMETERS:
    group = {
        "Deconvolution": "convolution",
        "Im2col": "convolution",
        "InnerProduct": "inner_product",
        "ArgMax": "argmax",
    }.get(kind, kind.lower())
    refused_layer(
        kind,
        what,
        IMAGE
        + layer(kind, "x", f"{group}_param {{ {fields} }}", tops="y z" if kind == "Slice" else "y"),
        found,
    )

SHAPES = [
    (
        "Concat",
        "shapes",
        inputs(a=(2, 3), b=(3, 3)) + layer("Concat", "a b"),
        "All inputs must have the same shape, except at concat_axis",
    ),
    ("Eltwise", "shapes", inputs(a=(2, 3), b=(2, 4)) + layer("Eltwise", "a b"), "bottom[0]"),
    (
        "Eltwise",
        "coeff",
        inputs(a=(2, 3), b=(2, 3)) + layer("Eltwise", "a b", "eltwise_param { coeff: 1 }"),
        "one coefficient per bottom blob",
    ),
    (
        "Crop",
        "larger",
        inputs(a=(2, 3, 4, 4), b=(2, 3, 6, 6)) + layer("Crop", "a b"),
        "the crop for",
    ),
    ("Filter", "selector", inputs(a=(2, 3), b=(3,)) + layer("Filter", "a b"), "same 0th dimension"),
    ("Flatten", "in place", IMAGE + layer("Flatten", "x", tops="x"), "in-place computation"),
    ("Reshape", "in place", IMAGE + layer("Reshape", "x", tops="x"), "in-place computation"),
    (
        "Reshape",
        "-1 beside 0",
        inputs(x=(0, 3)) + layer("Reshape", "x", "reshape_param { shape { dim: 0 dim: -1 } }"),
        "cannot be inferred",
    ),
    ("BatchNorm", "lr_mult", IMAGE + layer("BatchNorm", "x", "param { lr_mult: 1 }"), "lr_mult"),
    (
        "EuclideanLoss",
        "sizes",
        inputs(a=(2, 3), b=(2, 4)) + layer("EuclideanLoss", "a b"),
        "Inputs must have the same dimension",
    ),
    (
        "SoftmaxWithLoss",
        "label count",
        inputs(a=(2, 3), b=(4,)) + layer("SoftmaxWithLoss", "a b"),
        "same first dimension",
    ),
    (
        "SoftmaxWithLoss",
        "empty",
        inputs(a=(0, 3), b=(0,)) + layer("SoftmaxWithLoss", "a b"),
        "empty",
    ),
    ("Softmax", "empty", inputs(x=(0, 3)) + layer("Softmax", "x"), "the input is empty"),
    (
        "Accuracy",
        "empty",
        inputs(a=(0, 3), b=(0,)) + layer("Accuracy", "a b"),
        "the batch is empty",
    ),
    (
        "Accuracy",
        "top_k",
        SCORES + layer("Accuracy", "x label", "accuracy_param { top_k: 4 }"),
        "top_k must be less than or equal to the number of classes",
    ),
    (
        "HingeLoss",
        "empty",
        inputs(a=(0, 3), b=(0,)) + layer("HingeLoss", "a b"),
        "the batch is empty",
    ),
    ("MVN", "empty", inputs(x=(0, 3, 2, 2)) + layer("MVN", "x"), "the input is empty"),
    ("BatchNorm", "empty", inputs(x=(0, 3)) + layer("BatchNorm", "x"), "the input is empty"),
    ("ArgMax", "empty", inputs(x=(0, 3)) + layer("ArgMax", "x"), "the input is empty"),
    (
        "BatchReindex",
        "empty",
        inputs(a=(0, 3), b=(2,)) + layer("BatchReindex", "a b"),
        "batch is empty",
    ),
    ("Filter", "empty", inputs(a=(0, 3), b=(0,)) + layer("Filter", "a b"), "the batch is empty"),
    (
        "Input",
        "negative",
        "layer { name: 'L' type: 'Input' top: 'y' input_param { shape { dim: -1 } } }",
        "shape[i] >= 0",
    ),
    ("Input", "overflow", inputs(L=(1 << 20, 1 << 20)), "exceeds INT_MAX"),
    ("Input", "axes", inputs(L=(1,) * 33), "<= kMaxBlobAxes"),
    (
        "InnerProduct",
        "blobs",
        IMAGE
        + layer(
            "InnerProduct",
            "x",
            "inner_product_param { num_output: 2 } "
            "blobs { shape { dim: 1 } data: 1 } blobs { shape { dim: 1 } data: 1 }",
        ),
        "Incorrect weight shape",
    ),
    (
        "BatchNorm",
        "blobs",
        IMAGE + layer("BatchNorm", "x", "blobs { shape { dim: 1 } data: 1 } " * 3),
        "Incorrect shape of the statistics",
    ),
    (
        "BatchNorm",
        "number of blobs",
        IMAGE + layer("BatchNorm", "x", "blobs { shape { dim: 1 } data: 1 }"),
        "Incorrect number of blobs",
    ),
    (
        "ReLU",
        "quantization_param",
        IMAGE + layer("ReLU", "x", "quantization_param { weight { bits: 2 } }"),
        "does not read quantization_param",
    ),
    (
        "QuantizedConvolution",
        "bits",
        IMAGE
        + layer(
            "QuantizedConvolution",
            "x",
            "convolution_param { "
            "num_output: 1 kernel_size: 1 } quantization_param { weight { bits: 99 } }",
        ),
        "bits is 99",
    ),
    (
        "LSTM",
        "continuation",
        inputs(x=(2, 1, 3), cont=(3, 1))
        + layer("LSTM", "x cont", "recurrent_param { num_output: 2 }"),
        "T_ == bottom[1]->shape(0)",
    ),
]
for kind, what, text, found in SHAPES:
    refused_layer(kind, what, text, found)

# Labels and indices

for kind, bad in [
    ("SoftmaxWithLoss", 3),
    ("SoftmaxWithLoss", -1),
    ("Accuracy", 3),
    ("MultinomialLogisticLoss", 7),
    ("HingeLoss", 3),
    ("SoftmaxWithLoss", 1e9),
]:
    fails(
        f"{kind}: label {bad}",
        SCORES + layer(kind, "x label"),
        {"x": 1, "label": bad},
        f"Layer 'L' ({kind}): ",
        f"label {int(bad)} is out of range; must be in 0..2",
    )
for kind in ("SoftmaxWithLoss", "MultinomialLogisticLoss", "HingeLoss"):
    fails_backward(
        f"{kind}: label in the backward pass",
        SCORES + layer(kind, "x label"),
        {"label": 5},
        f"Layer 'L' ({kind}): ",
        "label 5 is out of range; must be in 0..2",
    )
INFOGAIN = SCORES + inputs(h=(3, 3)) + layer("InfogainLoss", "x label h")
fails(
    "InfogainLoss: label",
    INFOGAIN,
    {"label": 3},
    "Layer 'L' (InfogainLoss)",
    "label 3 is out of range",
)
refused_layer(
    "InfogainLoss",
    "no source",
    SCORES + layer("InfogainLoss", "x label"),
    "Infogain matrix source must be specified",
)
refused_layer(
    "InfogainLoss",
    "H",
    SCORES + inputs(h=(2, 3)) + layer("InfogainLoss", "x label h"),
    "num_labels_*num_labels_",
)
for bad in (4, -1):
    fails(
        f"Embed: index {bad}",
        inputs(i=(2,)) + layer("Embed", "i", "embed_param { num_output: 2 input_dim: 4 }"),
        {"i": bad},
        "Layer 'L' (Embed)",
        f"index {bad} is out of range; must be in 0..3",
    )
    fails(
        f"BatchReindex: index {bad}",
        inputs(a=(2, 3), i=(5,)) + layer("BatchReindex", "a i"),
        {"i": bad},
        "Layer 'L' (BatchReindex)",
        "Index specified for reindex layer",
    )

# Databases


def write_lmdb(path: Path, count: int, *, size: int = 12, damaged: int = -1) -> None:
    datum = caffe_pb2.Datum(channels=1, height=size // 4, width=4, data=bytes(size), label=1)
    with lmdb.open(str(path), map_size=1 << 20) as env, env.begin(write=True) as transaction:
        for i in range(count):
            value = b"\xff\xff" if i == damaged else datum.SerializeToString()
            transaction.put(b"%04d" % i, value)


def data_layer(source: Path, fields: str = "batch_size: 2 backend: LMDB", more: str = "") -> str:
    return layer("Data", "", f"data_param {{ source: '{source}' {fields} }} {more}", tops="d l")


def data_case(
    name: str, prepare: Callable[[Path], object], *words: str, error: Any = None, **options: str
) -> None:
    """A Data layer whose source is folder/db, as `prepare` makes it, in training."""

    def do(folder: Path) -> None:
        prepare(folder / "db")
        make_net(
            folder, data_layer(folder / "db", **options).replace("FOLDER", str(folder))
        ).forward()

    CASES.append(
        Case(f"Data: {name}", do, ("Layer 'L' (Data): ", *words), error or caffe.CaffeError)
    )


def spoil(path: Path, content: bytes) -> None:
    path.mkdir()
    (path / "data.mdb").write_bytes(content)


def cut_short(path: Path) -> None:
    write_lmdb(path, 500)
    os.truncate(path / "data.mdb", (path / "data.mdb").stat().st_size // 2)


def mistake_pages(path: Path) -> None:
    """Mark leaves as branches, but for the first: LMDB finds out by an assertion."""
    write_lmdb(path, 500)
    content = bytearray((path / "data.mdb").read_bytes())
    for page in range(2 * 4096, len(content), 4096):
        is_leaf = content[page + 10] == 2
        if is_leaf and b"0000" not in content[page : page + 4096]:
            content[page + 10] = 1
    (path / "data.mdb").write_bytes(content)


def good(path: Path) -> None:
    write_lmdb(path, 4)


def mean(path: Path, *shape: int) -> None:
    blob = caffe_pb2.BlobProto(data=[0.0] * int(np.prod(shape)))
    blob.shape.dim.extend(shape)
    path.write_bytes(blob.SerializeToString())


def with_mean(*shape: int) -> Callable[[Path], None]:
    def prepare(path: Path) -> None:
        good(path)
        mean(path.parent / "mean", *shape)

    return prepare


def with_text_mean(path: Path) -> None:
    good(path)
    (path.parent / "mean").write_text("no mean", encoding="ascii")


LEVELDB = "batch_size: 2 backend: LEVELDB"
MEAN = "transform_param { mean_file: 'FOLDER/mean' }"
data_case("missing LMDB", lambda _: None, "No such file", "/db", error=FileNotFoundError)
data_case(
    "missing LevelDB",
    lambda _: None,
    "No such file",
    "/db",
    error=FileNotFoundError,
    fields=LEVELDB,
)
data_case("empty folder as LMDB", lambda path: path.mkdir(), "/db", "No such file or directory")
data_case("file as LMDB", lambda path: path.write_bytes(b"no db"), "/db", "Not a directory")
data_case("garbage as LMDB", lambda path: spoil(path, b"garbage" * 5000), "/db", "not an LMDB file")
data_case("LMDB cut short", cut_short, "/db is cut short")
data_case(
    "wrong pages in an LMDB",
    mistake_pages,
    "The LMDB is damaged",
    fields="batch_size: 200 backend: LMDB",
)
data_case("no records", lambda path: write_lmdb(path, 0), "/db holds no records")
data_case(
    "folder without LevelDB", lambda path: path.mkdir(), "/db", "does not exist", fields=LEVELDB
)
data_case("batch of 0", good, "batch_size must be positive", fields="batch_size: 0 backend: LMDB")
data_case("no batch size", good, "batch_size must be positive", fields="backend: LMDB")
data_case(
    "prefetch 0",
    good,
    "prefetch must be positive",
    fields="batch_size: 2 backend: LMDB prefetch: 0",
)
data_case(
    "damaged first record",
    lambda path: write_lmdb(path, 4, damaged=0),
    "record '0000' of",
    "/db is damaged",
)
data_case(
    "damaged record",
    lambda path: write_lmdb(path, 4, damaged=1),
    "record '0001' of",
    "/db is damaged",
)
data_case("crop", good, "datum_height >= crop_size", more="transform_param { crop_size: 9 }")
data_case("missing mean", good, "No such file", "/mean", error=FileNotFoundError, more=MEAN)
data_case("text as mean", with_text_mean, "/mean is damaged, or no caffe.BlobProto", more=MEAN)
data_case("mean of another size", with_mean(1, 1, 9, 9), "data_mean_.height()", more=MEAN)
data_case("mean of other channels", with_mean(1, 2, 3, 4), "data_mean_.channels()", more=MEAN)
data_case("mean values", good, "mean_value", more="transform_param { mean_value: 1 mean_value: 2 }")
data_case(
    "mean file and value",
    with_mean(1, 1, 3, 4),
    "mean_file and mean_value at the same time",
    more="transform_param { mean_file: 'FOLDER/mean' mean_value: 1 }",
)

# HDF5


def write_h5(path: Path, data: NDArray[Any], label: NDArray[Any]) -> None:
    """Datasets 'data' and 'label', four axes each."""
    text = inputs(data=data.shape, label=label.shape) + (
        f"layer {{ name: 'out' type: 'HDF5Output' bottom: 'data' bottom: 'label' "
        f"hdf5_output_param {{ file_name: '{path}' }} }}"
    )
    net = make_net(path.parent, text)
    net.blobs["data"].data[...] = data
    net.blobs["label"].data[...] = label
    net.forward()
    del net
    gc.collect()


def hdf5_case(name: str, prepare: Callable[[Path], object], *words: str, **more: Any) -> None:
    """An HDF5Data layer whose source is folder/list."""
    top, error = more.get("top", "data"), more.get("error", caffe.CaffeError)

    def do(folder: Path) -> None:
        prepare(folder)
        text = layer(
            "HDF5Data", "", f"hdf5_data_param {{ source: '{folder}/list' batch_size: 2 }}", tops=top
        )
        net = make_net(folder, text)
        for _ in range(3):
            net.forward()

    CASES.append(Case(f"HDF5Data: {name}", do, ("Layer 'L' (HDF5Data): ", *words), error))


def listing(*names: str) -> Callable[[Path], None]:
    """A list of files: those called *.h5 are good, text.h5 is text, wide.h5 has longer rows."""

    def prepare(folder: Path) -> None:
        for name in names:
            if name == "text.h5":
                (folder / name).write_text("no HDF5", encoding="ascii")
            elif name.endswith(".h5"):
                width = 5 if name == "wide.h5" else 2
                write_h5(folder / name, np.ones((2, 1, 1, width)), np.ones((2, 1, 1, 1)))
        content = "".join(f"{folder / name}\n" for name in names)
        (folder / "list").write_text(content, encoding="utf-8")

    return prepare


hdf5_case("missing list", lambda _: None, "No such file", "/list", error=FileNotFoundError)
hdf5_case("empty list", listing(), "at least 1 HDF5 filename")
hdf5_case("missing file", listing("nothing"), "No such file", "/nothing", error=FileNotFoundError)
hdf5_case("text", listing("text.h5"), "/text.h5 is no readable HDF5 file")
hdf5_case("missing dataset", listing("a.h5"), "Failed to find HDF5 dataset other", top="other")
hdf5_case(
    "longer rows in the second file", listing("a.h5", "wide.h5"), "/wide.h5 are not of the size"
)
refused_layer(
    "HDF5Output",
    "missing folder",
    inputs(a=(1, 1), b=(1, 1)) + "layer { name: 'L' type: 'HDF5Output' bottom: 'a' bottom: 'b' "
    "hdf5_output_param { file_name: '/nowhere/at/all.h5' } }",
    "/nowhere/at/all.h5",
)

# Weights

WEIGHTS = inputs(x=(1, 3)) + layer("InnerProduct", "x", "inner_product_param { num_output: 2 }")
LARGER = WEIGHTS.replace("num_output: 2", "num_output: 4")


def load(text: str, save: str, name: str) -> Callable[[Path], None]:
    """Save the weights of WEIGHTS, and load them into the net of `text`."""

    def do(folder: Path) -> None:
        getattr(make_net(folder, WEIGHTS), save)(folder / name)
        make_net(folder, text).copy_from(folder / name)

    return do


def load_content(content: bytes, name: str = "w.caffemodel") -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        (folder / name).write_bytes(content)
        make_net(folder, WEIGHTS).copy_from(folder / name)

    return do


def load_cut_short(folder: Path, save: str, name: str) -> None:
    net = make_net(folder, WEIGHTS)
    getattr(net, save)(folder / name)
    os.truncate(folder / name, (folder / name).stat().st_size * 2 // 3)
    net.copy_from(folder / name)


case("weights: another shape", "layer 'L'", "shape mismatch")(load(LARGER, "save", "w"))
case("weights: another shape, HDF5", "shape mismatch")(load(LARGER, "save_hdf5", "w.caffemodel.h5"))
case("weights: no bias", "Incompatible number of blobs for layer L")(
    load(WEIGHTS.replace("2 }", "2 bias_term: false }"), "save", "w")
)
case("weights: text", "w.caffemodel")(load_content(b"these are no weights"))
case("weights: cut short", "w.caffemodel")(lambda f: load_cut_short(f, "save", "w.caffemodel"))
case("weights: HDF5 cut short", "w.h5")(lambda f: load_cut_short(f, "save_hdf5", "w.h5"))
case("weights: missing", "nothing.h5", error=FileNotFoundError)(
    lambda folder: make_net(folder, WEIGHTS).copy_from(folder / "nothing.h5")
)
case("weights: to a missing folder", "/none/w.h5")(
    lambda folder: make_net(folder, WEIGHTS).save_hdf5(folder / "none" / "w.h5")
)

# Solvers

TRAIN = (
    "layer { name: 'x' type: 'DummyData' top: 'x' top: 't' "
    "dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 2 } } }\n"
    + layer("InnerProduct", "x", "inner_product_param { num_output: 2 }", name="ip")
    + layer("EuclideanLoss", "y t", tops="loss")
)


def make_solver(folder: Path, text: str = TRAIN, **fields: Any) -> Any:
    (folder / "train.prototxt").write_text(text, encoding="utf-8")
    defaults: dict[str, Any] = {
        "net": str(folder / "train.prototxt"),
        "base_lr": 0.1,
        "lr_policy": "fixed",
        "snapshot_prefix": str(folder / "s"),
    }
    chosen = {key: value for key, value in {**defaults, **fields}.items() if value is not None}
    return caffe.get_solver(caffe_pb2.SolverParameter(**chosen))


def solver_case(name: str, *words: str, error: Any = caffe.CaffeError, **fields: Any) -> None:
    """A solver that cannot be made, or cannot do its first steps."""
    case(f"solver: {name}", *words, error=error)(
        lambda folder: make_solver(folder, **fields).step(2)
    )


solver_case(
    "unknown type", "Unknown solver type: Nestrov", 'Did you mean "Nesterov"', type="Nestrov"
)
solver_case(
    "unknown policy", "learning rate policy: polly", 'Did you mean "poly"', lr_policy="polly"
)
solver_case("no stepsize", "stepsize() > 0", lr_policy="step", gamma=0.1)
solver_case("gamma", "gamma() >= 0", lr_policy="exp", gamma=-1)
solver_case("no net", "must specify a train net", net=None)
solver_case("two nets", "must not contain more than one", train_net="other")
solver_case("missing net", "/nowhere.prototxt", net="/nowhere.prototxt", error=FileNotFoundError)
solver_case(
    "missing test net",
    "/nowhere",
    test_net=["/nowhere"],
    test_iter=[1],
    test_interval=1,
    error=FileNotFoundError,
)
solver_case("missing weights", "/nowhere", weights=["/nowhere"], error=FileNotFoundError)
solver_case("test_interval", "test_interval() > 0", test_iter=[1])
solver_case("test_iter", "test_iter must be specified", test_net=["a"], test_interval=1)
solver_case(
    "test_state",
    "test_state must be unspecified",
    test_iter=[1],
    test_interval=1,
    test_state=[caffe_pb2.NetState()] * 2,
)
solver_case("average_loss", "average_loss must be positive", average_loss=0)
solver_case("iter_size", "iter_size must be positive", iter_size=0)
solver_case(
    "regularization", "Unknown regularization type: L3", regularization_type="L3", weight_decay=0.1
)
solver_case("momentum", "Momentum cannot be used with AdaGrad", type="AdaGrad", momentum=0.9)
solver_case("no prefix", "snapshot_prefix is not", snapshot=1, snapshot_prefix=None)
solver_case(
    "prefix",
    "Cannot write to snapshot prefix '/nowhere/s'",
    snapshot=1,
    snapshot_prefix="/nowhere/s",
)


@case(
    "solver: layer of its net", "Layer 'L' (EuclideanLoss): ", "Inputs must have the same dimension"
)
def _(folder: Path) -> None:
    make_solver(folder, TRAIN.replace("num_output: 2", "num_output: 5"))


@case(
    "solver: label in a step",
    "Layer 'L' (SoftmaxWithLoss): ",
    "label 9 is out of range; must be in 0..1",
)
def _(folder: Path) -> None:
    net = TRAIN.replace("dim: 2 dim: 2", "dim: 2").replace("EuclideanLoss", "SoftmaxWithLoss")
    filler = "data_filler { value: 1 } data_filler { value: 9 } } }\n"
    make_solver(folder, net.replace("} } }\n", "} " + filler, 1)).step(1)


@case("snapshot: missing folder", "Cannot write", "/none/s_iter_0.caffemodel", "No such file")
def _(folder: Path) -> None:
    make_solver(folder, snapshot_prefix=str(folder / "none" / "s")).snapshot()


@case(
    "snapshot: missing folder, HDF5",
    "Cannot write",
    "/none/s_iter_0.caffemodel.h5",
    "No such file",
)
def _(folder: Path) -> None:
    make_solver(folder, snapshot_prefix=str(folder / "none" / "s"), snapshot_format=0).snapshot()


@case("snapshot: disk full", "Cannot write", "s_iter_0.caffemodel", "No space left on device")
def _(folder: Path) -> None:
    (folder / "s_iter_0.caffemodel").symlink_to("/dev/full")
    make_solver(folder).snapshot()


def restore(
    change: Callable[[Path], object] = lambda _: None, **fields: Any
) -> Callable[[Path], None]:
    """Snapshot an SGD solver, change the files, restore into a solver with `fields`.

    The solver that could not restore is as before.
    """

    def do(folder: Path) -> None:
        kept = {key: value for key, value in fields.items() if key == "snapshot_format"}
        solver = make_solver(folder, **kept)
        solver.step(2)
        solver.snapshot()
        change(folder)
        other = make_solver(folder, **fields)
        suffix = ".h5" if kept else ""
        try:
            other.restore(folder / f"s_iter_2.solverstate{suffix}")
        finally:
            assert other.iter == 0

    return do


def replace_state(content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "s_iter_2.solverstate").write_bytes(content)


WIDER = TRAIN.replace("num_output: 2", "num_output: 4").replace("dim: 2 dim: 2", "dim: 2 dim: 4")
STATE = "s_iter_2.solverstate"
case("restore: garbage", STATE, "damaged")(restore(replace_state(b"garbage")))
case("restore: another solver", STATE, "another type of solver")(restore(type="Adam", momentum=0.9))
case("restore: another solver, HDF5", STATE, "another type of solver")(
    restore(type="Adam", momentum=0.9, snapshot_format=0)
)


@case("restore: another net", STATE, "the history of another net: blob 0 is not of shape 4 3")
def _(folder: Path) -> None:
    solver = make_solver(folder)
    solver.step(2)
    solver.snapshot()
    make_solver(folder, WIDER).restore(folder / STATE)


@case("restore: weights gone", "s_iter_2.caffemodel", error=FileNotFoundError)
def _(folder: Path) -> None:
    solver = make_solver(folder)
    solver.step(2)
    solver.snapshot()
    (folder / "s_iter_2.caffemodel").unlink()
    solver.step(1)
    try:
        solver.restore(folder / STATE)
    finally:
        assert solver.iter == 3


# Calls

case("call: phase", "phase is 7", error=ValueError)(lambda folder: make_net(folder, WEIGHTS, 7))
case("call: layers of a forward pass", "layers_.size()")(
    lambda folder: make_net(folder, WEIGHTS)._forward(0, 99)
)
case("call: negative shape", "shape[i] >= 0")(
    lambda folder: make_net(folder, WEIGHTS).blobs["x"].reshape(-1, 3)
)
case("call: GPU", "Cannot use the GPU")(lambda _: caffe.set_mode_gpu())
case("call: solver_count", "solver_count is 0", error=ValueError)(
    lambda _: caffe.set_solver_count(0)
)
case("call: log level", "level is 9", error=ValueError)(lambda _: caffe.init_log(9))


@case("call: an input that no longer fits", "Layer 'L' (InnerProduct): ", "Input size incompatible")
def _(folder: Path) -> None:
    net = make_net(folder, WEIGHTS)
    net.blobs["x"].reshape(1, 5)
    net.reshape()


@case(
    "call: forward with an input that no longer fits", "Layer 'L' (InnerProduct): ", "incompatible"
)
def _(folder: Path) -> None:
    net = make_net(folder, WEIGHTS)
    net.blobs["x"].reshape(1, 5)
    net.forward()


def check(entry: Case, folder: Path) -> None:
    """The case raises what it should, and a good net still computes what it should."""
    try:
        entry.do(folder)
    except entry.error as error:
        message = str(error)
        assert all(word in message for word in entry.words), f"{entry.words} in {message}"
    else:
        raise AssertionError(f"{entry.name}: nothing was raised")
    net = make_net(folder, WEIGHTS)
    net.params["L"][0].data[...] = [[1, 2, 3], [4, 5, 6]]
    net.params["L"][1].data[...] = [10, 20]
    assert net.forward(x=np.array([[1, 0, -1]]))["y"].tolist() == [[8, 18]]


@pytest.mark.parametrize("entry", CASES, ids=lambda entry: entry.name)
def test_bad_input_is_an_exception(entry: Case, tmp_path: Path) -> None:
    check(entry, tmp_path)


def test_a_missing_file_is_an_oserror_and_a_caffe_error(tmp_path: Path) -> None:
    missing = tmp_path / "nöthing"
    with pytest.raises(FileNotFoundError) as raised:
        make_net(tmp_path, data_layer(missing))
    error = raised.value
    assert isinstance(error, caffe.CaffeFileNotFoundError)
    assert isinstance(error, caffe.CaffeError)
    assert (error.errno, error.filename) == (errno.ENOENT, str(missing))
    assert str(error).count(str(missing)) == 1
    assert re.search(r"Layer 'L' \(Data\): No such file .* \[db_lmdb\.cpp:\d+\]", str(error))


def test_all_bad_input_in_a_process_of_its_own(tmp_path: Path) -> None:
    """The end of the process, too, is quiet."""
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("GLOG_")}
    result = subprocess.run(
        [sys.executable, __file__, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=quiet,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == f"{len(CASES)} cases\n"


def main(folder: Path) -> None:
    for number, entry in enumerate(CASES):
        place = folder / str(number)
        place.mkdir()
        check(entry, place)
    sys.stdout.write(f"{len(CASES)} cases\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Bottoms, tops and stored blobs whose shapes a layer cannot take."""

from __future__ import annotations

from tests.caffe.bad_input.cases import IMAGE, layer, refused_layer
from tests.small_nets import inputs

# A row holds the type of the layer, what is wrong, the net, and words of the message.
SHAPES = [
    (
        "Concat",
        "shapes",
        inputs(a=(2, 3), b=(3, 3)) + layer("Concat", "a b"),
        "All inputs must have the same shape, except at concat_axis",
    ),
    ("Eltwise", "shapes", inputs(a=(2, 3), b=(2, 4)) + layer("Eltwise", "a b"), "bottom[0]"),
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
        "has the extent -1",
    ),
    ("Input", "1 in 32 bits", inputs(L=((1 << 32) + 1,)), "has the extent 4294967297"),
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
        "LSTM",
        "continuation",
        inputs(x=(2, 1, 3), cont=(3, 1))
        + layer("LSTM", "x cont", "recurrent_param { num_output: 2 }"),
        "T_ == bottom[1]->shape(0)",
    ),
]

CASES = [refused_layer(*row) for row in SHAPES]

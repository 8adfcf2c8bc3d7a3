"""Nets whose layers do not fit together."""

from __future__ import annotations

from tests.caffe.bad_input.cases import IMAGE, layer, refused, refused_layer
from tests.small_nets import inputs

IP3, IP4 = (f"inner_product_param {{ num_output: {n} }} param {{ name: 'w' MORE }}" for n in (3, 4))

CASES = [
    refused_layer(
        "Convoluton",
        "unknown",
        IMAGE + layer("Convoluton", "x"),
        "Unknown layer type: Convoluton",
        'Did you mean "Convolution"',
        "known types: ",
    ),
    refused_layer("relu", "unknown", IMAGE + layer("relu", "x"), 'Did you mean "ReLU"'),
    refused_layer("", "unknown", IMAGE + layer("", "x"), "Unknown layer type: ."),
    refused_layer(
        "ReLU",
        "unknown bottom",
        inputs(data=(1, 2)) + layer("ReLU", "dta"),
        "Unknown bottom blob 'dta'",
        'Did you mean "data"?',
    ),
    refused_layer("ReLU", "its own bottom", layer("ReLU", "y"), "Unknown bottom blob 'y'"),
    refused_layer(
        "ReLU",
        "a circle",
        layer("ReLU", "z") + layer("ReLU", "y", tops="z", name="M"),
        "Unknown bottom blob 'z'",
    ),
    refused_layer(
        "ReLU",
        "top of another",
        IMAGE + layer("TanH", "x", name="M") + layer("ReLU", "x"),
        "'y' produced by multiple sources",
    ),
    refused_layer(
        "EuclideanLoss", "one bottom", IMAGE + layer("EuclideanLoss", "x"), "takes 2 bottom blob(s)"
    ),
    refused_layer(
        "ReLU", "two tops", IMAGE + layer("ReLU", "x", tops="y z"), "produces 1 top blob(s)"
    ),
    refused_layer("Input", "no top", "layer { name: 'L' type: 'Input' }", "at least 1 top blob"),
    refused_layer(
        "ReLU",
        "loss_weight",
        IMAGE + layer("ReLU", "x", "loss_weight: 1 loss_weight: 2"),
        "loss_weight must be",
    ),
    refused_layer(
        "ReLU",
        "propagate_down",
        IMAGE + layer("ReLU", "x", "propagate_down: true propagate_down: true"),
        "propagate_down param must be specified",
    ),
    refused_layer(
        "ReLU", "param", IMAGE + layer("ReLU", "x", "param { lr_mult: 1 }"), "Too many params"
    ),
    refused(
        "net: include and exclude",
        IMAGE + layer("ReLU", "x", "include { phase: TEST } exclude { phase: TEST }"),
        "include rules or exclude rules; not both",
    ),
    refused_layer(
        "InnerProduct",
        "shared weights of another shape",
        IMAGE
        + layer("InnerProduct", "x", IP3.replace("MORE", ""), name="M", tops="m")
        + layer("InnerProduct", "x", IP4.replace("MORE", "")),
        "Cannot share param 'w'",
        "shape mismatch",
    ),
    refused_layer(
        "InnerProduct",
        "shared weights of another count",
        IMAGE
        + layer("InnerProduct", "x", IP3.replace("MORE", ""), name="M", tops="m")
        + layer("InnerProduct", "x", IP4.replace("MORE", "share_mode: PERMISSIVE")),
        "Cannot share param 'w'",
        "count mismatch",
    ),
    refused_layer(
        "InnerProduct",
        "shared weights with another lr_mult",
        IMAGE
        + layer("InnerProduct", "x", IP3.replace("MORE", "lr_mult: 1"), name="M", tops="m")
        + layer("InnerProduct", "x", IP3.replace("MORE", "lr_mult: 2")),
        "Shared param 'w' has mismatched lr_mult",
    ),
    refused(
        "net: two layers with weights of one name",
        IMAGE
        + layer("InnerProduct", "x", "inner_product_param { num_output: 3 }", tops="m")
        + layer("Convolution", "x", "convolution_param { num_output: 3 kernel_size: 1 }"),
        "two layers with weights are named 'L'",
        "the InnerProduct that makes 'm' and the Convolution that makes 'y'",
        "give each a name of its own",
    ),
    refused(
        "net: two layers of one name that share one of two parameters",
        IMAGE
        + layer("InnerProduct", "x", IP3.replace("MORE", ""), tops="m")
        + layer("InnerProduct", "x", IP3.replace("MORE", "")),
        "two layers with weights are named 'L'",
    ),
    refused(
        "net: three numbers for input_dim",
        "input: 'x' input_dim: 1 input_dim: 2 input_dim: 3",
        "four of input_dim",
    ),
    refused(
        "net: two inputs of one shape",
        "input: 'x' input: 'y' input_shape { dim: 1 }",
        "one input_shape",
    ),
]

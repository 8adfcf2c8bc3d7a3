"""Layers whose top is their bottom: each type computes the same, or is refused."""

from __future__ import annotations

from typing import Any

import caffe
import numpy as np
import pytest

from tests.small_nets import inputs

IMAGE = (2, 3, 4, 4)
BITS = "quantization_param { weight { bits: 2 } }"

# Each with fields, and the shapes of its other bottoms.
IN_PLACE: dict[str, tuple[str, tuple[tuple[int, ...], ...]]] = {
    "BN": ("bn_param { scale_filler { type: 'constant' value: 2 } }", ()),
    "BNLL": ("", ()),
    "BatchNorm": ("", ()),
    "Bias": ("bias_param { filler { type: 'constant' value: 2 } }", ()),
    "Clip": ("clip_param { min: -0.5 max: inf }", ()),
    "Dropout": ("", ()),
    "ELU": ("", ()),
    "Eltwise": ("eltwise_param { coeff: 2 coeff: 3 }", (IMAGE,)),
    "Exp": ("", ()),
    "Log": ("log_param { shift: 10 }", ()),
    "MVN": ("", ()),
    "PReLU": ("", ()),
    "Power": ("power_param { power: 2 scale: 0.5 shift: 3 }", ()),
    "QuantizedActivation": ("quantization_param { activation { bits: 2 } }", ()),
    "ReLU": ("", ()),
    "ReLU6": ("", ()),
    "Scale": ("scale_param { filler { type: 'constant' value: 2 } }", ()),
    "Sigmoid": ("", ()),
    "Softmax": ("", ()),
    "Swish": ("", ()),
    "TanH": ("", ()),
    "Threshold": ("", ()),
}
CONVOLUTION = "convolution_param { num_output: 3 kernel_size: 1 }"
NUMBERS = "inner_product_param { num_output: 3 }"
EMBED = "embed_param { input_dim: 5 num_output: 1 }"
RECURRENT = "recurrent_param { num_output: 48 }"
REFUSED: dict[str, tuple[str, tuple[tuple[int, ...], ...]]] = {
    "AbsVal": ("", ()),
    "Accuracy": ("", ((2, 4, 4),)),
    "ArgMax": ("", ()),
    "Axpy": ("", (IMAGE, IMAGE)),
    "BatchReindex": ("", ((2,),)),
    "Concat": ("", (IMAGE,)),
    "ConvolutionDepthwise": (CONVOLUTION, ()),
    "ContrastiveLoss": ("", (IMAGE, (2,))),
    "Convolution": (CONVOLUTION, ()),
    "Crop": ("", (IMAGE,)),
    "Deconvolution": (CONVOLUTION, ()),
    "DepthwiseConvolution": (CONVOLUTION, ()),
    "DetectionOutput": ("detection_output_param { num_classes: 2 }", (IMAGE, IMAGE)),
    "DistillationLoss": ("", (IMAGE,)),
    "Embed": (EMBED, ()),
    "EuclideanLoss": ("", (IMAGE,)),
    "Filter": ("", ((2,),)),
    "Flatten": ("", ()),
    "HingeLoss": ("", ((2,),)),
    "Im2col": ("convolution_param { kernel_size: 1 }", ()),
    "InfogainLoss": ("", ((2, 4, 4), (1, 1, 3, 3))),
    "InnerProduct": (NUMBERS, ()),
    "Interp": ("interp_param { zoom_factor: 1 }", ()),
    "LRN": ("", ()),
    "LSTM": (RECURRENT, ((2, 3),)),
    "MultiBoxLoss": ("multibox_loss_param { num_classes: 2 }", (IMAGE, IMAGE, IMAGE)),
    "MultinomialLogisticLoss": ("", ((2,),)),
    "Normalize": ("", ()),
    "PSROIPooling": ("", ((1, 5),)),
    "Permute": ("permute_param { order: 1 }", ()),
    "Pooling": ("pooling_param { kernel_size: 1 }", ()),
    "PriorBox": ("prior_box_param { min_size: 1 }", (IMAGE,)),
    "QuantizedConvolution": (CONVOLUTION + BITS, ()),
    "QuantizedDeconvolution": (CONVOLUTION + BITS, ()),
    "QuantizedEmbed": (EMBED + BITS, ()),
    "QuantizedInnerProduct": (NUMBERS + BITS, ()),
    "QuantizedLSTM": (RECURRENT + BITS, ((2, 3),)),
    "QuantizedRNN": (RECURRENT + BITS, ((2, 3),)),
    "RNN": (RECURRENT, ((2, 3),)),
    "ROIPooling": ("roi_pooling_param { pooled_h: 4 pooled_w: 4 }", ((2, 5),)),
    "Reduction": ("", ()),
    "Reorg": ("reorg_param { stride: 1 }", ()),
    "Reshape": ("reshape_param { shape { dim: 0 } }", ()),
    "SPP": ("spp_param { pyramid_height: 1 }", ()),
    "ShuffleChannel": ("shuffle_channel_param { group: 3 }", ()),
    "SigmoidCrossEntropyLoss": ("", (IMAGE,)),
    "Slice": ("", ()),
    "SmoothL1Loss": ("", (IMAGE,)),
    "SoftmaxWithLoss": ("", ((2, 4, 4),)),
    "Split": ("", ()),
    "Tile": ("tile_param { tiles: 1 }", ()),
    "Upsample": ("upsample_param { scale: 1 }", ()),
}
# Without a bottom, without a top, of the user's own code, or for other layers' use alone.
OTHERS = {
    *("Data", "DummyData", "HDF5Data", "ImageData", "Input", "MemoryData", "Parameter"),
    "WindowData",
    *("HDF5Output", "Silence", "Python", "LSTMUnit"),
}


def test_each_type_is_in_one_of_the_tables() -> None:
    assert sorted([*IN_PLACE, *REFUSED, *OTHERS]) == sorted(caffe.layer_type_list())


def net_text(kind: str, fields: str, others: tuple[tuple[int, ...], ...], top: str) -> str:
    """A net of one layer of this type behind a copy of x, with that top."""
    shapes = {f"b{index}": shape for index, shape in enumerate(others)}
    bottoms = "".join(f"bottom: '{name}' " for name in ("copy", *shapes))
    return (
        "force_backward: true\n"
        + inputs(x=IMAGE, **shapes)
        + 'layer { name: "copy" type: "Power" bottom: "x" top: "copy" }\n'
        + f"layer {{ name: 'L' type: '{kind}' {bottoms} top: '{top}' {fields} }}"
    )


def net_of(kind: str, fields: str, others: tuple[tuple[int, ...], ...], top: str) -> Any:
    """The net of `net_text`."""
    return caffe.Net.from_proto(net_text(kind, fields, others, top), caffe.TEST)


@pytest.mark.parametrize("kind", IN_PLACE)
def test_a_layer_in_place_computes_the_same(kind: str) -> None:
    fields, others = IN_PLACE[kind]
    rng = np.random.default_rng(1)
    values = {"x": rng.normal(size=IMAGE)}
    values |= {f"b{index}": rng.normal(size=shape) for index, shape in enumerate(others)}
    computed, gradients = [], []
    for top in ("y", "copy"):
        net = net_of(kind, fields, others, top)
        for name, blobs in net.params.items():
            assert name == "L"
            if kind != "QuantizedActivation":
                for index, blob in enumerate(blobs):
                    blob.data[...] = 1 + index / 2
        for name, value in values.items():
            net.blobs[name].data[...] = value
        net.forward()
        computed.append(net.blobs[top].data.copy())
        if kind != "Threshold":  # which has no gradient
            net.blobs[top].diff[...] = np.random.default_rng(2).normal(size=IMAGE)
            net.backward()
            gradients.append([net.blobs[name].diff.copy() for name in values])
    np.testing.assert_allclose(computed[1], computed[0], rtol=1e-5, atol=1e-6)
    for got, want in zip(*reversed(gradients), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_product_in_place_has_no_gradient() -> None:
    fields, others = "eltwise_param { operation: PROD }", (IMAGE,)
    text = net_text("Eltwise", fields, others, "copy")
    net = caffe.Net.from_proto(text, caffe.TEST)
    net.blobs["x"].data[...] = 2
    net.blobs["b0"].data[...] = 3
    assert (net.forward()["copy"] == 6).all()
    words = r"Layer 'L' \(Eltwise\): an Eltwise of operation PROD in phase TRAIN .*in-place.*'copy'"
    with pytest.raises(caffe.CaffeError, match=words):
        caffe.Net.from_proto(text, caffe.TRAIN)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_layer_that_cannot_work_in_place_is_refused(kind: str) -> None:
    with pytest.raises(caffe.CaffeError, match=rf"Layer 'L' \({kind}\): .*in-place.*'copy'"):
        net_of(kind, *REFUSED[kind], "copy")

"""Fields and types of other Caffes: understood, left out, or answered with what to write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest

from tests.small_nets import inputs
from ul2q.nets import prototxt

if TYPE_CHECKING:
    from pathlib import Path

HARMLESS = """
name: "net" default_forward_type: FLOAT16 default_conv_algos_override: "-1,-1,-1"
reduce_buckets: 3 engine: "MKLDNN" compile_net_state { bn_top_rename: false }
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 4 dim: 4 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" forward_type: FLOAT # math: {
\tbackward_math: FLOAT16, debug: true; engine: 'MKL' "DNN"
  convolution_param { num_output: 3 kernel_size: 3 engine: MKLDNN
    conv_algos_override: "1,-1,-1" cudnn_convolution_algo_seeker: GET } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" relu_param { engine: MKL2017 fuse: true }
  mn_activation_param { num_nodes_in: -1 sub < a: [1, 2] > } }
"""


def test_fields_that_nets_compute_the_same_without_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(HARMLESS, encoding="utf-8")
    net = caffe.Net(str(path), caffe.TEST)
    assert net.blobs["c"].data.shape == (1, 3, 2, 2)
    assert "Left out, as nets compute the same without: backward_math, " in caplog.text
    assert "engine: MKLDNN" in caplog.text
    read = prototxt.read_net(path)
    assert read.layer[1].convolution_param.num_output == 3
    assert not read.layer[1].convolution_param.HasField("engine")


def test_an_error_behind_fields_that_are_left_out_has_its_place() -> None:
    text = 'name: "n"\nlayer {\tdebug: true name: "a" typo: 1 }'
    with pytest.raises(caffe.CaffeError, match=r'2:31: .*no field named "typo"'):
        caffe.Net.from_proto(text, caffe.TEST)
    with pytest.raises(prototxt.PrototxtError, match=r"n.prototxt:2:.*no field 'typo'"):
        prototxt.parse_net(text, "n.prototxt")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("weights_compress: 'ULQ'", "Quantization-caffe's.*: `ul2q import-fork` writes the net"),
        ("activations_compress_param { }", "Quantization-caffe's.*: `ul2q import-fork`"),
        ("annotated_data_param { }", "SSD's, not of this Caffe: .*HDF5Data or a Python layer"),
        ("transform_param { resize_param { prob: 1 } }", "SSD's.*: feed images of the net's size"),
        ("convolution_param { relu: true }", "Intel's.*: write a ReLU layer behind it"),
        ("batch_norm_param { scale_bias: true }", "NVIDIA's.*Scale layer with bias_term: true"),
        ("pooling_param { torch_pooling: true }", "NVIDIA's.*: write round_mode: FLOOR"),
        ("dense_image_data_param { }", "SegNet's.*two ImageData layers"),
        ("quantization_param { bw_params: 8 }", "Ristretto's and Intel's.*weight, bias and"),
        ("upsample_param { stride: 2 }", "a YOLO fork's.*: write scale"),
    ],
)
def test_fields_of_forks_are_answered_with_what_to_write(fields: str, words: str) -> None:
    text = f'layer {{ name: "a" type: "X" {fields} }}'
    with pytest.raises(caffe.CaffeError, match=words):
        caffe.Net.from_proto(text, caffe.TEST)
    with pytest.raises(prototxt.PrototxtError, match=words):
        prototxt.parse_net(text, "n.prototxt")


def test_values_of_forks_are_answered_with_what_to_write() -> None:
    text = 'layer { name: "a" loss_param { normalization: PRE_FIXED } }'
    with pytest.raises(caffe.CaffeError, match="Intel's, not of this Caffe: write BATCH_SIZE"):
        caffe.Net.from_proto(text, caffe.TEST)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("AnnotatedData", "It is SSD's, not of this Caffe: .*HDF5Data or a Python layer"),
        ("CuDNNBatchNorm", "It is NVIDIA's.*use BatchNorm and Scale"),
        ("ShuffleChanel", 'Did you mean "ShuffleChannel"'),
        ("Region", "It is a YOLO v2 fork's"),
    ],
)
def test_types_of_forks_are_answered_with_what_to_write(kind: str, words: str) -> None:
    with pytest.raises(caffe.CaffeError, match=f"Unknown layer type: {kind}. *{words}"):
        caffe.Net.from_proto(f'layer {{ name: "a" type: "{kind}" top: "a" }}', caffe.TEST)


IMAGES, ROWS = (2, 4, 6, 6), (2, 5)


@pytest.mark.parametrize(
    ("kind", "fields", "shapes", "words"),
    [
        ("Permute", "permute_param { order: 4 }", [IMAGES], r"names axis 4; .* 2 4 6 6 \(288\)"),
        ("Permute", "permute_param { order: 1 order: 1 }", [IMAGES], "names axis 1 twice"),
        ("ShuffleChannel", "shuffle_channel_param { group: 3 }", [IMAGES], "must divide .* 4"),
        ("ShuffleChannel", "shuffle_channel_param { group: 0 }", [IMAGES], "must be positive"),
        ("Reorg", "", [IMAGES], "reorg_param.stride must be given"),
        ("Reorg", "reorg_param { stride: 4 }", [IMAGES], "multiple of .*stride squared, 16"),
        ("Reorg", "reorg_param { stride: 2 }", [(1, 4, 5, 6)], "5 x 6, are not a multiple"),
        ("Reorg", "reorg_param { stride: 2 }", [ROWS], "must be images, N x C x H x W"),
        ("Normalize", "norm_param { eps: -1 }", [IMAGES], "eps must not be negative"),
        ("Normalize", "", [(3,)], "has no channels"),
        ("BN", "", [IMAGES], "must say which BN it is: by scale_filler, .* SegNet's"),
        ("BN", "bn_param { bn_mode: LEARN frozen: true }", [IMAGES], "has fields of both"),
        ("Axpy", "", [(2, 3), IMAGES, IMAGES], "one element for each channel"),
        ("Axpy", "", [(2, 4), IMAGES, (2, 4, 6, 5)], "must have the shape of the second"),
        ("Upsample", "", [IMAGES], "scale must be given, or a second bottom"),
        ("Upsample", "upsample_param { upsample_h: 2 }", [IMAGES], "both of upsample_h and"),
        ("Upsample", "upsample_param { scale: 0 }", [IMAGES], "scale must be positive"),
        ("Upsample", "", [IMAGES, (2, 4, 6, 5)], "the mask, .* must have the shape"),
        ("Interp", "", [IMAGES], "must give height and width, or zoom_factor"),
        ("Interp", "interp_param { zoom_factor: 0 }", [IMAGES], "must be positive"),
        ("Interp", "interp_param { height: 2 width: 2 pad_beg: 1 }", [IMAGES], "0 or negative"),
        ("Interp", "interp_param { height: 2 width: 2 pad_end: -6 }", [IMAGES], "cut off all"),
        ("SmoothL1Loss", "smooth_l1_loss_param { sigma: 0 }", [ROWS, ROWS], "must be positive"),
        ("SmoothL1Loss", "", [ROWS, (2, 6)], "must have as many elements as the first"),
        ("SmoothL1Loss", "loss_param { normalization: FULL }", [ROWS, ROWS], "BATCH_SIZE, which"),
        ("DistillationLoss", "distillation_loss_param { temperature: 0 }", [ROWS, ROWS], "is 0; m"),
        ("DistillationLoss", "", [ROWS, (2, 6)], "the teacher's logits.* shape of the student's"),
        ("DistillationLoss", "loss_param { ignore_label: 1 }", [ROWS, ROWS], "needs the labels"),
        ("DistillationLoss", "", [ROWS, ROWS, (2,)], "is used by loss_param.ignore_label alone"),
        (
            *("DistillationLoss", "loss_param { ignore_label: 1 }", [IMAGES, IMAGES, (2,)]),
            "must be one for each position",
        ),
        ("ROIPooling", "", [IMAGES, ROWS], "pooled_h and pooled_w must be given"),
        (
            *("ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 2 }"),
            *([IMAGES, (2, 4)], "must be regions, R x 5"),
        ),
        (
            "PSROIPooling",
            "psroi_pooling_param { spatial_scale: 1 output_dim: 2 group_size: 2 }",
            *([IMAGES, ROWS], "has 4 channels; must be .*output_dim times group_size squared"),
        ),
        ("PriorBox", "", [IMAGES, IMAGES], "min_size must be given"),
        ("PriorBox", "prior_box_param { min_size: 2 }", [IMAGES], "images as its second bottom"),
        (
            *("PriorBox", "prior_box_param { min_size: 2 max_size: 1 }"),
            *([IMAGES, IMAGES], "max_size must be above its min_size"),
        ),
        (
            *("PriorBox", "prior_box_param { min_size: 2 variance: 1 variance: 2 }"),
            *([IMAGES, IMAGES], "once, or four times; it is given 2 times"),
        ),
        (
            *("DetectionOutput", "", [(1, 8), (1, 4), (1, 2, 8)]),
            "num_classes must be given",
        ),
        (
            *("DetectionOutput", "detection_output_param { num_classes: 3 }"),
            *([(1, 8), (1, 4), (1, 2, 8)], "a confidence for each of 2 priors and 3 classes"),
        ),
        (
            *("MultiBoxLoss", "multibox_loss_param { num_classes: 2 share_location: false }"),
            *([(1, 8), (1, 4), (1, 2, 8), (1, 1, 1, 8)], "share_location is false"),
        ),
        (
            "DepthwiseConvolution",
            "convolution_param { num_output: 4 kernel_size: 1 group: 2 }",
            *([IMAGES], "group is 2 for 4 channels; .* leave group out"),
        ),
        (
            *("ConvolutionDepthwise", "convolution_param { num_output: 6 kernel_size: 1 }"),
            *([IMAGES], "num_output is 6; must be a multiple of the bottom's 4 channels"),
        ),
        (
            *("Pooling", "pooling_param { kernel_size: 2 round_mode: CEIL ceil_mode: false }"),
            *([IMAGES], "round_mode: CEIL and ceil_mode: false, which contradict"),
        ),
    ],
)
def test_what_cannot_be_is_refused(
    kind: str, fields: str, shapes: list[tuple[int, ...]], words: str
) -> None:
    names = "abcd"[: len(shapes)]
    bottoms = " ".join(f'bottom: "{name}"' for name in names)
    text = inputs(**dict(zip(names, shapes, strict=True))) + (
        f'layer {{ name: "q" type: "{kind}" top: "y" {bottoms} {fields} }}'
    )
    with pytest.raises(caffe.CaffeError, match=rf"^Layer 'q' \({kind}\): (?s:.*){words}"):
        caffe.Net.from_proto(text, caffe.TEST)


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ((2, 0, 0, 1, 1), "region 1 is of image 2; the first bottom has 2"),
        ((-1, 0, 0, 1, 1), "region 1 is of image -1"),
        ((0, np.nan, 0, 1, 1), "region 1 has a coordinate nan"),
        ((np.nan, 0, 0, 1, 1), "region 1 is of image nan"),
    ],
)
def test_regions_that_cannot_be_are_refused(region: tuple[float, ...], words: str) -> None:
    net = caffe.Net.from_proto(
        inputs(a=IMAGES, b=ROWS)
        + 'layer { name: "q" type: "ROIPooling" top: "y" bottom: "a" bottom: "b" '
        "roi_pooling_param { pooled_h: 2 pooled_w: 2 } }",
        caffe.TEST,
    )
    net.blobs["b"].data[1] = region
    with pytest.raises(caffe.CaffeError, match=words):
        net.forward()


def test_a_mask_that_does_not_fit_is_refused() -> None:
    net = caffe.Net.from_proto(
        inputs(a=(1, 1, 2, 2), b=(1, 1, 2, 2))
        + 'layer { name: "q" type: "Upsample" top: "y" bottom: "a" bottom: "b" }',
        caffe.TEST,
    )
    net.blobs["b"].data[0, 0, 1, 1] = 16
    with pytest.raises(caffe.CaffeError, match="names element 16 of the top's 16; upsample_param"):
        net.forward()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ((0, 0, 0, 0, 0, 1, 1, 0), "has the class 0; must be one of the 3 but 0"),
        ((0, 3, 0, 0, 0, 1, 1, 0), "has the class 3"),
        ((1, 1, 0, 0, 0, 1, 1, 0), "is of image 1; there are 1"),
        ((0, 1, 0, 0.5, 0, 0.5, 1, 0), "a box without area"),
    ],
)
def test_objects_that_cannot_be_are_refused(row: tuple[float, ...], words: str) -> None:
    net = caffe.Net.from_proto(
        inputs(a=(1, 8), b=(1, 6), c=(1, 2, 8), d=(1, 1, 1, 8))
        + 'layer { name: "q" type: "MultiBoxLoss" top: "y" bottom: "a" bottom: "b" bottom: "c" '
        'bottom: "d" multibox_loss_param { num_classes: 3 } }',
        caffe.TEST,
    )
    net.blobs["d"].data[...] = row
    with pytest.raises(caffe.CaffeError, match=f"object 0 (?s:.*){words}"):
        net.forward()

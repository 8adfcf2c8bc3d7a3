"""Each layer type that can be lowered, with odd parameters, as text of a net and its inputs."""

from __future__ import annotations

from dataclasses import dataclass

from tests.small_nets import inputs


@dataclass(frozen=True)
class Case:
    """A net of one layer or a few.

    Attributes:
        name: of the test.
        text: the net.
        positive: whether the inputs must be above 0.
    """

    name: str
    text: str
    positive: bool = False


Shape = tuple[int, ...]
_IMAGE = (2, 4, 7, 9)


def _one(name: str, kind: str, fields: str, *shapes: Shape, positive: bool = False) -> Case:
    bottoms = {f"x{i}": shape for i, shape in enumerate(shapes or (_IMAGE,))}
    read = " ".join(f'bottom: "{name}"' for name in bottoms)
    layer = f'layer {{ name: "q" type: "{kind}" {read} top: "y" {fields} }}\n'
    return Case(f"{kind}-{name}", inputs(**bottoms) + layer, positive)


def _weighted(kind: str, name: str, options: str, *shapes: Shape) -> list[Case]:
    """The float layer and its quantised form, by tensor and by channel, biases too."""
    quantized = {
        "mean": "quantization_param { weight { bits: 2 } }",
        "zero": "quantization_param { weight { bits: 3 shift: ZERO granularity: CHANNEL } "
        "bias { bits: 4 } }",
        "ternary": "quantization_param { weight { method: TERNARY granularity: CHANNEL } }",
        "clip": "quantization_param { weight { method: CLIP bits: 4 } }",
        "binary": "quantization_param { weight { method: BINARY } }",
    }
    if "bias_term: false" in options:
        quantized["zero"] = quantized["zero"].replace("bias { bits: 4 } ", "")
    return [
        _one(name, kind, options, *shapes),
        *(
            _one(f"{name}-{key}", f"Quantized{kind}", f"{options} {text}", *shapes)
            for key, text in quantized.items()
        ),
    ]


def _conv(options: str) -> str:
    return f"convolution_param {{ num_output: 6 {options} }}"


CASES = [
    *_weighted("Convolution", "plain", _conv("kernel_size: 3")),
    *_weighted(
        "Convolution",
        "odd",
        _conv("kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 2 group: 2"),
    ),
    *_weighted("Convolution", "dilated", _conv("kernel_size: 3 dilation: 2 pad: 2")),
    *_weighted("Convolution", "depthwise", _conv("kernel_size: 3 group: 2 bias_term: false")),
    _one(
        "3d", "Convolution", _conv("kernel_size: 2 kernel_size: 1 kernel_size: 3"), (2, 3, 4, 3, 5)
    ),
    _one("1d", "Convolution", _conv("kernel_size: 3 stride: 2 pad: 1"), (2, 3, 8)),
    *_weighted("Deconvolution", "plain", _conv("kernel_size: 3 stride: 2 pad: 1")),
    *_weighted("Deconvolution", "grouped", _conv("kernel_size: 2 stride: 3 group: 2 dilation: 2")),
    *_weighted("InnerProduct", "plain", "inner_product_param { num_output: 5 }"),
    *_weighted("InnerProduct", "axis", "inner_product_param { num_output: 5 axis: -1 }"),
    *_weighted(
        "InnerProduct",
        "transposed",
        "inner_product_param { num_output: 5 axis: 2 transpose: true bias_term: false }",
    ),
    _one("max", "Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"),
    _one("max-pad", "Pooling", "pooling_param { pool: MAX kernel_size: 3 stride: 2 pad: 1 }"),
    _one("max-even", "Pooling", "pooling_param { kernel_size: 2 stride: 2 pad: 1 }", (1, 2, 3, 3)),
    _one(
        "max-floor",
        "Pooling",
        "pooling_param { kernel_size: 3 stride: 2 round_mode: FLOOR }",
        (1, 2, 6, 8),
    ),
    _one("ave", "Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 }", (2, 3, 6, 8)),
    _one("ave-pad", "Pooling", "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }"),
    _one(
        "ave-pad-even",
        "Pooling",
        "pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 }",
        (2, 3, 6, 8),
    ),
    _one(
        "ave-odd",
        "Pooling",
        "pooling_param { pool: AVE kernel_h: 2 kernel_w: 3 stride_h: 1 "
        "stride_w: 2 pad_h: 0 pad_w: 2 }",
    ),
    _one("ave-holes", "Pooling", "pooling_param { pool: AVE kernel_size: 1 stride: 2 }"),
    _one("global-max", "Pooling", "pooling_param { pool: MAX global_pooling: true }"),
    _one("global-ave", "Pooling", "pooling_param { pool: AVE global_pooling: true }"),
    _one("plain", "BatchNorm", "batch_norm_param { eps: 0.01 }"),
    _one("flat", "BatchNorm", "", (3, 5)),
    _one("channel", "Scale", "scale_param { bias_term: true }"),
    _one("no-bias", "Scale", ""),
    _one("axes", "Scale", "scale_param { axis: 2 num_axes: -1 bias_term: true }"),
    _one("number", "Scale", "scale_param { axis: 0 num_axes: 0 bias_term: true }"),
    _one("bottoms", "Scale", "scale_param { axis: 0 }", _IMAGE, (2, 4)),
    _one("bottoms-bias", "Scale", "scale_param { axis: 1 bias_term: true }", _IMAGE, (4,)),
    _one("channel", "Bias", 'bias_param { filler { type: "gaussian" } }'),
    _one("axis", "Bias", "bias_param { axis: -1 }"),
    _one("bottoms", "Bias", "bias_param { axis: 1 }", _IMAGE, (4, 7)),
    _one("plain", "ReLU", ""),
    _one("leaky", "ReLU", "relu_param { negative_slope: 0.1 }"),
    _one("channel", "PReLU", ""),
    _one("shared", "PReLU", "prelu_param { channel_shared: true }"),
    _one("alpha", "ELU", "elu_param { alpha: 0.3 }"),
    _one("plain", "Sigmoid", ""),
    _one("plain", "TanH", ""),
    _one("beta", "Swish", "swish_param { beta: 1.5 }"),
    _one("plain", "AbsVal", ""),
    _one("square", "Power", "power_param { power: 2 scale: 0.5 shift: -1 }"),
    _one("linear", "Power", "power_param { scale: 0.5 shift: -1 }"),
    _one("root", "Power", "power_param { power: 0.5 scale: 2 shift: 0.1 }", positive=True),
    _one("constant", "Power", "power_param { power: 0 scale: 2 }"),
    _one("e", "Exp", "exp_param { scale: 0.5 shift: 0.3 }"),
    _one("base", "Exp", "exp_param { base: 2 scale: 0.5 shift: 0.3 }"),
    _one("e", "Log", "log_param { scale: 0.5 shift: 0.3 }", positive=True),
    _one("base", "Log", "log_param { base: 10 scale: 2 shift: 1 }", positive=True),
    _one("plain", "BNLL", ""),
    _one("half", "Threshold", "threshold_param { threshold: 0.5 }"),
    _one("range", "Clip", "clip_param { min: -0.5 max: 0.7 }"),
    _one("plain", "Softmax", "", (3, 5)),
    _one("axis", "Softmax", "softmax_param { axis: -2 }"),
    _one("across-k", "LRN", "lrn_param { local_size: 3 alpha: 0.5 beta: 0.6 k: 2 }"),
    _one("across-wide", "LRN", "lrn_param { local_size: 5 alpha: 2 }"),
    _one("within", "LRN", "lrn_param { local_size: 3 alpha: 2 norm_region: WITHIN_CHANNEL }"),
    _one("plain", "MVN", ""),
    _one("mean", "MVN", "mvn_param { normalize_variance: false across_channels: true }"),
    _one("sum", "Eltwise", "", _IMAGE, _IMAGE),
    _one(
        "coefficients",
        "Eltwise",
        "eltwise_param { coeff: 1 coeff: -0.5 coeff: 2 }",
        _IMAGE,
        _IMAGE,
        _IMAGE,
    ),
    _one("product", "Eltwise", "eltwise_param { operation: PROD }", _IMAGE, _IMAGE, _IMAGE),
    _one("maximum", "Eltwise", "eltwise_param { operation: MAX }", _IMAGE, _IMAGE),
    _one("channels", "Concat", "", (2, 3, 4), (2, 1, 4)),
    _one("last", "Concat", "concat_param { axis: -1 }", (2, 3, 4), (2, 3, 1)),
    _one("old", "Concat", "concat_param { concat_dim: 0 }", (2, 3), (1, 3)),
    _one("plain", "Flatten", ""),
    _one("axes", "Flatten", "flatten_param { axis: 1 end_axis: 2 }"),
    _one("plain", "Reshape", "reshape_param { shape { dim: 0 dim: -1 dim: 3 } }"),
    _one("offsets", "Crop", "crop_param { axis: 2 offset: 1 offset: 3 }", _IMAGE, (2, 4, 5, 5)),
    _one("offset", "Crop", "crop_param { axis: -2 offset: 1 }", _IMAGE, (2, 4, 5, 5)),
    _one("plain", "Tile", "tile_param { axis: 2 tiles: 3 }", (2, 3, 2)),
    _one("sum", "Reduction", "reduction_param { axis: 1 coeff: 0.5 }"),
    _one("asum", "Reduction", "reduction_param { operation: ASUM axis: -1 }"),
    _one("sumsq", "Reduction", "reduction_param { operation: SUMSQ }"),
    _one("mean", "Reduction", "reduction_param { operation: MEAN axis: 2 coeff: 3 }"),
    _one("plain", "ArgMax", ""),
    _one("top", "ArgMax", "argmax_param { top_k: 3 }"),
    _one("values", "ArgMax", "argmax_param { top_k: 3 out_max_val: true }"),
    _one("axis-top", "ArgMax", "argmax_param { axis: 1 top_k: 2 }"),
    _one("axis-values", "ArgMax", "argmax_param { axis: -1 out_max_val: true }"),
    _one("plain", "Dropout", ""),
    Case(
        "Slice",
        inputs(x=_IMAGE) + 'layer { name: "q" type: "Slice" bottom: "x" top: "a" top: "b" top: "c" '
        "slice_param { axis: 2 slice_point: 1 slice_point: 4 } }",
    ),
    Case(
        "Slice-even",
        inputs(x=_IMAGE) + 'layer { name: "q" type: "Slice" bottom: "x" top: "a" top: "b" '
        "slice_param { slice_dim: 1 } }",
    ),
    Case(
        "branches",
        inputs(x=_IMAGE) + 'layer { name: "c" type: "Convolution" bottom: "x" top: "c" '
        "convolution_param { num_output: 4 kernel_size: 1 } }"
        'layer { name: "n" type: "BatchNorm" bottom: "c" top: "n" }'
        'layer { name: "s" type: "Scale" bottom: "n" top: "n" scale_param { bias_term: true } }'
        'layer { name: "e" type: "Eltwise" bottom: "n" bottom: "c" bottom: "x" top: "e" }'
        'layer { name: "m" type: "BatchNorm" bottom: "e" top: "e" }'
        'layer { name: "t" type: "Scale" bottom: "e" top: "e" }'
        'layer { name: "r" type: "ReLU" bottom: "e" top: "e" }'
        'layer { name: "d" type: "Dropout" bottom: "e" top: "d" }',
    ),
]


def _folded(kind: str, options: str, quantization: str) -> Case:
    text = inputs(x=_IMAGE) + (
        f'layer {{ name: "q" type: "{kind}" bottom: "x" top: "q" {options} {quantization} }}'
        'layer { name: "n" type: "BatchNorm" bottom: "q" top: "q" }'
        'layer { name: "s" type: "Scale" bottom: "q" top: "q" scale_param { bias_term: true } }'
        'layer { name: "b" type: "Bias" bottom: "q" top: "y" }'
    )
    return Case(f"folded-{kind}-{quantization.rpartition('weight')[2].strip(' {}')}", text)


FOLDED = [
    _folded(kind, options, f"quantization_param {{ weight {{ {quantizer} }} }}")
    for kind, options in (
        ("QuantizedConvolution", _conv("kernel_size: 3 group: 2")),
        ("QuantizedDeconvolution", _conv("kernel_size: 3 stride: 2")),
        ("QuantizedDeconvolution", _conv("kernel_size: 2 group: 2 bias_term: false")),
        ("QuantizedInnerProduct", "inner_product_param { num_output: 6 }"),
    )
    for quantizer in (
        "bits: 2",
        "bits: 1 shift: ZERO granularity: CHANNEL",
        "bits: 8 granularity: CHANNEL",
        "method: TERNARY",
        "method: CLIP bits: 3",
        "method: BINARY",
    )
]


def _embed(kind: str, more: str) -> Case:
    return _one("table", kind, f"embed_param {{ input_dim: 7 num_output: 3 }} {more}", (4, 2))


INDICES = [
    _embed("Embed", ""),
    _embed("QuantizedEmbed", "quantization_param { weight { bits: 3 granularity: CHANNEL } }"),
]


def _recurrent(kind: str, more: str, *, static: bool = False, exposed: bool = False) -> Case:
    shapes: dict[str, Shape] = {"x": (5, 3, 4), "cont": (5, 3)}
    if static:
        shapes["static"] = (3, 2)
    tops = ["y"]
    if exposed:
        shapes["h"] = (1, 3, 6)
        tops.append("h_last")
        if "LSTM" in kind:
            shapes["c"] = (1, 3, 6)
            tops.append("c_last")
    bottoms = " ".join(f'bottom: "{name}"' for name in shapes)
    made = " ".join(f'top: "{name}"' for name in tops)
    expose = "expose_hidden: true" if exposed else ""
    layer = (
        f'layer {{ name: "q" type: "{kind}" {bottoms} {made} '
        f"recurrent_param {{ num_output: 6 {expose} }} {more} }}"
    )
    name = f"{kind}{'-static' * static}{'-exposed' * exposed}"
    return Case(name, inputs(**shapes) + layer)


_RECURRENT_BITS = "quantization_param { weight { bits: 2 granularity: CHANNEL } bias { bits: 4 } }"
RECURRENT = [
    _recurrent(prefix + kind, _RECURRENT_BITS if prefix else "", static=static, exposed=exposed)
    for kind in ("LSTM", "RNN")
    for prefix in ("", "Quantized")
    for static in (False, True)
    for exposed in (False, True)
]

ALL = [*CASES, *FOLDED, *INDICES, *RECURRENT]

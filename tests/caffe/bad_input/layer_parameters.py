"""Parameters of layers that are out of range, or that the layer does not take."""

from __future__ import annotations

from tests.caffe.bad_input.cases import IMAGE, SCORES, Case, layer, refused_layer
from tests.small_nets import inputs

# A row holds the type of the layer, what is wrong, the fields of its parameter, and words of the
# message.
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
    ("Tile", "tiles", "axis: 1 tiles: -1", "has the extent -3"),
    ("Log", "base", "base: -2", "base must be strictly positive"),
    ("ArgMax", "top_k", "top_k: 100", "top_k must be less than or equal"),
    ("Reshape", "count", "shape { dim: 5 dim: -1 }", "must be divisible"),
    ("Reshape", "two -1", "shape { dim: -1 dim: -1 }", "contains multiple -1 dims"),
    ("Slice", "three into two", "slice_dim: 1", "Number of top blobs (2)"),
    ("Slice", "points", "slice_point: 9", "shape[i] >= 0"),
    ("Embed", "no indices", "num_output: 2", "input_dim must be positive"),
    ("Scale", "axis", "axis: 2 num_axes: 4", "scale blob's shape extends past bottom[0]'s shape"),
    (
        "Im2col",
        "stride_h alone",
        "kernel_size: 1 stride_h: 1",
        "give both of stride_h and stride_w",
    ),
    ("Scale", "axes", "axis: 1 num_axes: 2147483647", "extends past bottom[0]'s shape"),
    ("Bias", "axes", "axis: 1 num_axes: 2147483647", "extends past bottom[0]'s shape"),
    (
        "Reshape",
        "axes",
        "shape { dim: 96 } axis: 1 num_axes: 2147483647",
        "axis + num_axes is out of range",
    ),
    ("Reshape", "extent", "shape { dim: 4294967298 dim: 48 }", "has the extent 4294967298"),
    ("Tile", "2 in 32 bits", "axis: 1 tiles: 1431655766", "has the extent 4294967298"),
    ("Im2col", "0 in 32 bits", "kernel_size: 65536 pad: 32768", "has the extent"),
    (
        "Convolution",
        "dilation -1 in 32 bits",
        "num_output: 1 kernel_size: 3 dilation: 2147483647",
        "larger than the padded input",
    ),
    ("Reorg", "0 in 32 bits", "stride: 65536", "has the extent 4294967296"),
    ("Upsample", "1 in 32 bits", "scale: 1073741825", "has the extent 4294967300"),
    ("Interp", "1 in 32 bits", "zoom_factor: 1431655766", "has the extent 4294967299"),
    ("SPP", "levels", "pyramid_height: 30", "pyramid_height is 30"),
    ("SPP", "no levels", "pyramid_height: 0", "pyramid_height is 0"),
    ("Power", "nan", "scale: nan", "power_param.scale is nan; must be a finite number"),
    (
        "Convolution",
        "infinite filler",
        "num_output: 1 kernel_size: 1 weight_filler { type: 'uniform' max: inf }",
        "convolution_param.weight_filler.max is inf",
    ),
    (
        "Convolution",
        "filler's bounds",
        "num_output: 1 kernel_size: 1 weight_filler { type: 'uniform' min: -3e38 max: 3e38 }",
        "too far apart",
    ),
    ("Clip", "nan", "min: nan max: 1", "clip_param.min is nan"),
    ("Reduction", "axis", "axis: 8", "axis 8 out of range"),
]

# A row of these holds the whole net in place of the fields.
NETS = [
    (
        "Crop",
        "offset -1 in 32 bits",
        inputs(a=(2, 3, 4, 4), b=(2, 3, 4, 4))
        + layer("Crop", "a b", "crop_param { axis: 2 offset: 4294967295 }"),
        "crop_param.offset is out of bounds",
    ),
    (
        "PSROIPooling",
        "3 in 32 bits",
        inputs(x=(2, 3, 4, 4), r=(1, 5))
        + layer(
            "PSROIPooling",
            "x r",
            "psroi_pooling_param { spatial_scale: 1 output_dim: 3 group_size: 65537 }",
        ),
        "has the extent 4295098369",
    ),
    (
        "DetectionOutput",
        "0 in 32 bits",
        inputs(x=(1, 16), c=(1, 0), p=(1, 2, 16))
        + layer("DetectionOutput", "x c p", "detection_output_param { num_classes: 1073741824 }"),
        "the second bottom",
    ),
    (
        "Eltwise",
        "coeff",
        inputs(a=(2, 3), b=(2, 3)) + layer("Eltwise", "a b", "eltwise_param { coeff: 1 }"),
        "one coefficient per bottom blob",
    ),
    ("BatchNorm", "lr_mult", IMAGE + layer("BatchNorm", "x", "param { lr_mult: 1 }"), "lr_mult"),
    (
        "Accuracy",
        "top_k",
        SCORES + layer("Accuracy", "x label", "accuracy_param { top_k: 4 }"),
        "top_k must be less than or equal to the number of classes",
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
]


# The parameters of these types have names of their own.
GROUPS = {
    "Deconvolution": "convolution",
    "Im2col": "convolution",
    "InnerProduct": "inner_product",
    "ArgMax": "argmax",
}


def refused_fields(kind: str, what: str, fields: str, words: str) -> Case:
    """Return the case of a layer on an image whose parameter has `fields`."""
    group = GROUPS.get(kind, kind.lower())
    tops = "y z" if kind == "Slice" else "y"
    text = IMAGE + layer(kind, "x", f"{group}_param {{ {fields} }}", tops=tops)
    return refused_layer(kind, what, text, words)


CASES = [refused_fields(*row) for row in PARAMETERS] + [refused_layer(*row) for row in NETS]

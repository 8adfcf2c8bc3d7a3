"""The layers of forks against their formulas in NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe import layers as L  # noqa: N812

from tests.layers_of_forks import reference
from tests.small_nets import inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

RNG = np.random.default_rng(5)
ROIS = np.array(
    [
        [0, 0, 0, 31, 31],
        [1, 3.2, 5.7, 17.5, 20.5],
        [0, 8, 8, 8, 8],
        [1, 20, 10, 60, 40],
        [1, 29.5, 29.5, 29.6, 29.7],
    ]
)


def run(kind: str, fields: str, *bottoms: Array, phase: int = caffe.TEST) -> Any:
    """Run a net of one layer 'q', whose top is 'y', on the arrays; return it."""
    names = "abcd"[: len(bottoms)]
    net = caffe.Net.from_proto(
        "force_backward: true\n"
        + inputs(**{n: b.shape for n, b in zip(names, bottoms, strict=True)})
        + f'layer {{ name: "q" type: "{kind}" top: "y" '
        + " ".join(f'bottom: "{n}"' for n in names)
        + f" {fields} }}",
        phase,
    )
    for name, array in zip(names, bottoms, strict=True):
        net.blobs[name].data[...] = array
    net.forward()
    return net


def values(kind: str, fields: str, *bottoms: Array) -> Array:
    return np.asarray(run(kind, fields, *bottoms).blobs["y"].data, np.float64)


def close(actual: Array, expected: Array) -> None:
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (3, 2, 1, 0), (1,), (0, 1, 2, 3)])
def test_permute(order: tuple[int, ...]) -> None:
    x = RNG.standard_normal((2, 3, 4, 5))
    full = [*order, *(axis for axis in range(4) if axis not in order)]
    fields = " ".join(f"order: {axis}" for axis in order)
    close(values("Permute", f"permute_param {{ {fields} }}", x), x.transpose(full))


def test_permute_of_other_numbers_of_axes() -> None:
    x = RNG.standard_normal((3, 4))
    close(values("Permute", "permute_param { order: 1 }", x), x.T)
    x = RNG.standard_normal((2, 3, 1, 4, 2))
    fields = "permute_param { order: 4 order: 2 order: 0 order: 1 order: 3 }"
    close(values("Permute", fields, x), x.transpose(4, 2, 0, 1, 3))


def test_shuffle_channel() -> None:
    x = RNG.standard_normal((2, 12, 3, 2))
    expected = x.reshape(2, 4, 3, 3, 2).transpose(0, 2, 1, 3, 4).reshape(x.shape)
    close(values("ShuffleChannel", "shuffle_channel_param { group: 4 }", x), expected)


@pytest.mark.parametrize(("stride", "shape"), [(2, (2, 8, 4, 6)), (3, (1, 9, 6, 3))])
def test_reorg(stride: int, shape: tuple[int, ...]) -> None:
    x = RNG.standard_normal(shape)
    fields = f"stride: {stride}"
    close(values("Reorg", f"reorg_param {{ {fields} }}", x), reference.reorg(x, stride))
    back = values("Reorg", f"reorg_param {{ {fields} reverse: true }}", x)
    close(back, reference.reorg_back(x, stride))


@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_normalize(across: bool, shared: bool) -> None:
    x = RNG.standard_normal((2, 5, 3, 4))
    fields = f"across_spatial: {across} channel_shared: {shared} scale_filler {{ value: 20 }}"
    net = run("Normalize", f"norm_param {{ {fields.lower()} }}", x)
    (scale,) = net.params["q"]
    assert scale.data.shape == (() if shared else (5,))
    np.testing.assert_array_equal(scale.data, 20)
    if not shared:
        scale.data[...] = np.arange(1, 6)
        net.forward()
    expected = reference.normalize(x, scale.data.astype(np.float64), across_spatial=across)
    close(np.asarray(net.blobs["y"].data, np.float64), expected)


def test_segnets_bn() -> None:
    x = RNG.standard_normal((4, 3, 5, 2)) * 3 + 1
    fields = "scale_filler { value: 2 } shift_filler { value: 0.5 }"
    net = run("BN", f"bn_param {{ {fields} }}", x)
    assert [blob.data.shape for blob in net.params["q"]] == [(1, 3, 1, 1)] * 2
    mean, variance = reference.moments(x)
    close(net.blobs["y"].data, 2 * reference.batch_norm(x, mean, variance, 1e-9) + 0.5)
    close(values("BN", f"bn_param {{ {fields} bn_mode: INFERENCE }}", x), 2 * x + 0.5)


def test_pspnets_bn() -> None:
    x = RNG.standard_normal((4, 3, 5, 2)) * 3 + 1
    fields = "bn_param { slope_filler { value: 2 } bias_filler { value: 0.5 } momentum: 0.75 }"
    net = run("BN", fields, x, phase=caffe.TRAIN)
    mean, variance = reference.moments(x)
    close(net.blobs["y"].data, 2 * reference.batch_norm(x, mean, variance, 1e-5) + 0.5)
    averages = [blob.data.ravel() for blob in net.params["q"][2:]]
    close(averages[0], 0.25 * mean)
    close(averages[1], 0.25 * variance)

    test = run("BN", fields, x)
    for blob, value in zip(test.params["q"], (2.0, 0.5, 1.0, 4.0), strict=True):
        blob.data[...] = value
    test.forward()
    close(test.blobs["y"].data, 2 * (x - 1) / np.sqrt(4 + 1e-5) + 0.5)
    test.blobs["y"].diff[...] = 1
    test.backward()
    close(test.blobs["a"].diff, np.full(x.shape, 2 / np.sqrt(4 + 1e-5)))


def test_frozen_bn_takes_its_averages_in_training() -> None:
    x = RNG.standard_normal((4, 3, 5, 2))
    net = run("BN", "bn_param { frozen: true }", x, phase=caffe.TRAIN)
    close(net.blobs["y"].data, x / np.sqrt(1 + 1e-5))  # mean 0 and variance 1, to begin with
    np.testing.assert_array_equal(net.params["q"][2].data, 0)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 1, 1)])
def test_axpy(shape: tuple[int, ...]) -> None:
    a, x, y = RNG.standard_normal(shape), *RNG.standard_normal((2, 2, 3, 4, 5))
    close(values("Axpy", "", a, x, y), a.reshape(2, 3, 1, 1) * x + y)


def test_relu6() -> None:
    x = np.linspace(-3, 9, 25).reshape(5, 5)
    close(values("ReLU6", "", x), np.clip(x, 0, 6))
    close(values("ReLU6", "relu_param { negative_slope: 0.5 }", x), np.clip(x, x / 2, 6))


def test_upsample_repeats() -> None:
    x = RNG.standard_normal((2, 3, 4, 5))
    close(values("Upsample", "upsample_param { scale: 3 }", x), x.repeat(3, 2).repeat(3, 3))
    sides = "upsample_param { scale_h: 2 scale_w: 4 }"
    close(values("Upsample", sides, x), x.repeat(2, 2).repeat(4, 3))


@pytest.mark.parametrize(
    ("size", "options"), [((8, 6), ""), ((7, 5), "upsample_h: 7 upsample_w: 5")]
)
def test_upsample_puts_back_what_was_pooled(size: tuple[int, int], options: str) -> None:
    x = RNG.standard_normal((2, 3, *size))
    net = caffe.Net.from_proto(
        inputs(a=x.shape)
        + 'layer { name: "p" type: "Pooling" bottom: "a" top: "p" top: "mask"'
        + " pooling_param { kernel_size: 2 stride: 2 } }"
        + 'layer { name: "q" type: "Upsample" bottom: "p" bottom: "mask" top: "y"'
        + f" upsample_param {{ {options} }} }}",
        caffe.TEST,
    )
    net.blobs["a"].data[...] = x
    net.forward()
    expected = np.zeros_like(x)
    for i in range(0, size[0], 2):
        for j in range(0, size[1], 2):
            part = x[:, :, i : i + 2, j : j + 2]
            largest = part == part.max((2, 3), keepdims=True)
            expected[:, :, i : i + 2, j : j + 2] = part * largest
    close(np.asarray(net.blobs["y"].data, np.float64), expected)


@pytest.mark.parametrize("size", [(9, 13), (3, 4), (1, 1), (5, 7), (2, 20)])
def test_interp(size: tuple[int, int]) -> None:
    x = RNG.standard_normal((2, 3, 5, 7))
    fields = f"interp_param {{ height: {size[0]} width: {size[1]} }}"
    close(values("Interp", fields, x), reference.interp(x, *size))


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ("zoom_factor: 8", (33, 49)),
        ("shrink_factor: 2", (3, 4)),
        ("zoom_factor: 3 shrink_factor: 2", (7, 10)),
    ],
)
def test_interp_by_factors(options: str, size: tuple[int, int]) -> None:
    x = RNG.standard_normal((1, 2, 5, 7))
    actual = values("Interp", f"interp_param {{ {options} }}", x)
    close(actual, reference.interp(x, *size))


def test_interp_cuts_off() -> None:
    x = RNG.standard_normal((1, 2, 7, 9))
    fields = "interp_param { height: 6 width: 8 pad_beg: -1 pad_end: -2 }"
    close(values("Interp", fields, x), reference.interp(x[:, :, 1:-2, 1:-2], 6, 8))


@pytest.mark.parametrize("sigma", [1.0, 3.0])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_smooth_l1_loss(sigma: float, count: int) -> None:
    bottoms = [RNG.standard_normal((4, 6)) for _ in range(count)]
    fields = f"smooth_l1_loss_param {{ sigma: {sigma} }}"
    d = (bottoms[0] - bottoms[1]) * (bottoms[2] if count > 2 else 1)
    losses = reference.smooth_l1(d, sigma) * (bottoms[3] if count > 3 else 1)
    close(values("SmoothL1Loss", fields, *bottoms), np.array(losses.sum() / 4))


@pytest.mark.parametrize("bins", [(2, 3), (7, 7)])
def test_roi_pooling(bins: tuple[int, int]) -> None:
    x = RNG.standard_normal((2, 3, 16, 20))
    fields = f"pooled_h: {bins[0]} pooled_w: {bins[1]} spatial_scale: 0.5"
    actual = values("ROIPooling", f"roi_pooling_param {{ {fields} }}", x, ROIS)
    close(actual, reference.roi_pooling(x, ROIS, *bins, 0.5))
    assert (actual == 0).any()  # bins beyond the image are empty


def test_psroi_pooling() -> None:
    x = RNG.standard_normal((2, 2 * 9, 16, 20))
    fields = "psroi_pooling_param { output_dim: 2 group_size: 3 spatial_scale: 0.5 }"
    actual = values("PSROIPooling", fields, x, ROIS)
    close(actual, reference.psroi_pooling(x, ROIS, 2, 3, 0.5))
    assert (actual == 0).any()


@pytest.mark.parametrize("kind", ["DepthwiseConvolution", "ConvolutionDepthwise"])
@pytest.mark.parametrize("group", ["", "group: 6"])
@pytest.mark.parametrize("engine", ["", "engine: CAFFE"])
def test_depthwise_convolution_is_convolution_by_channels(
    kind: str, group: str, engine: str
) -> None:
    x = RNG.standard_normal((2, 6, 8, 7))
    options = f"num_output: 6 kernel_size: 3 pad: 1 stride: 2 {engine}"
    filler = 'weight_filler { type: "msra" } bias_filler { type: "uniform" }'
    net = run(kind, f"convolution_param {{ {options} {group} {filler} }}", x)
    plain = run("Convolution", f"convolution_param {{ {options} group: 6 {filler} }}", x)
    assert net.params["q"][0].data.shape == (6, 1, 3, 3)
    for blob, other in zip(net.params["q"], plain.params["q"], strict=True):
        other.data[...] = blob.data
    plain.forward()
    close(net.blobs["y"].data, plain.blobs["y"].data)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ("", 4),
        ("ceil_mode: true", 4),
        ("ceil_mode: false", 3),
        ("round_mode: FLOOR", 3),
        ("round_mode: FLOOR ceil_mode: false", 3),
    ],
)
@pytest.mark.parametrize("engine", ["", "engine: CAFFE"])
def test_pooling_rounds_by_ceil_mode(options: str, size: int, engine: str) -> None:
    x = RNG.standard_normal((1, 2, 8, 8))
    fields = f"kernel_size: 3 stride: 2 {options} {engine}"
    assert values("Pooling", f"pooling_param {{ {fields} }}", x).shape == (1, 2, size, size)


def test_net_spec_takes_their_fields() -> None:
    spec = caffe.NetSpec()
    spec.x = L.Input(input_param={"shape": {"dim": [1, 4, 6, 6]}})
    spec.c = L.DepthwiseConvolution(spec.x, num_output=4, kernel_size=3)
    spec.r = L.ReLU6(spec.c, negative_slope=0.5)
    spec.n = L.Normalize(spec.r, across_spatial=False)
    spec.p = L.Permute(spec.n, order=[0, 2, 3, 1])
    net = caffe.Net.from_proto(spec.to_proto(), caffe.TEST)
    assert net.blobs["p"].data.shape == (1, 4, 4, 4)

"""Blobs that change shape after a net is made: it computes as a new net does, or refuses."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import caffe
import numpy as np
import pytest

from tests.small_nets import inputs, one_layer_net

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.small_nets import NetMaker

Shape = tuple[int, ...]
Shapes = list[Shape]


class Sizes(NamedTuple):
    """The extents of images, N x C x H x W."""

    n: int
    c: int
    h: int
    w: int


BITS = "quantization_param { weight { bits: 2 } }"
FILLER = "weight_filler { type: 'constant' value: 0.5 }"
CONVOLUTION = f"convolution_param {{ num_output: 6 kernel_size: 2 {FILLER} }}"
NUMBERS = f"inner_product_param {{ num_output: 2 {FILLER} }}"
EMBED = f"embed_param {{ input_dim: 5 num_output: 2 {FILLER} }}"
RECURRENT = f"recurrent_param {{ num_output: 2 {FILLER} }}"


def image(s: Sizes) -> Shapes:
    return [(s.n, s.c, s.h, s.w)]


def two(s: Sizes) -> Shapes:
    return [(s.n, s.c, s.h, s.w)] * 2


def labelled(s: Sizes) -> Shapes:
    return [(s.n, s.c, s.h, s.w), (s.n, s.h, s.w)]


def scores(s: Sizes) -> Shapes:
    return [(s.n, s.c), (s.n,)]


def chosen(s: Sizes) -> Shapes:
    return [(s.n, s.c, s.h, s.w), (s.n,)]


def sequence(s: Sizes) -> Shapes:
    return [(s.n, s.c, s.h, s.w), (s.n, s.c)]


def pairs(s: Sizes) -> Shapes:
    return [(s.n, s.c), (s.n, s.c), (s.n,)]


# Fields, and the shapes of the bottoms as functions of N, C, H and W.
TYPES: dict[str, tuple[str, Callable[[Sizes], Shapes]]] = {
    "AbsVal": ("", image),
    "Accuracy": ("", labelled),
    "ArgMax": ("argmax_param { top_k: 2 axis: 1 }", image),
    "Axpy": ("", lambda s: [(s.n, s.c), (s.n, s.c, s.h, s.w), (s.n, s.c, s.h, s.w)]),
    "BN": ("bn_param { scale_filler { type: 'constant' value: 2 } }", image),
    "BNLL": ("", image),
    "BatchNorm": ("batch_norm_param { use_global_stats: false }", image),
    "BatchReindex": ("", chosen),
    "Bias": ("bias_param { filler { type: 'constant' value: 2 } }", image),
    "Clip": ("clip_param { min: -0.5 max: 0.5 }", image),
    "Concat": ("", two),
    "ContrastiveLoss": ("", pairs),
    "Convolution": (CONVOLUTION, image),
    "ConvolutionDepthwise": (CONVOLUTION, image),
    "Crop": (
        "crop_param { axis: 2 offset: 1 offset: 0 }",
        lambda s: [(s.n, s.c, s.h, s.w), (s.n, s.c, s.h - 1, s.w)],
    ),
    "Deconvolution": (CONVOLUTION, image),
    "DepthwiseConvolution": (CONVOLUTION, image),
    "DetectionOutput": (
        "detection_output_param { num_classes: 2 nms_param { nms_threshold: 0.5 } }",
        lambda s: [(s.n, 4 * s.c), (s.n, 2 * s.c), (1, 2, 4 * s.c)],
    ),
    "DistillationLoss": ("", two),
    "Dropout": ("", image),
    "ELU": ("", image),
    "Eltwise": ("eltwise_param { coeff: 2 coeff: 3 }", two),
    "Embed": (EMBED, lambda s: [(s.n, s.c)]),
    "EuclideanLoss": ("", two),
    "Exp": ("", image),
    "Filter": ("", chosen),
    "Flatten": ("", image),
    "HingeLoss": ("", scores),
    "Im2col": ("convolution_param { kernel_size: 2 }", image),
    "InfogainLoss": ("", lambda s: [(s.n, s.c, s.h, s.w), (s.n, s.h, s.w), (1, 1, s.c, s.c)]),
    "InnerProduct": (NUMBERS, image),
    "Interp": ("interp_param { zoom_factor: 2 }", image),
    "LRN": ("lrn_param { norm_region: WITHIN_CHANNEL local_size: 3 }", image),
    "LSTM": (RECURRENT, sequence),
    "Log": ("log_param { shift: 10 }", image),
    "MVN": ("", image),
    "MultiBoxLoss": (
        "multibox_loss_param { num_classes: 2 }",
        lambda s: [(s.n, 4 * s.c), (s.n, 2 * s.c), (1, 2, 4 * s.c), (1, 1, s.h, 8)],
    ),
    "MultinomialLogisticLoss": ("", scores),
    "Normalize": ("norm_param { across_spatial: false }", image),
    "PReLU": ("", image),
    "PSROIPooling": (
        "psroi_pooling_param { spatial_scale: 1 output_dim: 3 group_size: 1 }",
        lambda s: [(s.n, s.c, s.h, s.w), (s.n, 5)],
    ),
    "Permute": ("permute_param { order: 1 order: 0 }", image),
    "Pooling": ("pooling_param { kernel_size: 2 }", image),
    "Power": ("power_param { power: 2 scale: 0.5 shift: 3 }", image),
    "PriorBox": ("prior_box_param { min_size: 1 }", two),
    "QuantizedActivation": ("quantization_param { activation { bits: 2 } }", image),
    "QuantizedConvolution": (CONVOLUTION + BITS, image),
    "QuantizedDeconvolution": (CONVOLUTION + BITS, image),
    "QuantizedEmbed": (EMBED + BITS, lambda s: [(s.n, s.c)]),
    "QuantizedInnerProduct": (NUMBERS + BITS, image),
    "QuantizedLSTM": (RECURRENT + BITS, sequence),
    "QuantizedRNN": (RECURRENT + BITS, sequence),
    "RNN": (RECURRENT, sequence),
    "ROIPooling": (
        "roi_pooling_param { pooled_h: 2 pooled_w: 2 }",
        lambda s: [(s.n, s.c, s.h, s.w), (s.n, 5)],
    ),
    "ReLU": ("", image),
    "ReLU6": ("", image),
    "Reduction": ("reduction_param { axis: 1 }", image),
    "Reorg": ("reorg_param { stride: 2 reverse: false }", lambda s: [(s.n, 4, s.h, s.w)]),
    "Reshape": ("reshape_param { shape { dim: 0 dim: -1 } }", image),
    "SPP": ("spp_param { pyramid_height: 2 }", image),
    "Scale": ("scale_param { filler { type: 'constant' value: 2 } }", image),
    "ShuffleChannel": ("shuffle_channel_param { group: 3 }", image),
    "Sigmoid": ("", image),
    "SigmoidCrossEntropyLoss": ("", two),
    "Slice": ("slice_param { axis: 2 }", image),
    "SmoothL1Loss": ("", two),
    "Softmax": ("", image),
    "SoftmaxWithLoss": ("", labelled),
    "Split": ("", image),
    "Swish": ("", image),
    "TanH": ("", image),
    "Threshold": ("", image),
    "Tile": ("tile_param { tiles: 2 }", image),
    "Upsample": ("upsample_param { scale: 2 }", image),
}
# Without a bottom, without a top, of the user's own code, or for other layers' use alone.
OTHERS = {
    *("Data", "DummyData", "HDF5Data", "ImageData", "Input", "MemoryData", "Parameter"),
    *("WindowData", "HDF5Output", "Silence", "Python", "LSTMUnit"),
}
BASE = Sizes(2, 3, 4, 4)
CHANGES = [
    *(BASE._replace(n=1), BASE._replace(n=3), BASE._replace(c=2), BASE._replace(c=5)),
    *(Sizes(2, 3, 2, 2), Sizes(2, 3, 6, 8), Sizes(1, 1, 1, 1), Sizes(5, 7, 9, 3)),
]


def test_each_type_is_in_the_table() -> None:
    assert sorted([*TYPES, *OTHERS]) == sorted(caffe.layer_type_list())


def net_of(kind: str, shapes: Shapes) -> Any:
    """A net of one layer of this type on inputs b0, b1, … of these shapes."""
    fields, _ = TYPES[kind]
    named = {f"b{index}": shape for index, shape in enumerate(shapes)}
    bottoms = "".join(f"bottom: '{name}' " for name in named)
    tops = "top: 'y' top: 'z'" if kind in ("Slice", "Split") else "top: 'y'"
    text = f"layer {{ name: 'L' type: '{kind}' {bottoms} {tops} {fields} }}"
    return caffe.Net.from_proto("force_backward: true\n" + inputs(**named) + text, caffe.TEST)


def fill(net: Any, kind: str) -> None:
    """Fill the inputs of a net, the same for the same shapes."""
    rng = np.random.default_rng(5)
    for index, name in enumerate(net.inputs):
        data = net.blobs[name].data
        data[...] = rng.uniform(0.1, 0.9, size=data.shape)
        if kind.endswith("Embed") or (index == 1 and kind not in SIMILAR):
            data[...] = 0  # an index that there is
    if kind == "MultiBoxLoss":
        net.blobs["b3"].data[...] = -1  # no object


# Types whose second bottom is as the first.
SIMILAR = {
    *("Axpy", "Concat", "Crop", "ContrastiveLoss", "DetectionOutput", "Eltwise", "EuclideanLoss"),
    *("DistillationLoss", "MultiBoxLoss", "PriorBox", "SigmoidCrossEntropyLoss", "SmoothL1Loss"),
}


def results(net: Any, kind: str) -> list[Any]:
    """The tops of a pass forward, and the gradients of the inputs of one backward."""
    fill(net, kind)
    net.forward()
    found = [net.blobs[name].data.copy() for name in net.outputs]
    for name in net.outputs:
        net.blobs[name].diff[...] = np.arange(1, 1 + net.blobs[name].count).reshape(
            net.blobs[name].diff.shape
        )
    try:
        net.backward()
    except caffe.CaffeError:  # some types have no gradient
        return found
    return [*found, net.blobs["b0"].diff.copy()]


def changed(net: Any, shapes: Shapes) -> None:
    for name, shape in zip(net.inputs, shapes, strict=True):
        net.blobs[name].reshape(*shape)


def all_changes(kind: str) -> list[Shapes]:
    """Other shapes for the bottoms of a layer, of the same and of other numbers of axes."""
    _, shapes_of = TYPES[kind]
    base = shapes_of(BASE)
    fewer = [[shape[:-1] for shape in base], [base[0][:2], *base[1:]], [base[0][:1], *base[1:]]]
    more = [[(*base[0], 2), *base[1:]]]
    return [*(shapes_of(change) for change in CHANGES), *fewer, *more]


@pytest.mark.parametrize("kind", TYPES)
def test_a_net_takes_new_shapes_as_one_made_with_them_or_refuses(kind: str) -> None:
    _, shapes_of = TYPES[kind]
    for shapes in all_changes(kind):
        net = net_of(kind, shapes_of(BASE))
        results(net, kind)
        changed(net, shapes)
        try:
            found = results(net, kind)
        except caffe.CaffeError as error:
            assert "Layer 'L'" in str(error)
            continue
        if any(not blob.count for blob in net.blobs.values()):
            continue  # nothing to compare
        made = net_of(kind, shapes)
        for blobs, others in zip(net.params.values(), made.params.values(), strict=True):
            for blob, other in zip(blobs, others, strict=True):
                other.data[...] = blob.data
        for got, want in zip(found, results(made, kind), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5, err_msg=str(shapes))


# Types that their users feed with images of any size, or batches of any.
ANY_BATCH = {
    "PReLU",
    "ArgMax",
    "ContrastiveLoss",
    "Im2col",
    "Crop",
    "SPP",
    "Pooling",
    "Convolution",
}


@pytest.mark.parametrize("kind", sorted(ANY_BATCH))
def test_other_batches_are_taken(kind: str) -> None:
    _, shapes_of = TYPES[kind]
    net = net_of(kind, shapes_of(BASE))
    for change in (Sizes(3, 3, 4, 4), Sizes(2, 3, 6, 8), BASE):
        changed(net, shapes_of(change))
        made = net_of(kind, shapes_of(change))
        for got, want in zip(results(net, kind), results(made, kind), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", TYPES)
def test_backward_wants_the_shapes_of_the_forward_pass(kind: str) -> None:
    _, shapes_of = TYPES[kind]
    for shapes, reshapes in itertools.product(all_changes(kind), (False, True)):
        net = net_of(kind, shapes_of(BASE))
        fill(net, kind)
        net.forward()
        changed(net, shapes)
        if shapes == shapes_of(BASE):
            continue
        if reshapes:
            try:
                net.reshape()
            except caffe.CaffeError:
                continue
        with pytest.raises(caffe.CaffeError, match=r"Layer 'L' .*"):
            net.backward()


def test_backward_says_what_has_changed() -> None:
    net = net_of("Pooling", [BASE])
    net.forward()
    net.blobs["b0"].reshape(2, 3, 8, 8)
    words = (
        r"Layer 'L' \(Pooling\): bottom 0 has the shape 2 x 3 x 8 x 8; "
        r"it had 2 x 3 x 4 x 4 in the last forward pass: go forward before backward"
    )
    with pytest.raises(caffe.CaffeError, match=words):
        net.backward()
    net.forward()
    net.backward()
    assert net.blobs["b0"].diff.shape == (2, 3, 8, 8)


def test_a_layer_reshaped_for_other_blobs_does_not_go_back() -> None:
    net, other = net_of("Pooling", [BASE]), net_of("Pooling", [(2, 3, 8, 8)])
    net.forward()
    net.layers[1].reshape([other.blobs["b0"]], [other.blobs["y"]])
    with pytest.raises(caffe.CaffeError, match=r"Layer 'L'.* reshaped since the last forward"):
        net.backward()
    net.layers[1].reshape([net.blobs["b0"]], [net.blobs["y"]])
    net.backward()


@pytest.mark.parametrize("kind", TYPES)
def test_a_layer_refuses_fewer_blobs(kind: str) -> None:
    _, shapes_of = TYPES[kind]
    net = net_of(kind, shapes_of(BASE))
    bottoms = [net.blobs[name] for name in net.inputs]
    tops = [net.blobs[name] for name in net.outputs]
    layer = net.layers[len(bottoms)]
    for method in (layer.reshape, layer.setup):
        for fewer in ((bottoms[:-1], tops), (bottoms, tops[:-1]), ([], [])):
            if len(tops) > 1 and fewer[0] and method == layer.setup:
                continue  # a Slice and a Split may be set up with any number of tops
            with pytest.raises(caffe.CaffeError, match=r"Layer 'L'"):
                method(*fewer)
        method(bottoms, tops)


def test_setup_refuses_bottoms_that_the_weights_are_not_for() -> None:
    net = net_of("InnerProduct", [(2, 3)])
    larger = net_of("InnerProduct", [(2, 9)])
    words = r"Layer 'L' \(InnerProduct\): bottom 0 has the shape 2 x 9; .* made with 2 x 3"
    with pytest.raises(caffe.CaffeError, match=words):
        net.layers[1].setup([larger.blobs["b0"]], [larger.blobs["y"]])


@pytest.mark.parametrize(
    ("kind", "shape"), [(kind, shape) for kind in TYPES for shape in ((1,), (2, 40), (7, 5, 3, 2))]
)
def test_parameters_of_other_shapes_are_refused(kind: str, shape: Shape) -> None:
    _, shapes_of = TYPES[kind]
    net = net_of(kind, shapes_of(BASE))
    for index in range(len(net.params.get("L", []))):
        net = net_of(kind, shapes_of(BASE))
        blob = net.params["L"][index]
        before = tuple(blob.shape)
        if before == shape:
            continue
        blob.reshape(*shape)
        fill(net, kind)
        with pytest.raises(caffe.CaffeError, match=rf"Layer 'L'.* parameter {index} has the shape"):
            net.forward()
        blob.reshape(*before)
        net.forward()


def test_a_fused_group_is_guarded(make_net: NetMaker) -> None:
    text = (
        "force_backward: true\n"
        + inputs(x=(2, 3, 4, 4))
        + "layer { name: 'n' type: 'BatchNorm' bottom: 'x' top: 'n' "
        "batch_norm_param { use_global_stats: false } }"
        "layer { name: 's' type: 'Scale' bottom: 'n' top: 's' scale_param { bias_term: true } }"
        "layer { name: 'r' type: 'ReLU' bottom: 's' top: 'y' }"
    )
    net = make_net(text, caffe.TRAIN)
    net.forward()
    net.blobs["x"].reshape(5, 3, 2, 2)
    with pytest.raises(caffe.CaffeError, match=r"go forward before backward"):
        net.backward()
    net.forward()
    net.backward()
    net.params["s"][0].reshape(9)
    with pytest.raises(caffe.CaffeError, match=r"Layer 's' \(Scale\): parameter 0 has the shape 9"):
        net.forward()


def test_shared_weights_do_not_grow_into_memory_of_others(make_net: NetMaker) -> None:
    net = make_net(one_layer_net("InnerProduct", NUMBERS, (2, 3)))
    other = make_net(one_layer_net("InnerProduct", NUMBERS, (2, 3)))
    blob = net.params["q"][0]
    blob.reshape(64, 64)
    blob.reshape(2, 3)
    net.share_with(other)
    blob.reshape(64, 64)
    assert blob.data.size == 4096
    assert not np.shares_memory(blob.data, other.params["q"][0].data)

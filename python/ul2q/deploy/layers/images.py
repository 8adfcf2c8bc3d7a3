"""Layers that look at neighbours: pooling and normalisation over windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.deploy import ops

if TYPE_CHECKING:
    from ul2q.deploy.layers.source import Source


def pooling(layer: Source) -> tuple[ops.Op, ...]:
    """Pooling of the kinds MAX and AVE, global or not."""
    options = layer.param.pooling_param
    kinds = {options.MAX: "max", options.AVE: "average"}
    if options.pool not in kinds:
        layer.refuse("pool: STOCHASTIC; MAX and AVE can be exported")
    if len(layer.tops) > 1:
        layer.refuse("a second top, the mask of the maxima; leave it out")
    size = layer.bottoms[0][2:]
    if options.global_pooling:
        kernel, stride, pad = size, (1, 1), (0, 0)
    else:
        side = options.kernel_size
        kernel = (options.kernel_h or side, options.kernel_w or side)
        stride = (options.stride,) * 2
        if options.HasField("stride_h"):
            stride = (options.stride_h, options.stride_w)
        pad = (options.pad,) * 2
        if options.HasField("pad_h"):
            pad = (options.pad_h, options.pad_w)
    op = ops.Pooling(
        kinds[options.pool],
        _pair(kernel),
        _pair(stride),
        _pair(pad),
        _pair(layer.tops[0][2:]),
        rounds_up=options.round_mode == options.CEIL,
    )
    for axis, extent in enumerate(size):
        begin, _ = op.window(axis, op.output[axis] - 1, extent)
        if begin >= extent:
            layer.refuse(
                "its last window begins behind the input, where Caffe computes no number: the "
                "stride is larger than the kernel; round_mode: FLOOR leaves that window out"
            )
    return (op,)


def lrn(layer: Source) -> tuple[ops.Op, ...]:
    """LRN, across channels or within each."""
    options = layer.param.lrn_param
    size, alpha, beta = int(options.local_size), float(options.alpha), float(options.beta)
    if options.norm_region == options.WITHIN_CHANNEL:
        return (ops.WindowLrn(size, alpha, beta),)
    return (ops.ChannelLrn(size, alpha, beta, float(options.k)),)


def mvn(layer: Source) -> tuple[ops.Op, ...]:
    """MVN."""
    options = layer.param.mvn_param
    first = 1 if options.across_channels else 2
    axes = tuple(range(first, len(layer.bottoms[0])))
    return (ops.Mvn(axes, bool(options.normalize_variance), float(options.eps)),)


def _pair(numbers: tuple[int, ...]) -> tuple[int, int]:
    height, width = map(int, numbers)
    return height, width


LAYERS = {"Pooling": pooling, "LRN": lrn, "MVN": mvn}

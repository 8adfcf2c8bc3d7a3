"""What the outputs of a layer are sums of, as rows of its weights meet it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ul2q.nets.layer_types import float_type

if TYPE_CHECKING:
    from caffe.proto import caffe_pb2
    from numpy.typing import NDArray


def groups_of(param: caffe_pb2.LayerParameter) -> int:
    """Of how many groups of channels the layer is."""
    if float_type(param.type) == "Convolution":
        return max(1, int(param.convolution_param.group))
    return 1


def reads_in_rows(param: caffe_pb2.LayerParameter) -> bool:
    """Whether `rows` knows the layer: convolutions in the plane and inner products."""
    kind = float_type(param.type)
    if kind == "InnerProduct":
        return not param.inner_product_param.transpose
    options = param.convolution_param
    return kind == "Convolution" and len(param.bottom) == 1 and options.axis == 1


def rows(
    param: caffe_pb2.LayerParameter,
    x: NDArray[Any],
    kernel: tuple[int, ...],
    *,
    most: int | None = None,
) -> NDArray[Any]:
    """The inputs of each output: groups x positions x weights of a row.

    Args:
        param: the layer's.
        x: its bottom, N x C x H x W or, of an inner product, N x ….
        kernel: height and width; of an inner product not read.
        most: about how many positions; None: all. They lie evenly over each image.
    """
    if float_type(param.type) == "InnerProduct":
        axis = param.inner_product_param.axis % x.ndim
        return x.reshape(1, int(np.prod(x.shape[:axis])), -1)
    options = param.convolution_param
    pad = _pair(options, "pad", 0)
    stride = _pair(options, "stride", 1)
    dilation = _pair(options, "dilation", 1)
    padded = np.pad(x, ((0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2))
    extent = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    windows = sliding_window_view(padded, extent, axis=(2, 3))
    windows = windows[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    if most is not None:
        every = int(np.ceil((len(x) * windows.shape[2] * windows.shape[3] / most) ** 0.5))
        windows = windows[:, :, every // 2 :: every, every // 2 :: every]
    group = groups_of(param)
    n, channels, height, width = windows.shape[:4]
    split = windows.reshape(n, group, channels // group, height, width, *kernel)
    return split.transpose(1, 0, 3, 4, 2, 5, 6).reshape(group, n * height * width, -1)


def _pair(options: Any, name: str, default: int) -> tuple[int, int]:
    """A field of a convolution for height and width: `pad_h` and `pad_w`, or `pad`."""
    if name != "dilation" and (options.HasField(f"{name}_h") or options.HasField(f"{name}_w")):
        return int(getattr(options, f"{name}_h")), int(getattr(options, f"{name}_w"))
    values = [int(one) for one in getattr(options, name)] or [default]
    return values[0], values[-1]

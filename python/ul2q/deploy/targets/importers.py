"""What OpenCV 4.14 and MNN 3.6.1 read wrongly of Caffe's files, without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ul2q.deploy import ops

if TYPE_CHECKING:
    from collections.abc import Callable

    from ul2q.deploy.graph import Graph


def _begins_in_padding(op: ops.Pooling, size: tuple[int, ...]) -> bool:
    """Whether the last window holds padding alone."""
    return any(
        op.window(axis, op.output[axis] - 1, extent)[0] >= extent
        for axis, extent in enumerate(size)
    )


def _is_by_channel(op: ops.Affine) -> bool:
    return all(extent == 1 for axis, extent in enumerate(op.scale.shape) if axis != 1)


def _is_plain(op: ops.Log) -> bool:
    return (op.base, op.scale, op.shift) == (-1, 1, 0)


# Of an operation: who misreads it, what of it, and when, by it and the shape of its input.
_Case = tuple[type[ops.Op], str, str, "Callable[[Any, tuple[int, ...]], bool]"]
_MISREAD: tuple[_Case, ...] = (
    (ops.Pooling, "OpenCV and MNN", "round_mode: FLOOR", lambda op, _: not op.rounds_up),
    (
        ops.Pooling,
        "MNN",
        "a last window that begins in the padding",
        lambda op, shape: _begins_in_padding(op, shape[2:]),
    ),
    (ops.ChannelLrn, "OpenCV and MNN", "k", lambda op, _: op.k != 1),
    (ops.Swish, "OpenCV", "beta", lambda op, _: op.beta != 1),
    (
        ops.Log,
        "OpenCV",
        "base, scale and shift",
        lambda op, _: (op.base, op.scale, op.shift) != (-1, 1, 0),
    ),
    (ops.Deconvolution, "OpenCV", "dilation", lambda op, _: max(op.dilation) > 1),
    (ops.Convolution, "MNN", "one axis in place of two", lambda op, _: len(op.kernel) == 1),
    (
        ops.Affine,
        "MNN",
        "factors for other axes than channels",
        lambda op, _: not _is_by_channel(op),
    ),
    (ops.ArgMax, "MNN", "all of it", lambda _, __: True),
)


def misread(graph: Graph) -> tuple[str, ...]:
    """A warning for each layer that an importer computes wrongly and takes without an error."""
    return tuple(
        f"layer {node.name!r} ({node.label}): {who} would read {what} wrongly, without a word"
        for node in graph.nodes
        for kind, who, what, applies in _MISREAD
        if isinstance(node.op, kind) and applies(node.op, graph.shapes[node.inputs[0]])
    )

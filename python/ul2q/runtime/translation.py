"""From a deploy graph to what the C++ runtime takes: one function for each operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q import _runtime
from ul2q.deploy import Graph, QuantizedTensor, lower, ops
from ul2q.deploy.quantized import values_of
from ul2q.runtime.model import Model, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import caffe

    from ul2q.deploy import Node
    from ul2q.deploy.quantized import Weight
    from ul2q.runtime.pixels import Pixels
    from ul2q.util.paths import StrPath

_Pair = tuple[int, int]


def compile(  # noqa: A001 - ul2q.compile
    net: Graph | caffe.Net | StrPath,
    weights: StrPath | None = None,
    *,
    pixels: Mapping[str, Pixels] | None = None,
) -> Model:
    """A trained net in integers.

    Layers with quantised weights that read quantised activations of up to 8 bits multiply the
    codes; all others compute in float32.

    Args:
        net: what `ul2q.deploy.lower` makes, or takes: a net with its weights, or the prototxt of
            one that is deployed.
        weights: the .caffemodel for a prototxt.
        pixels: the inputs that are given in bytes, and what the net reads of them; a first layer
            with quantised weights reads them in integers, too.

    Raises:
        ModelError: a layer is not for this runtime, or `pixels` does not fit the net.
        FileNotFoundError: a file is missing.
        PrototxtError: the prototxt is faulty.
        WeightsError: the weights do not belong to the net, or hold NaN or infinity.
        DeployError: a layer cannot be lowered.
        caffe.CaffeError: Caffe refuses the net.
    """
    graph = net if isinstance(net, Graph) else lower(net, weights)
    if graph is net and weights is not None:
        raise ModelError("the graph has its weights; give weights with a prototxt only")
    batch = graph.shapes[graph.inputs[0]][0]
    for name, shape in graph.shapes.items():
        if not shape or shape[0] != batch:
            raise ModelError(
                f"{name!r} has shape {shape}; all that is between input and output must have an "
                f"axis of the batch, {batch}, first"
            )
    builder = _runtime.Builder()
    tensors = _inputs(builder, graph, pixels or {})
    try:
        for node in graph.nodes:
            (output,) = _outputs(node)
            tensors[output] = builder.add(
                node.name,
                _translated(node),
                [tensors[name] for name in node.inputs],
                output,
                graph.shapes[output][1:],
            )
        built = builder.build([tensors[name] for name in graph.outputs])
        return Model(graph.name, built, frozenset(pixels or ()))
    except _runtime.ModelError as error:
        raise ModelError(f"{graph.name}: {error}") from None


def _inputs(
    builder: _runtime.Builder, graph: Graph, pixels: Mapping[str, Pixels]
) -> dict[str, int]:
    """The tensors that the net reads, by the names of its inputs."""
    for name in pixels:
        if name not in graph.inputs:
            told = ", ".join(map(repr, graph.inputs))
            raise ModelError(f"pixels: there is no input {name!r}; the net reads {told}")
    tensors = {}
    for name in graph.inputs:
        shape = graph.shapes[name][1:]
        tensors[name] = builder.input(name, shape, name in pixels)
        if name in pixels:
            affine = _runtime.affine(*pixels[name].fit(name, shape))
            tensors[name] = builder.add(
                f"{name}/pixels", affine, [tensors[name]], f"{name}/pixels", shape
            )
    return tensors


def _outputs(node: Node) -> tuple[str, ...]:
    if len(node.outputs) != 1:
        _refuse(node, "several outputs")
    return node.outputs


def _refuse(node: Node, why: str) -> Any:
    raise ModelError(f"layer {node.name!r} ({node.label}): {why} is not for this runtime")


def _translated(node: Node) -> _runtime.Op:
    translate = _TRANSLATIONS.get(type(node.op))
    if translate is None:
        _refuse(node, f"operation {type(node.op).__name__}")
    assert translate is not None  # noqa: S101
    return translate(node, node.op)


def _weights(weight: Weight) -> _runtime.Weights:
    """As integers where they fit 8 bits and each output has one scale."""
    if not isinstance(weight, QuantizedTensor):
        return _runtime.floats(np.ascontiguousarray(weight, np.float32))
    outputs = weight.shape[0]
    by_output = all(fit.size in (1, fit.shape[0]) for fit in (weight.scale, weight.shift))
    if not by_output or weight.bits > 8:
        return _runtime.floats(np.ascontiguousarray(weight.values))
    # Levels half a step from the shift: odd numbers of half a step, or, where these do not fit,
    # half a step more of shift.
    # In 16 bits, which hold them: the arrays of a large layer are what loading a net peaks at.
    codes = weight.codes.astype(np.int16)
    scale = np.asarray(weight.scale, np.float64)
    shift = np.asarray(weight.shift, np.float64)
    if float(weight.offset).is_integer():
        numbers = codes - np.int16(weight.offset)
    elif max(abs(2 * (c - weight.offset)) for c in (weight.lowest, weight.highest)) <= 127:
        numbers = 2 * codes - np.int16(2 * weight.offset)
        scale = scale / 2
    else:
        numbers = codes - np.int16(1)
        shift = shift + (1 - weight.offset) * scale
    step, shift = (np.array(np.broadcast_to(fit.ravel(), outputs)) for fit in (scale, shift))
    return _runtime.integers(np.ascontiguousarray(numbers, np.int8), step, shift)


def _bias(op: ops.Convolution | ops.InnerProduct) -> list[float]:
    if op.bias is None:
        return [0.0] * op.outputs
    return [float(value) for value in values_of(op.bias)]


def _convolution(node: Node, op: ops.Convolution) -> _runtime.Op:
    if len(op.kernel) != 2:
        _refuse(node, f"a kernel of {len(op.kernel)} axes")
    return _runtime.convolution(
        weights=_weights(op.weight),
        bias=_bias(op),
        outputs=op.outputs,
        kernel=_pair(op.kernel),
        stride=_pair(op.stride),
        pad=_pair(op.pad),
        dilation=_pair(op.dilation),
        group=op.group,
    )


def _pair(extents: ops.Shape) -> _Pair:
    height, width = extents
    return height, width


def _inner_product(node: Node, op: ops.InnerProduct) -> _runtime.Op:
    if op.axis != 1:
        _refuse(node, f"axis {op.axis}")
    return _runtime.inner_product(_weights(op.weight), _bias(op), op.outputs)


def _pooling(_: Node, op: ops.Pooling) -> _runtime.Op:
    return _runtime.pooling(op.kind == "max", op.kernel, op.stride, op.pad, op.output)


def _affine(node: Node, op: ops.Affine) -> _runtime.Op:
    if any(size != 1 for fit in (op.scale, op.shift) for size in _beside(fit.shape)):
        _refuse(node, "a scale for other than the channels")
    return _runtime.affine(op.scale.ravel().tolist(), op.shift.ravel().tolist())


def _beside(shape: ops.Shape) -> ops.Shape:
    """All extents but that of the channels."""
    return shape[:1] + shape[2:]


def _function(kind: str, *names: str) -> Callable[[Node, Any], _runtime.Op]:
    """The translation of a function of one element with these attributes as a, b and c."""
    return lambda _, op: _runtime.function(kind, *(float(getattr(op, name)) for name in names))


def _exp(_: Node, op: ops.Exp) -> _runtime.Op:
    inner, outer = op.factors
    return _runtime.function("exp", inner, outer)


def _quantize(node: Node, op: ops.QuantizeActivation) -> _runtime.Op:
    if op.highest - op.lowest > 255:
        _refuse(node, f"an activation of {op.bits} bits, more than 8,")
    return _runtime.quantize(op.scale, op.shift, op.offset, op.lowest, op.highest)


_TRANSLATIONS: dict[type, Callable[[Node, Any], _runtime.Op]] = {
    ops.Convolution: _convolution,
    ops.InnerProduct: _inner_product,
    ops.Pooling: _pooling,
    ops.Affine: _affine,
    ops.QuantizeActivation: _quantize,
    ops.BinarizeActivation: _function("sign", "scale"),
    ops.TernarizeActivation: _function("ternary", "scale", "threshold"),
    ops.Relu: _function("relu", "slope"),
    ops.PRelu: lambda _, op: _runtime.prelu(op.slopes.ravel().tolist()),
    ops.Elu: _function("elu", "alpha"),
    ops.Sigmoid: _function("sigmoid"),
    ops.Tanh: _function("tanh"),
    ops.Swish: _function("swish", "beta"),
    ops.Abs: _function("abs"),
    ops.Power: _function("power", "power", "scale", "shift"),
    ops.Exp: _exp,
    ops.Log: _function("log", "factor", "scale", "shift"),
    ops.Softplus: _function("softplus"),
    ops.Threshold: _function("threshold", "threshold"),
    ops.Clip: _function("clip", "lowest", "highest"),
    ops.Sum: lambda _, op: _runtime.combination("sum", list(op.coefficients)),
    ops.Product: lambda *_: _runtime.combination("product"),
    ops.Maximum: lambda *_: _runtime.combination("maximum"),
    ops.Concat: lambda _, op: _runtime.concat(op.axis - 1),
    ops.Reshape: lambda *_: _runtime.reshape(),
    ops.Softmax: lambda _, op: _runtime.softmax(op.axis - 1),
    ops.ChannelLrn: lambda _, op: _runtime.lrn(False, op.size, op.alpha, op.beta, op.k),
    ops.WindowLrn: lambda _, op: _runtime.lrn(True, op.size, op.alpha, op.beta),
}

"""Each operation in ONNX's operators, by the oldest of their versions that will do."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy import ops
from ul2q.deploy.errors import DeployError
from ul2q.deploy.integers import integer_form
from ul2q.deploy.quantized import QuantizedTensor

if TYPE_CHECKING:
    from ul2q.deploy.graph import Graph, Node
    from ul2q.deploy.targets.onnx.translation import Translation


@singledispatch
def translate(_: ops.Op, node: Node, __: Translation) -> None:
    """Append the operators of a node, which read its inputs and make its outputs."""
    raise DeployError(f"layer {node.name!r} ({node.label}): ONNX has no such operation")


@translate.register(ops.Convolution)
@translate.register(ops.Deconvolution)
def _(op: ops.Convolution | ops.Deconvolution, node: Node, to: Translation) -> None:
    _with_biases(
        "Conv" if isinstance(op, ops.Convolution) else "ConvTranspose",
        node.inputs[0],
        node.outputs[0],
        node,
        to,
        kernel_shape=list(op.kernel),
        strides=list(op.stride),
        pads=[*op.pad, *op.pad],
        dilations=list(op.dilation),
        group=op.group,
    )


@translate.register(ops.InnerProduct)
def _(op: ops.InnerProduct, node: Node, to: Translation) -> None:
    (x,), (y,) = node.inputs, node.outputs
    rows = math.prod(to.shape(x)[: op.axis])
    if len(to.shape(x)) != 2 or op.axis != 1:
        x = to.reshape(x, to.free((rows, op.weight.shape[1])))
    is_flat = to.shape(y) == (rows, op.outputs)
    product = _with_biases("Gemm", x, y if is_flat else to.fresh(f"{y}.flat"), node, to, transB=1)
    if not is_flat:
        to.reshape(product, to.free(to.shape(y)), y)


def _with_biases(kind: str, x: str, y: str, node: Node, to: Translation, **attributes: Any) -> str:
    """An operator with weights and biases.

    Between QuantizeLinear and DequantizeLinear onnxruntime rounds the biases of Conv, ConvTranspose
    and Gemm to multiples of the product of both scales (1.21 and later), of which Conv alone is
    then computed in integers. The others have theirs added behind them.
    """
    inputs, biases = [x, to.weight(node, "weight")], to.biases(node)
    if kind == "Conv" or not biases or not to.has_codes:
        return to.add(kind, [*inputs, *biases], y, name=node.name, **attributes)
    product = to.add(kind, inputs, name=node.name, **attributes)
    if kind == "ConvTranspose":
        biases = [to.reshape(biases[0], (-1, *[1] * len(attributes["strides"])))]
    return to.add("Add", [product, *biases], y)


@translate.register(ops.Embedding)
def _(op: ops.Embedding, node: Node, to: Translation) -> None:
    (y,) = node.outputs
    indices = to.add("Cast", node.inputs, to=to.type("INT64"))
    last = y if op.bias is None else ""
    rows = to.add("Gather", [to.weight(node, "weight"), indices], last, name=node.name, axis=0)
    if op.bias is not None:
        to.add("Add", [rows, to.weight(node, "bias")], y)


@translate.register(ops.Pooling)
def _(op: ops.Pooling, node: Node, to: Translation) -> None:
    _pool(op, node.inputs[0], node.outputs[0], to, node.name)


def _pool(op: ops.Pooling, x: str, y: str, to: Translation, name: str) -> str:
    """With pads that make ceil_mode unnecessary: not all runtimes round as Caffe does.

    Caffe divides by the part of a window within the padded input, ONNX by that within the input,
    which a factor for each place undoes. With count_include_pad, ONNX could divide by the whole
    window; OpenCV 4.14 does not.
    """
    size = to.shape(x)[2:]
    ends = [op.end_pad(axis, extent) for axis, extent in enumerate(size)]
    window: dict[str, Any] = {
        "kernel_shape": list(op.kernel),
        "strides": list(op.stride),
        "pads": [*op.pad, *ends],
    }
    if op.kind == "max":
        return to.add("MaxPool", [x], y, name=name, **window)
    places = [
        [op.window(axis, place, size[axis]) for place in range(n)]
        for axis, n in enumerate(op.output)
    ]
    rows, columns = (np.array([end - begin for begin, end in along]) for along in places)
    held_rows, held_columns = (
        np.array([max(0, min(end, extent) - max(begin, 0)) for begin, end in along])
        for along, extent in zip(places, size, strict=True)
    )
    counted, held = np.outer(rows, columns), np.outer(held_rows, held_columns)
    includes = int(np.any(held == 0))  # a window of padding alone
    factors = (math.prod(op.kernel) if includes else held) / counted
    is_right = bool(np.all(factors == 1))
    means = to.add(
        "AveragePool", [x], y if is_right else "", name=name, count_include_pad=includes, **window
    )
    if is_right:
        return means
    return to.add("Mul", [means, to.array(factors[None, None], f"{y}.window")], y)


@translate.register(ops.Affine)
def _(op: ops.Affine, node: Node, to: Translation) -> None:
    (y,) = node.outputs
    has_shift = bool(np.any(op.shift != 0))
    x = node.inputs[0]
    if np.any(op.scale != 1) or not has_shift:
        scale = to.weight(node, "scale")
        x = to.add("Mul", [x, scale], "" if has_shift else y, name=node.name)
    if has_shift:
        to.add("Add", [x, to.weight(node, "shift")], y)


@translate.register(ops.Relu)
def _(op: ops.Relu, node: Node, to: Translation) -> None:
    if op.slope == 0:
        to.add("Relu", node.inputs, node.outputs, name=node.name)
    else:
        to.add("LeakyRelu", node.inputs, node.outputs, name=node.name, alpha=op.slope)


@translate.register(ops.PRelu)
def _(op: ops.PRelu, node: Node, to: Translation) -> None:
    axes = len(to.shape(node.inputs[0]))
    slopes = to.array(op.slopes.reshape(-1, *[1] * (axes - 2)), f"{node.name}.slopes")
    to.add("PRelu", [*node.inputs, slopes], node.outputs, name=node.name)


@translate.register(ops.Elu)
def _(op: ops.Elu, node: Node, to: Translation) -> None:
    to.add("Elu", node.inputs, node.outputs, name=node.name, alpha=op.alpha)


@translate.register(ops.Sigmoid)
def _(_: ops.Sigmoid, node: Node, to: Translation) -> None:
    to.add("Sigmoid", node.inputs, node.outputs, name=node.name)


@translate.register(ops.Tanh)
def _(_: ops.Tanh, node: Node, to: Translation) -> None:
    to.add("Tanh", node.inputs, node.outputs, name=node.name)


@translate.register(ops.Swish)
def _(op: ops.Swish, node: Node, to: Translation) -> None:
    (x,) = node.inputs
    gate = to.add("Sigmoid", [to.scaled(x, op.beta, 0)])
    to.add("Mul", [x, gate], node.outputs, name=node.name)


@translate.register(ops.Abs)
def _(_: ops.Abs, node: Node, to: Translation) -> None:
    to.add("Abs", node.inputs, node.outputs, name=node.name)


@translate.register(ops.Power)
def _(op: ops.Power, node: Node, to: Translation) -> None:
    x = to.scaled(node.inputs[0], op.scale, op.shift)
    if op.power == 1:
        to.add("Identity", [x], node.outputs, name=node.name)
    elif op.power == 2:
        to.add("Mul", [x, x], node.outputs, name=node.name)
    else:
        to.add("Pow", [x, to.number(op.power)], node.outputs, name=node.name)


@translate.register(ops.Exp)
def _(op: ops.Exp, node: Node, to: Translation) -> None:
    inner, outer = op.factors
    power = to.add("Exp", [to.scaled(node.inputs[0], inner, 0)])
    to.add("Mul", [power, to.number(outer)], node.outputs, name=node.name)


@translate.register(ops.Log)
def _(op: ops.Log, node: Node, to: Translation) -> None:
    logarithm = to.add("Log", [to.scaled(node.inputs[0], op.scale, op.shift)])
    to.add("Mul", [logarithm, to.number(op.factor)], node.outputs, name=node.name)


@translate.register(ops.Softplus)
def _(_: ops.Softplus, node: Node, to: Translation) -> None:
    to.add("Softplus", node.inputs, node.outputs, name=node.name)


@translate.register(ops.Threshold)
def _(op: ops.Threshold, node: Node, to: Translation) -> None:
    above = to.add("Greater", [*node.inputs, to.number(op.threshold)])
    to.add("Cast", [above], node.outputs, name=node.name, to=to.type("FLOAT"))


@translate.register(ops.Clip)
def _(op: ops.Clip, node: Node, to: Translation) -> None:
    bounds = [to.number(op.lowest), to.number(op.highest)]
    to.add("Clip", [*node.inputs, *bounds], node.outputs, name=node.name)


@translate.register(ops.Softmax)
def _(op: ops.Softmax, node: Node, to: Translation) -> None:
    to.add("Softmax", node.inputs, node.outputs, name=node.name, axis=op.axis)


@translate.register(ops.ChannelLrn)
def _(op: ops.ChannelLrn, node: Node, to: Translation) -> None:
    to.add(
        "LRN",
        node.inputs,
        node.outputs,
        name=node.name,
        alpha=op.alpha,
        beta=op.beta,
        bias=op.k,
        size=op.size,
    )


@translate.register(ops.WindowLrn)
def _(op: ops.WindowLrn, node: Node, to: Translation) -> None:
    (x,) = node.inputs
    height, width = to.shape(x)[2:]
    squares = to.add("Mul", [x, x], to.like(f"{x}.squared", x))
    mean = op.mean(height, width)
    means = _pool(mean, squares, to.fresh(f"{x}.mean"), to, f"{node.name}.mean")
    factor = to.add("Pow", [to.scaled(means, op.alpha, 1), to.number(-op.beta)])
    to.add("Mul", [x, factor], node.outputs, name=node.name)


@translate.register(ops.Mvn)
def _(op: ops.Mvn, node: Node, to: Translation) -> None:
    (x,), (y,) = node.inputs, node.outputs

    def mean(values: str) -> str:
        count = math.prod(to.shape(x)[axis] for axis in op.axes)
        sums = to.add("ReduceSum", [values, to.numbers(op.axes)], keepdims=1)
        return to.add("Mul", [sums, to.number(1 / count)])

    centred = to.add("Sub", [x, mean(x)], "" if op.with_variance else y, name=node.name)
    if op.with_variance:
        variance = mean(to.add("Mul", [centred, centred]))
        deviation = to.add("Add", [to.add("Sqrt", [variance]), to.number(op.eps)])
        to.add("Div", [centred, deviation], y)


@translate.register(ops.Sum)
def _(op: ops.Sum, node: Node, to: Translation) -> None:
    terms = [to.scaled(x, c, 0) for x, c in zip(node.inputs, op.coefficients, strict=True)]
    _chain("Add", terms, node, to)


@translate.register(ops.Product)
def _(_: ops.Product, node: Node, to: Translation) -> None:
    _chain("Mul", list(node.inputs), node, to)


def _chain(kind: str, terms: list[str], node: Node, to: Translation) -> None:
    """An operator of two inputs over several."""
    if len(terms) == 1:
        to.add("Identity", terms, node.outputs, name=node.name)
        return
    so_far = terms[0]
    for place, term in enumerate(terms[1:], 2):
        last = node.outputs[0] if place == len(terms) else ""
        so_far = to.add(kind, [so_far, term], last, name=node.name if last else "")


@translate.register(ops.Maximum)
def _(_: ops.Maximum, node: Node, to: Translation) -> None:
    to.add("Max", node.inputs, node.outputs, name=node.name)


@translate.register(ops.Broadcast)
def _(op: ops.Broadcast, node: Node, to: Translation) -> None:
    x, other = node.inputs
    kind = {"multiply": "Mul", "add": "Add"}[op.operation]
    to.add(kind, [x, to.reshape(other, to.free(op.shape))], node.outputs, name=node.name)


@translate.register(ops.Reduction)
def _(op: ops.Reduction, node: Node, to: Translation) -> None:
    (x,) = node.inputs
    axes = range(op.axis, len(to.shape(x)))
    factor = op.coefficient
    if op.kind == "asum":
        x = to.add("Abs", [x])
    elif op.kind == "sumsq":
        x = to.add("Mul", [x, x])
    elif op.kind == "mean":
        factor /= math.prod(to.shape(x)[axis] for axis in axes)
    sums = to.add("ReduceSum", [x, to.numbers(axes)], keepdims=0)
    to.add("Mul", [sums, to.number(factor)], node.outputs, name=node.name)


@translate.register(ops.ArgMax)
def _(op: ops.ArgMax, node: Node, to: Translation) -> None:
    (x,), (y,) = node.inputs, node.outputs
    axis = op.axis
    if axis is None:
        axis, count = 2, math.prod(to.shape(x)[1:])
        x = to.reshape(x, to.free((to.shape(x)[0], 1, count)))
    else:
        count = to.shape(x)[axis]
    find = _largest if op.count == 1 else _several_largest
    indices, values = find(x, axis, count, op, node, to)
    if op.axis is None and op.values:
        values = to.add("Concat", [indices, values], axis=1)
    to.reshape(values if op.values else indices, to.free(op.shape), y)


def _largest(
    x: str, axis: int, _: int, __: ops.ArgMax, node: Node, to: Translation
) -> tuple[str, str]:
    """The index and the value; of equal ones the last. OpenVINO's TopK of one takes any of them."""
    place = to.add("ArgMax", [x], name=node.name, axis=axis, select_last_index=1)
    return to.add("Cast", [place], to=to.type("FLOAT")), to.add("ReduceMax", [x], axes=[axis])


def _several_largest(
    x: str, axis: int, count: int, op: ops.ArgMax, node: Node, to: Translation
) -> tuple[str, str]:
    """Indices and values, turned around: TopK puts the first of equal ones in front."""
    bounds = [to.numbers(v) for v in ([count - 1], [-count - 1], [axis], [-1])]
    turned = to.add("Slice", [x, *bounds])
    values, places = to.fresh(f"{x}.values"), to.fresh(f"{x}.places")
    to.add("TopK", [turned, to.numbers([op.count])], [values, places], name=node.name, axis=axis)
    indices = to.add("Cast", [places], to=to.type("FLOAT"))
    return to.add("Sub", [to.number(count - 1), indices]), values


@translate.register(ops.Reshape)
def _(op: ops.Reshape, node: Node, to: Translation) -> None:
    shape = to.numbers(to.free(op.shape))
    to.add("Reshape", [*node.inputs, shape], node.outputs, name=node.name)


@translate.register(ops.Concat)
def _(op: ops.Concat, node: Node, to: Translation) -> None:
    to.add("Concat", node.inputs, node.outputs, name=node.name, axis=op.axis)


@translate.register(ops.Slice)
def _(op: ops.Slice, node: Node, to: Translation) -> None:
    begin = 0
    for size, output in zip(op.sizes, node.outputs, strict=True):
        bounds = [to.numbers(v) for v in ([begin], [begin + size], [op.axis])]
        to.add("Slice", [*node.inputs, *bounds], output)
        begin += size


@translate.register(ops.Crop)
def _(op: ops.Crop, node: Node, to: Translation) -> None:
    # Where the batch is of any length, nothing is cut from it.
    axes = range(int(to.builder.any_batch), len(op.sizes))
    begins = [op.offsets[axis] for axis in axes]
    ends = [op.offsets[axis] + op.sizes[axis] for axis in axes]
    bounds = [to.numbers(v) for v in (begins, ends, axes)]
    to.add("Slice", [node.inputs[0], *bounds], node.outputs, name=node.name)


@translate.register(ops.Tile)
def _(op: ops.Tile, node: Node, to: Translation) -> None:
    (x,) = node.inputs
    to.add("Concat", [x] * op.count, node.outputs, name=node.name, axis=op.axis)


@translate.register(ops.QuantizeActivation)
def _(op: ops.QuantizeActivation, node: Node, to: Translation) -> None:
    """QuantizeLinear and DequantizeLinear, or, by the layer's own expression, the nearest level."""
    (x,), (y,) = node.inputs, node.outputs
    if op.scale == 0:
        to.add("Add", [to.scaled(x, 0, 0), to.number(op.shift)], y, name=node.name)
    elif becomes_codes(op, node, to.builder.graph):
        _through_codes(op, node, to)
    else:
        position = to.scaled(to.scaled(x, 1, -op.shift), float(1 / np.float32(op.scale)), op.offset)
        bounds = [to.number(op.lowest), to.number(op.highest)]
        codes = _rounded(to.add("Clip", [position, *bounds]), to, is_signed=op.lowest < 0)
        levels = to.scaled(to.scaled(codes, 1, -op.offset), op.scale, op.shift)
        to.add("Identity", [levels], y, name=node.name)


def becomes_codes(op: ops.QuantizeActivation, node: Node, graph: Graph) -> bool:
    """Whether levels are given to the readers through codes of 8 bits.

    Runtimes then compute in integers, if no Clip to fewer codes stands in between. They must not
    where a reader's weights are no multiples of a scale: onnxruntime rounds float weights to 8 bits
    (1.21 and later), and OpenVINO a shift to a multiple of the scale.
    """
    return op.highest - op.lowest == 255 and _meet_multiples(node.outputs[0], graph)


def _meet_multiples(tensor: str, graph: Graph) -> bool:
    """Whether the layers with weights behind a tensor have multiples of a scale as weights."""
    for node in graph.readers(tensor):
        weight = node.op.weights.get("weight")
        if isinstance(node.op, ops.QuantizeActivation):
            continue
        if weight is None:
            if not all(_meet_multiples(output, graph) for output in node.outputs):
                return False
        elif not isinstance(weight, QuantizedTensor) or integer_form(weight).has_shift:
            return False
    return True


def _through_codes(op: ops.QuantizeActivation, node: Node, to: Translation) -> None:
    """QuantizeLinear and DequantizeLinear, around which levels are moved to multiples of the scale.

    QuantizeLinear rounds a tie to the even code, and the layer away from zero. A scale that is
    smaller by one unit in the last place puts ties, and hardly anything else, beyond the border.
    """
    (x,), (y,) = node.inputs, node.outputs
    centre = op.shift - op.offset * op.scale  # of code 0
    is_int8 = op.lowest == -128
    kind, zero = (np.int8, 0) if is_int8 else (np.uint8, -op.lowest)
    scale = np.float32(op.scale)
    zero_point = to.constant(np.array(zero, kind), f"{kind.__name__}({zero})")
    steps = [
        to.array(np.array(value, np.float32), f"{node.name}.{name}")
        for name, value in (("scale", scale), ("divisor", np.nextafter(scale, np.float32(0))))
    ]
    moved = to.scaled(x, 1, -centre)
    codes = to.add("QuantizeLinear", [moved, steps[1], zero_point], name=node.name)
    levels = to.add("DequantizeLinear", [codes, steps[0], zero_point], "" if centre else y)
    if centre:
        to.add("Add", [levels, to.number(centre)], y)


def _rounded(x: str, to: Translation, *, is_signed: bool) -> str:
    """The nearest integers, ties away from zero; Round would take the even ones."""
    if not is_signed:
        return to.add("Floor", [to.scaled(x, 1, 0.5)])
    magnitude = to.add("Floor", [to.scaled(to.add("Abs", [x]), 1, 0.5)])
    return to.add("Mul", [to.add("Sign", [x]), magnitude])


@translate.register(ops.TernarizeActivation)
def _(op: ops.TernarizeActivation, node: Node, to: Translation) -> None:
    (x,) = node.inputs
    above = to.add("Greater", [x, to.number(op.threshold)])
    below = to.add("Less", [x, to.number(-op.threshold)])
    levels = to.add("Where", [below, to.number(-op.scale), to.number(0)])
    to.add("Where", [above, to.number(op.scale), levels], node.outputs, name=node.name)


@translate.register(ops.BinarizeActivation)
def _(op: ops.BinarizeActivation, node: Node, to: Translation) -> None:
    below = to.add("Less", [*node.inputs, to.number(0)])
    levels = [to.number(-op.scale), to.number(op.scale)]
    to.add("Where", [below, *levels], node.outputs, name=node.name)


@translate.register(ops.Lstm)
def _(op: ops.Lstm, node: Node, to: Translation) -> None:
    """A step at a time, since marks may set the state back to 0 within a batch."""
    size = op.hidden
    # Caffe's gates are input, forget, output, candidate; ONNX's input, output, forget, candidate.
    order = [row + gate * size for gate in (0, 2, 1, 3) for row in range(size)]
    given, weights = _recurrent_inputs(op, node, to, order)
    states = _first_states(op, node, to, count=2)
    steps = []
    for place, (x, mark) in enumerate(given):
        states = [to.add("Mul", [state, mark]) for state in states]
        names = [to.fresh(f"{node.name}.{part}{place}") for part in ("y", "h", "c")]
        to.add("LSTM", [x, *weights, "", *states], names, hidden_size=size)
        states = names[1:]
        steps.append(states[0])
    to.add("Concat", steps, node.outputs[0], name=node.name, axis=0)
    for state, output in zip(states, node.outputs[1:], strict=False):
        to.add("Identity", [state], output)


@translate.register(ops.Rnn)
def _(op: ops.Rnn, node: Node, to: Translation) -> None:
    given, weights = _recurrent_inputs(op, node, to, list(range(op.hidden)))
    (state,) = _first_states(op, node, to, count=1)
    steps = []
    for place, (x, mark) in enumerate(given):
        names = [to.fresh(f"{node.name}.{part}{place}") for part in ("y", "h")]
        to.add("RNN", [x, *weights, "", to.add("Mul", [state, mark])], names, hidden_size=op.hidden)
        state = names[1]
        steps.append(state)
    together = to.add("Concat", steps, axis=0)
    flat = to.reshape(together, (-1, op.hidden))
    output = [to.weight(node, name) for name in ("output", "output_bias")]
    y = to.add("Tanh", [to.add("Gemm", [flat, *output], transB=1)])
    to.reshape(y, to.shape(node.outputs[0]), node.outputs[0])
    for last in node.outputs[1:]:
        to.add("Identity", [state], last)


def _recurrent_inputs(
    op: ops.Recurrent, node: Node, to: Translation, order: list[int]
) -> tuple[list[tuple[str, str]], list[str]]:
    """The input and the mark of each step, and the operator's weights.

    A static input stands behind that of each step, as its weights stand behind those.
    """
    x, marks, *others = node.inputs
    steps, streams = to.shape(marks)
    flat = to.reshape(x, (steps, streams, -1))
    static = to.reshape(others[0], (1, streams, -1)) if op.has_static else ""
    column = to.reshape(marks, (steps, streams, 1))
    given = []
    for step in range(steps):
        bounds = [to.numbers(v) for v in ([step], [step + 1], [0])]
        now = to.add("Slice", [flat, *bounds])
        if static:
            now = to.add("Concat", [now, static], axis=2)
        given.append((now, to.add("Slice", [column, *bounds])))
    weight = to.weight(node, "input", order)
    if static:
        weight = to.add("Concat", [weight, to.weight(node, "static", order)], axis=1)
    state, bias = to.weight(node, "state", order), to.weight(node, "input_bias", order)
    zeros = to.array(np.zeros(len(order)), f"{node.name}.zeros")
    biases = to.add("Concat", [bias, zeros], axis=0)
    rows = len(order)
    return given, [
        to.reshape(weight, (1, rows, -1)),
        to.reshape(state, (1, rows, op.hidden)),
        to.reshape(biases, (1, 2 * rows)),
    ]


def _first_states(op: ops.Recurrent, node: Node, to: Translation, *, count: int) -> list[str]:
    streams = to.shape(node.inputs[1])[1]
    if op.exposes_state:
        return [to.reshape(name, (1, streams, op.hidden)) for name in node.inputs[-count:]]
    zeros = np.zeros((1, streams, op.hidden))
    return [to.array(zeros, f"float32[1,{streams},{op.hidden}](0)")] * count

"""From a graph to a net in fixed-point arithmetic."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ul2q.deploy import ops
from ul2q.deploy.errors import DeployError
from ul2q.deploy.fixed_point import steps
from ul2q.deploy.fixed_point.coding import TYPES, Coding, Grid
from ul2q.deploy.fixed_point.ending import Ending, Formula, ending
from ul2q.deploy.fixed_point.hoist import hoisted
from ul2q.deploy.fixed_point.inputs import InputFormats
from ul2q.deploy.fixed_point.net import FixedPointNet, Input, Output, Tensor
from ul2q.deploy.fixed_point.powers import PowerTable
from ul2q.deploy.integers import integer_form
from ul2q.deploy.quantized import QuantizedTensor, values_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ul2q.deploy.graph import Graph, Node
    from ul2q.deploy.ops import Shape

_NO_ACTIVATIONS = (
    "`ul2q quantize --activation-bits 8` puts QuantizedActivation layers into a net, and training "
    "or `ul2q calibrate` fits them"
)
_SQUARED_BITS = 28  # of an integer of which squares are summed up
_LARGEST_SUM = TYPES["i32"][1]


def fixed_point(graph: Graph, formats: InputFormats | None = None) -> FixedPointNet:
    """The net that computes a graph in integers.

    Args:
        graph: folded, with quantised weights and activations.
        formats: what is known of the inputs.

    Raises:
        DeployError: a layer cannot be computed in integers; the message names it.
    """
    return _Lowering(hoisted(graph), formats or InputFormats()).net()


def grid_of(op: ops.Op) -> Grid | None:
    """The levels that an operation rounds to; None if it does not round."""
    if isinstance(op, ops.QuantizeActivation):
        return Grid.of_quantize(op)
    if isinstance(op, ops.BinarizeActivation):
        return Grid.of_sign(op.scale)
    if isinstance(op, ops.TernarizeActivation):
        return Grid.of_ternary(op.scale, op.threshold)
    return None


@dataclass
class _Tail:
    """Operations of one element behind a step, which become part of its ending.

    Attributes:
        label: their types.
        output: the tensor that the last of them makes.
        affines: scale and shift for each channel or for all, one after the other.
        slopes: what values below zero are multiplied with then.
        grid: that they are rounded to in the end.
    """

    label: str
    output: str
    affines: list[tuple[NDArray[np.float64], NDArray[np.float64]]]
    slopes: NDArray[np.float64] | None = None
    grid: Grid | None = None


class _Lowering:
    def __init__(self, graph: Graph, formats: InputFormats) -> None:
        self._graph = graph
        self._formats = formats
        self._tensors: dict[str, Tensor] = {}
        self._same: dict[str, str] = {}  # another name of a tensor
        self._shapes = {name: shape[1:] for name, shape in graph.shapes.items()}
        self._steps: list[steps.Step] = []
        self._done: set[str] = set()  # nodes that another one's step does
        self._left_out: dict[str, tuple[str, str, int]] = {}  # Softmax: source, layer, axis
        self._given: set[str] = set()
        self._outputs: set[str] = set()

    def net(self) -> FixedPointNet:
        graph = self._graph
        batch = graph.shapes[graph.inputs[0]][0]
        for name, shape in graph.shapes.items():
            if not shape or shape[0] != batch:
                raise DeployError(
                    f"{name!r} has shape {shape}; all that is between input and output must have "
                    f"an axis of the batch, {batch}, first"
                )
        inputs = {name: self._input(name) for name in graph.inputs}
        self._given = {given.tensor for given in inputs.values()}
        for node in graph.nodes:
            if node.name not in self._done:
                self._lower(node)
        outputs = {name: self._output(name) for name in graph.outputs}
        return FixedPointNet(graph.name, inputs, outputs, tuple(self._steps), self._tensors)

    # ---- Inputs and outputs.

    def _input(self, name: str) -> Input:
        image = self._image(name)
        pixels = self._formats.pixels
        if pixels is not None:
            if len(self._graph.inputs) > 1:
                raise DeployError("a scale and a mean of pixels are for nets of one input")
            pixels = pixels.fitting(name, image)
            given = f"{name}/pixels" if pixels.mean is not None else name
            self._tensors[given] = Tensor(image, Coding(pixels.scale, 0.0, 0, 255))
            if pixels.mean is not None:
                factor = pixels.factor
                mean = np.rint(pixels.mean.astype(np.float64) * factor).astype(np.int64)
                limits = int(-mean.max()), int(255 * factor - mean.min())
                coding = Coding(pixels.scale / factor, 0.0, *limits)
                self._tensors[name] = Tensor(image, coding)
                label = "pixels minus their mean"
                self._steps.append(steps.Centre(name, label, (given,), name, factor, mean))
            return Input(given, pixels)
        readers = self._graph.readers(name)
        grids = {reader.name: grid_of(reader.op) for reader in readers}
        if len(readers) == 1 and (grid := grids[readers[0].name]) is not None:
            (reader,) = readers
            self._tensors[name] = Tensor(image, grid.coding)
            self._same[reader.outputs[0]] = name
            self._done.add(reader.name)
            return Input(name, grid=grid)
        self._tensors[name] = Tensor(image, self._formats.fixed_point(name))
        return Input(name)

    def _output(self, name: str) -> Output:
        source, layer, axis = self._left_out.get(name, (name, None, 0))
        held = self._find(source)
        if held in self._given or held in self._outputs:
            # Another array of the caller's holds it; this one gets a copy.
            copy = f"{name}/copy"
            self._tensors[copy] = self._tensors[held]
            self._steps.append(steps.Concat(name, "a copy", (held,), copy, 1))
            held = copy
        self._outputs.add(held)
        return Output(held, self._shapes[name], layer, axis)

    # ---- Nodes.

    def _lower(self, node: Node) -> None:
        op = node.op
        if isinstance(op, (ops.Convolution, ops.InnerProduct)):
            self._convolution(node, op)
        elif isinstance(op, ops.Pooling):
            self._pooling(node, op)
        elif isinstance(op, ops.Sum):
            self._sum(node, op.coefficients)
        elif isinstance(op, (ops.Affine, ops.Relu, ops.PRelu)) or grid_of(op) is not None:
            self._sum(node, (1.0,), own=node)
        elif isinstance(op, (ops.ChannelLrn, ops.WindowLrn)):
            self._lrn(node, op)
        elif isinstance(op, ops.Power) and op.power == 1:
            numbers = (np.full(1, op.scale), np.full(1, op.shift))
            self._sum(node, (1.0,), affine=numbers)
        elif isinstance(op, ops.Maximum):
            inputs = self._alike(node)
            self._append(steps.Maximum(node.name, node.label, inputs, node.outputs[0]),
                         self._joint(inputs))  # fmt: skip
        elif isinstance(op, ops.Concat):
            self._concat(node, op.axis)
        elif isinstance(op, ops.Reshape):
            self._same[node.outputs[0]] = node.inputs[0]
        elif isinstance(op, ops.Softmax):
            self._softmax(node, op.axis)
        else:
            self._refuse(node, f"{type(op).__name__} is not computed in integers")

    def _refuse(self, node: Node, why: str) -> NoReturn:
        raise DeployError(f"layer {node.name!r} ({node.label}): {why}")

    def _append(self, step: steps.Step, coding: Coding) -> None:
        self._tensors[step.output] = Tensor(self._image(step.output), coding)
        self._steps.append(step)

    def _softmax(self, node: Node, axis: int) -> None:
        name = node.outputs[0]
        if self._graph.readers(name) or name not in self._graph.outputs:
            self._refuse(node, "a softmax can be left to the caller at the net's end only")
        self._left_out[name] = (node.inputs[0], node.name, axis - 1)

    def _convolution(self, node: Node, op: ops.Convolution | ops.InnerProduct) -> None:
        weight = op.weight
        if not isinstance(weight, QuantizedTensor):
            self._refuse(
                node, "it has float weights; `ul2q quantize --weight-bits 8` gives it bits"
            )
        if weight.bits > 8:
            self._refuse(node, f"weights of {weight.bits} bits; 8 at most are computed in integers")
        if any(fit.size not in (1, fit.shape[0]) for fit in (weight.scale, weight.shift)):
            self._refuse(node, "its weights have scales for other than the outputs")
        source = self._find(node.inputs[0])
        if isinstance(op, ops.InnerProduct):
            if op.axis != 1:
                self._refuse(node, f"axis {op.axis}; an item must be one vector")
            image = self._tensors[source].image
            shape: Shape = (op.outputs, *image)
            filters = _Filters((1, 1), (0, 0), (1, 1), 1)
        else:
            if len(op.kernel) != 2:
                self._refuse(node, f"a kernel of {len(op.kernel)} axes; 2 can be computed")
            (source,) = self._read(node)
            shape = weight.shape
            filters = _Filters(_pair(op.stride), _pair(op.pad), _pair(op.dilation), op.group)
        tensor = self._tensors[source]
        if tensor.coding.type == "i32":
            self._refuse(node, f"it reads float activations; {_NO_ACTIVATIONS}")
        tail = self._tail(node)
        size = self._image(node.outputs[0])[1:]
        formula, classes, has_sum = self._products(node, op, tensor, filters, shape, size)
        made, coding = self._ending(formula, tail, op.outputs)
        form = integer_form(weight)
        gain = int(form.book[1] - form.book[0]) if len(form.book) > 1 else 1
        step = steps.Convolution(
            node.name, tail.label, (source,), tail.output,
            form.codes.reshape(shape), weight.bits, gain, int(form.book[0]),
            filters.stride, filters.pad, filters.dilation, filters.group, size,
            has_sum, classes, made,
        )  # fmt: skip
        self._append(step, coding)

    def _products(
        self, node: Node, op: Any, tensor: Tensor, filters: _Filters, shape: Shape, size: Any
    ) -> tuple[Formula, steps.Classes | None, bool]:
        """What the sums of a layer with weights stand for.

        With a weight α u + b and an input s v + z,

            Σ w x = α s Σ u v + b s Σ v + z Σ w

        where the last sum is over what of a window lies in the image.
        """
        form, coding = integer_form(op.weight), tensor.coding
        outputs = op.outputs
        alpha, shift = (
            np.broadcast_to(a.astype(np.float64).ravel(), outputs) for a in (form.scale, form.shift)
        )
        integers = form.integers.reshape(outputs, -1)
        has_sum = bool(np.any(shift != 0))
        factors = [alpha * coding.step] + ([shift * coding.step] if has_sum else [])
        ends = min(coding.lowest, 0), max(coding.highest, 0)
        sums = _sums_of_extremes(integers, *ends)
        largest = int(max(-sums[0].min(), sums[1].max()))
        inputs = int(np.prod(shape[1:]))
        of_inputs = inputs * max(-ends[0], ends[1])
        if max(largest, of_inputs) > _LARGEST_SUM:
            self._refuse(node, f"a sum of its {inputs:,} products need not fit 32 bits")
        weights = alpha[:, np.newaxis] * integers + shift[:, np.newaxis]
        bias = np.zeros(outputs) if op.bias is None else values_of(op.bias).astype(np.float64)
        classes, constants = None, bias[np.newaxis] + coding.shift * weights.sum(1)
        if coding.shift and any(filters.pad):
            classes, parts = _parts_in_image(filters, shape, tensor.image, size)
            cube = weights.reshape(outputs, -1, *shape[2:])
            constants = np.stack(
                [bias + coding.shift * cube[:, :, rows, columns].sum((1, 2, 3))
                 for rows, columns in parts]
            )  # fmt: skip
        values = [coding.step * end + coding.shift for end in ends] + [0.0]
        lowest, highest = (
            sums + bias for sums in _sums_of_extremes(weights, min(values), max(values))
        )
        bounds = (float(largest), float(of_inputs))[: len(factors)]
        return Formula(np.stack(factors), constants, lowest, highest, bounds), classes, has_sum

    def _pooling(self, node: Node, op: ops.Pooling) -> None:
        (source,) = self._read(node)
        tensor = self._tensors[source]
        geometry = op.kernel, op.stride, op.pad, op.output
        if op.kind == "max":
            largest = steps.MaxPooling(node.name, node.label, (source,), node.outputs[0], *geometry)
            self._append(largest, tensor.coding)
            return
        classes, pairs = _windows(op, tensor.image)
        areas, inside = (np.array(numbers, np.float64) for numbers in zip(*pairs, strict=True))
        coding = tensor.coding
        ends = sorted((coding.step * e + coding.shift) for e in (coding.lowest, coding.highest))
        bound = float(inside.max() * max(-coding.lowest, coding.highest))
        if bound > _LARGEST_SUM:
            self._refuse(node, "a sum of its window need not fit 32 bits")
        formula = Formula(
            (coding.step / areas)[np.newaxis],
            (coding.shift * inside / areas)[np.newaxis],
            np.minimum(ends[0], 0) * np.ones(len(areas)),
            np.maximum(ends[1], 0) * np.ones(len(areas)),
            (bound,),
        )
        tail = self._tail(node, by_channel=False)
        made, coding = self._ending(formula, tail, len(areas))
        step = steps.AveragePooling(
            node.name, tail.label, (source,), tail.output, *geometry, classes, made
        )
        self._append(step, coding)

    def _sum(
        self,
        node: Node,
        coefficients: Sequence[float],
        *,
        own: Node | None = None,
        affine: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
    ) -> None:
        """A sum of inputs; or, of one input, what the node `own` itself does and those behind."""
        inputs = self._read(node)
        codings = [self._tensors[name].coding for name in inputs]
        formula, scales = _weighted_sum(coefficients, codings)
        if affine is not None:
            formula = formula.times(*affine)
        if own is None:
            tail = self._tail(node)
        else:
            tail = _Tail("", node.inputs[0], [])
            if not self._take(tail, own, by_channel=True):
                self._refuse(node, "it has a scale for other than the channels")
            self._extend(tail, by_channel=True)
        channels = self._image(node.outputs[0])[0]
        made, coding = self._ending(formula, tail, channels)
        step = steps.Sum(node.name, tail.label, inputs, tail.output, scales, made)
        self._append(step, coding)

    def _lrn(self, node: Node, op: ops.ChannelLrn | ops.WindowLrn) -> None:
        (source,) = self._read(node)
        tensor = self._tensors[source]
        coding = tensor.coding
        across = isinstance(op, ops.ChannelLrn)
        k = op.k if isinstance(op, ops.ChannelLrn) else 1.0
        if coding.shift or not 0 < op.beta <= 1 or k <= 0 or op.alpha < 0:
            self._refuse(
                node,
                f"alpha {op.alpha:g}, beta {op.beta:g}, k {k:g}"
                + (" of levels with a shift" if coding.shift else "")
                + "; alpha must be 0 or more, beta above 0 and at most 1, k above 0",
            )
        size = op.size
        if isinstance(op, ops.WindowLrn):
            classes, pairs = _windows(op.mean(*tensor.image[1:]), tensor.image)
            areas = np.array([area for area, _ in pairs], np.float64)
        else:
            height, width = tensor.image[1:]
            classes, areas = steps.Classes((0,) * height, (0,) * width, 1), np.array([float(size)])
        bound = max(-coding.lowest, coding.highest, 1)
        scale = 1 << max(0, _SQUARED_BITS - bound.bit_length())
        of_sum = float(size if across else size * size) * (bound * scale) ** 2
        if of_sum >= 2.0**62:
            self._refuse(node, f"a sum of the squares of {size} by {size} need not fit 62 bits")
        growth = op.alpha / areas * (coding.step / scale) ** 2
        largest = k + growth.max() * of_sum
        # The sum and the factor's product with it must not take more than 62 bits.
        point = 61 - math.frexp(largest)[1]
        if op.alpha:
            point = min(point, -math.frexp(growth.max())[1])
        shift = max(0, -math.frexp(growth.max() * 2.0**point)[1]) if op.alpha else 0
        tail = self._tail(node)
        gain = coding.step / scale * k**-op.beta
        formula = Formula(
            np.array([[gain]]), np.zeros((1, 1)),
            np.array([min(coding.lowest, 0) * scale * gain]),
            np.array([max(coding.highest, 0) * scale * gain]),
            (float(bound * scale),),
        )  # fmt: skip
        made, coding = self._ending(formula, tail, tensor.image[0])
        step = steps.Lrn(
            node.name, tail.label, (source,), tail.output, size, across, scale,
            round(k * 2.0**point),
            np.rint(growth * 2.0 ** (point + 31 + shift)).clip(0, 2.0**31 - 1).astype(np.int64),
            shift, classes, PowerTable.of(op.beta, point, k), made,
        )  # fmt: skip
        self._append(step, coding)

    def _concat(self, node: Node, axis: int) -> None:
        inputs = self._alike(node)
        shape = self._shapes[node.outputs[0]]
        if len(shape) > 3:
            self._refuse(node, f"an output of {len(shape) + 1} axes")
        step = steps.Concat(node.name, node.label, inputs, node.outputs[0], axis)
        self._append(step, self._joint(inputs))

    # ---- What several of them need.

    def _find(self, name: str) -> str:
        """The tensor that holds what a name stands for."""
        while name in self._same:
            name = self._same[name]
        return name

    def _image(self, name: str) -> tuple[int, int, int]:
        shape = self._shapes[name]
        if len(shape) > 3:
            raise DeployError(f"{name!r} has shape {shape}; images and vectors can be computed")
        channels, height, width = (*shape, 1, 1, 1)[:3]
        return channels, height, width

    def _read(self, node: Node) -> tuple[str, ...]:
        """The tensors that a node reads, none of which was reshaped to another image."""
        names = tuple(self._find(name) for name in node.inputs)
        for name, held in zip(node.inputs, names, strict=True):
            if self._image(name) != self._tensors[held].image:
                self._refuse(node, "it reads an image that was given another shape")
        return names

    def _alike(self, node: Node) -> tuple[str, ...]:
        """The inputs of a node, brought to one coding."""
        names = self._read(node)
        codings = [self._tensors[name].coding for name in names]
        if len({(c.step, c.shift) for c in codings}) == 1:
            return names
        largest = max(abs(c.step * end + c.shift) for c in codings for end in (c.lowest, c.highest))
        made = []
        for place, name in enumerate(names):
            coding = self._tensors[name].coding
            formula, scales = _weighted_sum((1.0,), (coding,))
            formula = replace(formula, lowest=np.array([-largest]), highest=np.array([largest]))
            finish, common = ending(formula, grid=None, window=self._window(node.outputs[0]))
            output = f"{node.outputs[0]}/{place}"
            self._shapes[output] = self._tensors[name].image
            self._append(steps.Sum(node.name, node.label, (name,), output, scales, finish), common)
            made.append(output)
        return tuple(made)

    def _joint(self, names: Sequence[str]) -> Coding:
        """The coding of tensors of one step and shift, for all of their integers."""
        codings = [self._tensors[name].coding for name in names]
        return codings[0].within(min(c.lowest for c in codings), max(c.highest for c in codings))

    def _window(self, name: str) -> int:
        """How many elements of a tensor its readers sum up."""
        largest = 1
        for reader in self._graph.readers(name):
            if isinstance(reader.op, ops.Pooling) and reader.op.kind == "average":
                largest = max(largest, math.prod(reader.op.kernel))
            elif isinstance(reader.op, (ops.ChannelLrn, ops.WindowLrn)):
                largest = max(largest, 1 << (31 - _SQUARED_BITS))  # squares of fewer bits
            elif isinstance(reader.op, (ops.Pooling, ops.Maximum, ops.Concat, ops.Reshape)):
                largest = max(largest, self._window(reader.outputs[0]))  # the same integers
        return largest

    def _ending(self, formula: Formula, tail: _Tail, columns: int) -> tuple[Ending, Coding]:
        for scale, shift in tail.affines:
            formula = formula.times(scale, shift)
        slopes = tail.slopes
        if slopes is not None and slopes.size > 1:
            ones = np.ones(columns)
            formula = formula.times(ones, np.zeros(columns))
        return ending(formula, grid=tail.grid, slopes=slopes, window=self._window(tail.output))

    def _tail(self, node: Node, *, by_channel: bool = True) -> _Tail:
        tail = _Tail(node.label, node.outputs[0], [])
        self._extend(tail, by_channel=by_channel)
        return tail

    def _extend(self, tail: _Tail, *, by_channel: bool) -> None:
        while tail.grid is None:
            readers = self._graph.readers(tail.output)
            if len(readers) != 1 or tail.output in self._graph.outputs:
                return
            if not self._take(tail, readers[0], by_channel=by_channel):
                return

    def _take(self, tail: _Tail, node: Node, *, by_channel: bool) -> bool:
        """Let an operation of one element become part of an ending; whether it can."""
        op, slopes = node.op, None
        if isinstance(op, ops.Affine) and tail.slopes is None:
            numbers = [np.asarray(a, np.float64) for a in (op.scale, op.shift)]
            by_one = all(number.size == 1 for number in numbers)
            if not by_one and (not by_channel or not all(map(_is_by_channel, numbers))):
                return False
            tail.affines.append((numbers[0].ravel(), numbers[1].ravel()))
        elif isinstance(op, (ops.Relu, ops.PRelu)) and tail.slopes is None:
            slopes = np.ravel(op.slope if isinstance(op, ops.Relu) else op.slopes)
            slopes = slopes.astype(np.float64)
            if slopes.size > 1 and not by_channel:
                return False
            tail.slopes = slopes
        elif (grid := grid_of(op)) is not None:
            tail.grid = grid
        else:
            return False
        tail.label = f"{tail.label} + {node.label}" if tail.label else node.label
        tail.output = node.outputs[0]
        self._done.add(node.name)
        return True


@dataclass(frozen=True)
class _Filters:
    stride: steps.Pair
    pad: steps.Pair
    dilation: steps.Pair
    group: int


def _pair(numbers: Shape) -> steps.Pair:
    height, width = map(int, numbers)
    return height, width


def _windows(op: ops.Pooling, image: Shape) -> tuple[steps.Classes, list[tuple[int, int]]]:
    """Classes of places by the size of their window, and for each class how large it is.

    Returns:
        The classes; the places of a window within the padded image, and within the image.
    """
    kinds: list[list[tuple[int, int]]] = []
    of: list[tuple[int, ...]] = []
    for axis, extent in enumerate(image[1:]):
        sizes = []
        for place in range(op.output[axis]):
            begin, end = op.window(axis, place, extent)
            sizes.append((end - begin, min(end, extent) - max(begin, 0)))
        kinds.append(list(dict.fromkeys(sizes)))
        of.append(tuple(kinds[-1].index(size) for size in sizes))
    pairs = [(rows[0] * columns[0], rows[1] * columns[1])
             for rows, columns in itertools.product(*kinds)]  # fmt: skip
    return steps.Classes(of[0], of[1], len(kinds[1])), pairs


def _weighted_sum(
    coefficients: Sequence[float], codings: Sequence[Coding]
) -> tuple[Formula, tuple[int, ...]]:
    """What a sum of tensors stands for, and the scales of its inputs."""
    factors, bounds, scales = [], [], []
    constant = lowest = highest = 0.0
    for coefficient, coding in zip(coefficients, codings, strict=True):
        bound = max(-coding.lowest, coding.highest, 1)
        scale = 1 << max(0, 30 - bound.bit_length())
        ends = sorted(
            coefficient * (coding.step * end + coding.shift)
            for end in (coding.lowest, coding.highest)
        )
        factors.append([coefficient * coding.step / scale])
        bounds.append(float(bound * scale))
        scales.append(scale)
        constant += coefficient * coding.shift
        lowest, highest = lowest + ends[0], highest + ends[1]
    formula = Formula(
        np.array(factors), np.array([[constant]]), np.array([lowest]), np.array([highest]),
        tuple(bounds),
    )  # fmt: skip
    return formula, tuple(scales)


def _sums_of_extremes(
    weights: NDArray[Any], lowest: float, highest: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of each output, the smallest and the largest sum of products with values of a range."""
    ends = weights * lowest, weights * highest
    return np.minimum(*ends).sum(1), np.maximum(*ends).sum(1)


def _is_by_channel(numbers: NDArray[Any]) -> bool:
    return all(size == 1 for axis, size in enumerate(numbers.shape) if axis != 1)


def _parts_in_image(
    filters: _Filters, shape: Shape, image: Shape, size: Shape
) -> tuple[steps.Classes, list[tuple[slice, slice]]]:
    """Classes of places, and what of the kernel lies in the image for each."""
    parts, of = [], []
    for axis in (0, 1):
        found = []
        for place in range(size[axis]):
            begin = place * filters.stride[axis] - filters.pad[axis]
            inside = [
                k for k in range(shape[2 + axis])
                if 0 <= begin + k * filters.dilation[axis] < image[1 + axis]
            ]  # fmt: skip
            found.append((inside[0], inside[-1] + 1) if inside else (0, 0))
        kinds = list(dict.fromkeys(found))
        of.append(tuple(kinds.index(part) for part in found))
        parts.append([slice(*kind) for kind in kinds])
    classes = steps.Classes(of[0], of[1], len(parts[1]))
    return classes, list(itertools.product(*parts))

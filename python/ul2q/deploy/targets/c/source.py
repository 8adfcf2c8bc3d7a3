"""A net in fixed-point arithmetic as the text of a .c file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.fixed_point import steps
from ul2q.deploy.targets.c import memory
from ul2q.deploy.targets.c.constants import Constants, packed_words
from ul2q.deploy.targets.c.kernels import C_TYPES, Kernels
from ul2q.deploy.targets.c.names import comment

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ul2q.deploy.fixed_point import FixedPointNet
    from ul2q.deploy.fixed_point.ending import Ending
    from ul2q.deploy.targets.c.interface import Interface

# The arrays of the caller's memory, by what they hold: types share an array where C lets them.
REGIONS = {"words": "int32_t", "halves": "int16_t", "bytes": "uint8_t"}
# What the numbers of a step take where pointers have 32 bits, by the largest kind of step.
_LAYER_BYTES = 136
_REGION_OF = {"i32": "words", "i16": "halves", "u8": "bytes", "i8": "bytes"}


@dataclass(frozen=True)
class Source:
    """What a .c file is made of.

    Attributes:
        constants: definitions of arrays and layers.
        kernels: definitions of functions.
        body: of the function that runs the net.
        memory: elements of each of REGIONS that are needed.
        sizes: bytes of constants, by name.
    """

    constants: str
    kernels: str
    body: str
    memory: dict[str, int]
    sizes: dict[str, int]


def source(net: FixedPointNet, interface: Interface) -> Source:
    """The parts of the file for a net."""
    return _Writer(net, interface).source()


def pixels_first(array: NDArray[Any]) -> NDArray[Any]:
    """An array … × channels × height × width as … × height × width × channels."""
    return np.ascontiguousarray(np.moveaxis(array, -3, -1))


class _Writer:
    def __init__(self, net: FixedPointNet, interface: Interface) -> None:
        self._net = net
        self._names = interface.names
        self._kernels = Kernels()
        self._constants = Constants()
        self._definitions: list[str] = []
        self._calls: list[str] = []
        self._place = 0
        # C's names of the tensors; those of the caller's are there.
        self._arrays = dict(interface.arrays)
        self._scratch: dict[str, tuple[str, int, int]] = {}  # region, size, step

    def source(self) -> Source:
        for place, step in enumerate(self._net.steps):
            self._place = place
            told = f"{step.name}: {step.label}, {self._shape(step.output)}"
            self._definitions.append(f"/* {comment(told)} */\n")
            call = _WRITERS[type(step)](self, step)
            self._calls.append(f"  /* {comment(step.name)} */\n{call}")
        declared, sizes = self._plan()
        return Source(
            "".join(self._definitions),
            "\n".join(self._kernels.texts.values()),
            "".join(declared) + ("\n" if declared else "") + "".join(self._calls),
            sizes,
            self._constants.sizes | {"layers": _LAYER_BYTES * len(self._net.steps)},
        )

    # ---- Arrays.

    def _array(self, tensor: str) -> str:
        if tensor not in self._arrays:
            self._arrays[tensor] = self._names.make(f"{tensor}_out")
        return self._arrays[tensor]

    def _type(self, tensor: str) -> str:
        return self._net.tensors[tensor].coding.type

    def _shape(self, tensor: str) -> str:
        channels, height, width = self._net.tensors[tensor].image
        return f"{height} x {width} x {channels} {C_TYPES[self._type(tensor)]}"

    def _borrow(self, name: str, region: str, size: int) -> str:
        """An array for this step alone."""
        made = self._names.make(name)
        self._scratch[made] = (region, size, self._place)
        return made

    def _plan(self) -> tuple[list[str], dict[str, int]]:
        """Declarations of the arrays in the caller's memory, and its size."""
        theirs = {given.tensor for given in self._net.inputs.values()}
        theirs |= {output.tensor for output in self._net.outputs.values()}
        alive: dict[str, dict[str, memory.Lifetime]] = {region: {} for region in REGIONS}
        types: dict[str, str] = {}
        for place, step in enumerate(self._net.steps):
            for tensor in (*step.inputs, step.output):
                if tensor in theirs:
                    continue
                name, region = self._arrays[tensor], _REGION_OF[self._type(tensor)]
                types[name] = C_TYPES[self._type(tensor)]
                known = alive[region].get(name)
                first = place if known is None else known.first
                count = self._net.tensors[tensor].count
                alive[region][name] = memory.Lifetime(count, first, place)
        for name, (region, size, place) in self._scratch.items():
            types[name] = "int8_t" if region == "bytes" else REGIONS[region]
            alive[region][name] = memory.Lifetime(size, place, place)
        declared, sizes = [], {}
        for region, arrays in alive.items():
            offsets, sizes[region] = memory.plan(arrays)
            for name, offset in offsets.items():
                cast = "(int8_t*)" if types[name] == "int8_t" else ""
                at = f"(memory->{region} + {offset})" if cast else f"memory->{region} + {offset}"
                declared.append(f"  {types[name]}* const {name} = {cast}{at};\n")
        return declared, sizes

    # ---- Constants.

    def _define(self, name: str, c_type: str, numbers: NDArray[Any]) -> str:
        made = self._names.make(name)
        self._definitions.append(self._constants.array(made, c_type, np.asarray(numbers)))
        return made

    def _ending(self, step: str, made: Ending) -> str:
        """An initializer; the arrays are defined before it."""
        other = larger = "0"
        if made.slopes is not None and made.takes_larger is not None:
            inner = self._ending(f"{step}_slopes", made.slopes)
            other = self._names.make(f"{step}_slopes")
            self._definitions.append(f"static const ending {other} = {inner};\n")
            other = f"&{other}"
            larger = self._define(f"{step}_takes_larger", "uint8_t", made.takes_larger.astype(int))
        factors = self._define(f"{step}_factors", "int32_t", made.factors)
        offsets = self._define(f"{step}_offsets", "int64_t", made.offsets)
        shifts = self._define(f"{step}_shifts", "uint8_t", made.shifts)
        numbers = (made.shifts.size, made.lowest, made.highest, made.gain, made.base)
        told = ", ".join(map(str, numbers))
        return f"{{{factors}, {offsets}, {shifts}, {told}, {other}, {larger}}}"

    def _weights(self, step: steps.Convolution) -> str:
        words = packed_words(pixels_first(step.codes), step.bits)
        name = self._define(f"{step.name}_weights", "uint32_t", words)
        return f"{{{name}, {step.bits}, {step.gain}, {step.base}}}"

    def _kinds(self, step: str, classes: steps.Classes | None) -> tuple[str, str, int]:
        if classes is None:
            return "0", "0", 1
        rows = self._define(f"{step}_row_kinds", "uint8_t", np.array(classes.of_row))
        columns = self._define(f"{step}_column_kinds", "uint8_t", np.array(classes.of_column))
        return rows, columns, classes.columns

    # ---- Steps.

    def _convolution(self, step: steps.Convolution) -> str:
        (given,) = step.inputs
        image, types = self._net.tensors[given].image, (self._type(given), self._type(step.output))
        signature = "_to_".join(types)
        x, y = self._array(given), self._array(step.output)
        weights, made = self._weights(step), self._ending(step.name, step.ending)
        is_whole = step.codes.shape[1:] == image and step.size == (1, 1) and step.classes is None
        if is_whole and step.pad == (0, 0):
            self._kernels.use("inner_product_loop", *types)
            name = self._names.make(f"{step.name}_layer")
            shape = f"{step.codes[0].size}, {len(step.codes)}, {int(step.has_input_sum)}"
            self._definitions.append(
                f"static const inner_product {name} = {{\n    {weights},\n    {shape},\n"
                f"    {made}}};\n"
            )
            return f"  inner_product_{signature}(&{name}, {x}, {y});\n"
        self._kernels.use("convolution_loop", *types)
        rows, columns, kinds = self._kinds(step.name, step.classes)
        numbers = (
            *image, len(step.codes), *step.size, *step.codes.shape[2:], *step.stride, *step.pad,
            *step.dilation, step.group,
        )  # fmt: skip
        name = self._names.make(f"{step.name}_layer")
        self._definitions.append(
            f"static const convolution {name} = {{\n    {weights},\n"
            f"    {', '.join(map(str, numbers))},\n"
            f"    {rows}, {columns}, {kinds},\n    {made}}};\n"
        )
        call, sums = "", "0"
        if step.has_input_sum:
            self._kernels.use("window_sums", types[0])
            count = step.size[0] * step.size[1] * step.group
            sums = self._borrow(f"{step.name}_sums", "words", count)
            call = f"  window_sums_{types[0]}(&{name}, {x}, {sums});\n"
        decoded = self._borrow(f"{step.name}_filter", "bytes", step.codes[0].size)
        return call + f"  convolution_{signature}(&{name}, {x}, {y}, {decoded}, {sums});\n"

    def _pooling(self, step: steps.MaxPooling | steps.AveragePooling) -> str:
        numbers = (
            *self._net.tensors[step.inputs[0]].image, *step.size, *step.kernel, *step.stride,
            *step.pad,
        )  # fmt: skip
        name = self._names.make(f"{step.name}_layer")
        self._definitions.append(
            f"static const pooling {name} = {{{', '.join(map(str, numbers))}}};\n"
        )
        return name

    def _max_pooling(self, step: steps.MaxPooling) -> str:
        kind = self._type(step.inputs[0])
        self._kernels.use("max_pooling", kind)
        name = self._pooling(step)
        x, y = self._array(step.inputs[0]), self._array(step.output)
        return f"  max_pooling_{kind}(&{name}, {x}, {y});\n"

    def _average_pooling(self, step: steps.AveragePooling) -> str:
        types = self._type(step.inputs[0]), self._type(step.output)
        self._kernels.use("average_pooling", *types)
        name = self._pooling(step)
        x, y = self._array(step.inputs[0]), self._array(step.output)
        made = self._one_ending(step.name, step.ending)
        rows, columns, kinds = self._kinds(step.name, step.classes)
        return (
            f"  average_pooling_{'_to_'.join(types)}(&{name}, &{made}, {rows}, {columns},\n"
            f"      {kinds}, {x}, {y});\n"
        )

    def _one_ending(self, step: str, made: Ending) -> str:
        inner = self._ending(step, made)
        name = self._names.make(f"{step}_ending")
        self._definitions.append(f"static const ending {name} = {inner};\n")
        return name

    def _sum(self, step: steps.Sum) -> str:
        function = self._kernels.use_sum(
            [self._type(name) for name in step.inputs], self._type(step.output)
        )
        made = self._one_ending(step.name, step.ending)
        given = ", ".join(self._array(name) for name in step.inputs)
        channels, height, width = self._net.tensors[step.output].image
        y = self._array(step.output)
        scales = self._define(f"{step.name}_scales", "int32_t", np.array(step.scales))
        return f"  {function}(&{made}, {scales}, {given}, {y}, {height * width}, {channels});\n"

    def _lrn(self, step: steps.Lrn) -> str:
        types = self._type(step.inputs[0]), self._type(step.output)
        self._kernels.use("lrn_loop", *types)
        factors = self._define(f"{step.name}_growth", "int32_t", step.factors)
        parts = self._define(f"{step.name}_parts", "int32_t", step.table.parts)
        exponents = self._define(f"{step.name}_exponents", "int32_t", step.table.exponents)
        rows, columns, kinds = self._kinds(step.name, step.classes)
        made = self._ending(step.name, step.ending)
        numbers = (*self._net.tensors[step.output].image, step.size, int(step.across), step.scale)
        name = self._names.make(f"{step.name}_layer")
        self._definitions.append(
            f"static const lrn {name} = {{\n    {', '.join(map(str, numbers))},\n"
            f"    INT64_C({step.start}), {factors}, {step.shift}, {parts}, {exponents},\n"
            f"    {rows}, {columns}, {kinds},\n    {made}}};\n"
        )
        x, y = self._array(step.inputs[0]), self._array(step.output)
        return f"  lrn_{'_to_'.join(types)}(&{name}, {x}, {y});\n"

    def _maximum(self, step: steps.Maximum) -> str:
        out, count = self._type(step.output), self._net.tensors[step.output].count
        first, first_type = self._array(step.inputs[0]), self._type(step.inputs[0])
        y = self._array(step.output)
        calls = ""
        for name in step.inputs[1:] or step.inputs:
            other = self._type(name)
            self._kernels.use("maximum", first_type, out, other)
            call = f"maximum_{first_type}_{other}_to_{out}"
            calls += f"  {call}({first}, {self._array(name)}, {y}, {count});\n"
            first, first_type = y, out
        return calls

    def _concat(self, step: steps.Concat) -> str:
        out, y = self._type(step.output), self._array(step.output)
        # In memory an image is height × width × channels.
        axis = {1: 2, 2: 0, 3: 1}[step.axis]
        calls, offset = "", 0
        channels, height, width = self._net.tensors[step.output].image
        shape = (height, width, channels)
        blocks = int(np.prod(shape[:axis]))
        distance = int(np.prod(shape[axis:]))
        for name in step.inputs:
            self._kernels.use("copy", self._type(name), out)
            size = self._net.tensors[name].count // blocks
            call = f"copy_{self._type(name)}_to_{out}"
            at = f"{y} + {offset}" if offset else y
            calls += f"  {call}({self._array(name)}, {at}, {blocks}, {size}, {distance});\n"
            offset += size
        return calls

    def _centre(self, step: steps.Centre) -> str:
        given, out = step.inputs[0], self._type(step.output)
        self._kernels.use("centre", self._type(given), out)
        mean = self._define(f"{step.name}_mean", "int16_t", pixels_first(step.mean))
        call = f"centre_{self._type(given)}_to_{out}"
        count = self._net.tensors[given].count
        return (
            f"  {call}({self._array(given)}, {self._array(step.output)}, {count}, {step.factor}, "
            f"{mean}, {step.mean.size});\n"
        )


_WRITERS: dict[type[steps.Step], Callable[[_Writer, Any], str]] = {
    steps.Convolution: _Writer._convolution,
    steps.MaxPooling: _Writer._max_pooling,
    steps.AveragePooling: _Writer._average_pooling,
    steps.Sum: _Writer._sum,
    steps.Lrn: _Writer._lrn,
    steps.Maximum: _Writer._maximum,
    steps.Concat: _Writer._concat,
    steps.Centre: _Writer._centre,
}

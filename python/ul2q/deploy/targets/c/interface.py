"""What a caller sees of a net in C: names, types, and what integers stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.deploy.targets.c.kernels import C_TYPES, identifiers
from ul2q.deploy.targets.c.names import Names, identifier

if TYPE_CHECKING:
    from ul2q.deploy.fixed_point import FixedPointNet
    from ul2q.deploy.fixed_point.net import Tensor


@dataclass(frozen=True)
class Port:
    """An input or an output.

    Attributes:
        blob: its name in the net.
        name: of the argument.
        macro: what its constants begin with.
        tensor: that it holds.
    """

    blob: str
    name: str
    macro: str
    tensor: Tensor

    @property
    def type(self) -> str:
        """Of an element, in C."""
        return C_TYPES[self.tensor.coding.type]


@dataclass(frozen=True)
class Interface:
    """Names that are fixed before the file is written.

    Attributes:
        prefix: of all that is visible outside of the file, in lower case.
        inputs: in the order of the arguments.
        outputs: behind them.
        arrays: the arguments by the names of the tensors that they hold.
        names: for all others.
    """

    prefix: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    arrays: dict[str, str]
    names: Names

    @property
    def macro(self) -> str:
        """The prefix of macros."""
        return self.prefix.upper()

    @property
    def declaration(self) -> str:
        """Of the function, without a semicolon."""
        arguments = [f"const {port.type}* {port.name}" for port in self.inputs]
        arguments += [f"{port.type}* {port.name}" for port in self.outputs]
        lines = ",\n    ".join([*arguments, f"{self.prefix}_memory* memory"])
        return f"void {self.prefix}_run(\n    {lines})"


def interface(net: FixedPointNet) -> Interface:
    """The names for a net."""
    prefix = identifier(net.name).lower()
    names = Names(identifiers())
    inputs = {blob: given.tensor for blob, given in net.inputs.items()}
    outputs = {blob: output.tensor for blob, output in net.outputs.items()}
    arrays: dict[str, str] = {}

    def port(blob: str, tensor: str) -> Port:
        name = names.make(blob)
        arrays[tensor] = name
        return Port(blob, name, f"{prefix}_{name}".upper(), net.tensors[tensor])

    return Interface(
        prefix,
        tuple(port(*pair) for pair in inputs.items()),
        tuple(port(*pair) for pair in outputs.items()),
        arrays,
        names,
    )

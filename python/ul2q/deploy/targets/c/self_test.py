"""Recorded inputs, the outputs for them, and a `main` that compares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ul2q.deploy.targets.c.constants import definition
from ul2q.deploy.targets.c.kernels import C_TYPES
from ul2q.deploy.targets.c.source import pixels_first

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from ul2q.deploy.fixed_point import FixedPointNet
    from ul2q.deploy.targets.c.interface import Interface, Port


def self_test(net: FixedPointNet, interface: Interface, inputs: Mapping[str, NDArray[Any]]) -> str:
    """Text of C for inputs, as integers, items × image, by name."""
    found = net.run(inputs)
    items = len(next(iter(inputs.values())))
    names = interface.names
    arrays, arguments, buffers, checks = [], [], [], []
    for port in interface.inputs:
        name = names.make(f"test_{port.name}")
        arrays.append(_array(name, port, inputs[port.blob]))
        arguments.append(f"{name} + item * {port.macro}_SIZE")
    for port in interface.outputs:
        name, made = names.make(f"test_{port.name}"), names.make(f"found_{port.name}")
        arrays.append(_array(name, port, found[port.blob]))
        buffers.append(f"  static {port.type} {made}[{port.macro}_SIZE];")
        arguments.append(made)
        checks.append(
            f"    for (i = 0; i < {port.macro}_SIZE; ++i) {{\n"
            f"      wrong += {made}[i] != {name}[item * {port.macro}_SIZE + i];\n    }}"
        )
    lines = "\n".join(checks)
    given = ",\n        ".join([*arguments, "&test_memory"])
    made_buffers = "\n".join(buffers)
    return f"""
#ifdef {interface.macro}_SELF_TEST
/* Runs {items} recorded items, and tells how many integers differ from those of NumPy:
     cc -std=c99 -D{interface.macro}_SELF_TEST FILE.c && ./a.out */
#include <stdio.h>

{"".join(arrays)}
int main(void) {{
  static {interface.prefix}_memory test_memory;
{made_buffers}
  int32_t item, i, wrong = 0;
  for (item = 0; item < {items}; ++item) {{
    {interface.prefix}_run(
        {given});
{lines}
  }}
  printf("%ld of the recorded integers differ\\n", (long)wrong);
  return wrong != 0;
}}
#endif
"""


def _array(name: str, port: Port, integers: NDArray[Any]) -> str:
    c_type = C_TYPES[port.tensor.coding.type]
    return definition(f"static const {c_type} {name}", c_type, pixels_first(integers).ravel())

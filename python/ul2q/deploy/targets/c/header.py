"""The .h file: what a caller needs to know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.deploy.targets.c.names import comment
from ul2q.deploy.targets.c.source import REGIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ul2q.deploy.fixed_point import FixedPointNet
    from ul2q.deploy.targets.c.interface import Interface, Port
    from ul2q.deploy.targets.c.source import Source

_SIZES = {"words": 4, "halves": 2, "bytes": 1}


def memory_bytes(source: Source) -> int:
    """What `NAME_memory` takes, rounded up to whole words."""
    total = sum(_SIZES[region] * size for region, size in source.memory.items())
    unit = next((_SIZES[r] for r, size in source.memory.items() if size), 1)
    return max(1, -(-total // unit) * unit)


def header(
    net: FixedPointNet,
    interface: Interface,
    source: Source,
    metadata: Mapping[str, str],
    version: str,
) -> str:
    """The text of the file."""
    prefix, macro = interface.prefix, interface.macro
    told = {
        "net": comment(metadata["net"]),
        "bits": comment(metadata["bits"]),
        "method": comment(metadata["method"]),
        "RAM": f"{memory_bytes(source):,} bytes, {prefix}_memory, besides arguments and stack",
        "flash": f"{sum(source.sizes.values()):,} bytes of constants, besides the code",
    }
    lines = [
        f"/* The net {told['net']} in integers: C99, no heap, no dependency.",
        f"   Written by ul2q {version}.",
        "",
        *(f"   {key + ':':8}{value}" for key, value in told.items()),
        "",
        "   An image lies row by row, each pixel with its channels one behind the other.",
    ]
    for kind, ports in (("in", interface.inputs), ("out", interface.outputs)):
        for port in ports:
            lines += ["", *_port(net, port, kind)]
    lines[-1] += " */"
    members = "\n".join(
        f"  {REGIONS[region]} {region}[{size}];" for region, size in source.memory.items() if size
    )
    constants = "\n".join(_constants(port) for port in (*interface.inputs, *interface.outputs))
    helpers = "\n".join(_helper(prefix, port) for port in interface.outputs)
    return f"""{chr(10).join(lines)}
#ifndef {macro}_H_
#define {macro}_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

{constants}

/* What a run needs besides its arguments; nothing is kept in it from one to the next. */
typedef struct {{
{members or "  uint8_t bytes[1];"}
}} {prefix}_memory;

/* Runs the net. Several threads may do so at once, each with its own memory. */
{interface.declaration};

/* The values of integers, for who wants floats; the net itself has none. */
{helpers}

#ifdef __cplusplus
}}
#endif

#endif
"""


def _port(net: FixedPointNet, port: Port, kind: str) -> list[str]:
    channels, height, width = port.tensor.image
    coding = port.tensor.coding
    shape = f"{height} x {width} x {channels}" if height * width > 1 else str(channels)
    lines = [f'   {kind + ":":8}{port.name}: {shape} {port.type}, blob "{comment(port.blob)}"']
    value = f"{coding.step:.9g} * integer"
    if coding.shift:
        value += f" + {coding.shift:.9g}"
    if kind == "in" and (pixels := net.inputs[port.blob].pixels) is not None:
        value = f"{pixels.scale:.9g} * pixel"
        if pixels.mean is not None:
            means = {f"{number:.6g}" for number in pixels.mean.ravel().tolist()}
            numbers = [f"{number:.6g}" for number in pixels.mean.ravel().tolist()]
            mean = ", ".join(numbers if len(numbers) <= 4 else ["of each pixel"])
            mean = numbers[0] if len(means) == 1 else mean
            value = f"{pixels.scale:.9g} * (pixel - mean), the mean {mean}"
    lines.append(f"           value = {value}, integers from {coding.lowest} to {coding.highest}")
    if kind == "out" and (left := net.outputs[port.blob].left_out) is not None:
        lines.append(
            f'           scores before the Softmax "{comment(left)}", which keeps their order and '
            "is left to the caller"
        )
    return lines


def _constants(port: Port) -> str:
    channels, height, width = port.tensor.image
    coding = port.tensor.coding
    numbers = {
        "SIZE": str(port.tensor.count),
        "HEIGHT": str(height),
        "WIDTH": str(width),
        "CHANNELS": str(channels),
        "STEP": _float(coding.step),
        "SHIFT": _float(coding.shift),
    }
    return "\n".join(f"#define {port.macro}_{name} {number}" for name, number in numbers.items())


def _float(number: float) -> str:
    text = f"{number:.9g}"
    return (text if any(c in text for c in ".en") else f"{text}.0") + "f"


def _helper(prefix: str, port: Port) -> str:
    return f"""static inline float {prefix}_{port.name}_value({port.type} integer) {{
  return {port.macro}_STEP * (float)integer + {port.macro}_SHIFT;
}}"""

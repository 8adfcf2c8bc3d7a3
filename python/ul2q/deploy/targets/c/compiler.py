"""Compile what was written, and run it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.errors import DeployError
from ul2q.deploy.targets.c.source import pixels_first

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from ul2q.deploy.targets.c.interface import Interface

COMPILERS = ("cc", "gcc", "clang")
_DTYPES = {"u8": "<u1", "i8": "<i1", "i16": "=i2", "i32": "=i4"}


def compiler() -> list[str]:
    """The words that call a C compiler: those of CC, or the first of COMPILERS that is there.

    Raises:
        DeployError: there is none.
    """
    if words := shlex.split(os.environ.get("CC", "")):
        if shutil.which(words[0]):
            return words
        raise DeployError(f"CC is {words[0]!r}, and there is no such compiler")
    for name in COMPILERS:
        if shutil.which(name):
            return [name]
    raise DeployError(
        f"there is no C compiler ({', '.join(COMPILERS)}) to run what was written: install one, "
        "or leave the comparison out with --no-verify"
    )


def run(
    interface: Interface,
    path: Path,
    inputs: Mapping[str, NDArray[Any]],
    *,
    words: Sequence[str] | None = None,
) -> dict[str, NDArray[np.int64]]:
    """The output integers, by name, of the compiled .c file.

    Args:
        interface: of the net that the file is of.
        path: of the .c file; its header stands beside it.
        inputs: integers, items × image, by name.
        words: that call the compiler, and options; None: those of `compiler` with -O2.

    Raises:
        DeployError: it cannot be compiled, or it crashes.
    """
    words = [*compiler(), "-O2"] if words is None else list(words)
    items = len(next(iter(inputs.values())))
    given = [
        pixels_first(inputs[port.blob]).astype(_DTYPES[port.tensor.coding.type])
        for port in interface.inputs
    ]
    with tempfile.TemporaryDirectory() as folder:
        driver, program = Path(folder) / "driver.c", Path(folder) / "program"
        driver.write_text(_driver(interface, path.with_suffix(".h").name), encoding="utf-8")
        command = [
            *words, "-std=c99", f"-I{path.parent}", str(path), str(driver), "-o", str(program),
        ]  # fmt: skip
        _call(command, b"")
        stream = b"".join(array[item].tobytes() for item in range(items) for array in given)
        made = _call([str(program)], stream)
    ports = interface.outputs
    kinds = np.dtype(
        [(port.name, _DTYPES[port.tensor.coding.type], (port.tensor.count,)) for port in ports]
    )
    found = np.frombuffer(made, kinds)
    if len(found) != items:
        raise DeployError(f"{path.name} gave {len(found)} items for {items}")
    return {port.blob: _in_order(found[port.name], port.tensor.image) for port in ports}


def _in_order(integers: NDArray[Any], image: tuple[int, int, int]) -> NDArray[np.int64]:
    channels, height, width = image
    pixels = integers.astype(np.int64).reshape(-1, height, width, channels)
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 1))


def _driver(interface: Interface, header: str) -> str:
    """A program that reads items from its input and writes what the net makes of them."""
    ports = (*interface.inputs, *interface.outputs)
    buffers = "".join(f"static {p.type} {p.name}[{p.macro}_SIZE];\n" for p in ports)
    reads = " &&\n         ".join(
        f"fread({p.name}, sizeof {p.name}, 1, stdin) == 1" for p in interface.inputs
    )
    writes = "".join(
        f"    fwrite({p.name}, sizeof {p.name}, 1, stdout);\n" for p in interface.outputs
    )
    arguments = ", ".join([*(port.name for port in ports), "&memory"])
    return f"""#include <stdio.h>
#include "{header}"

static {interface.prefix}_memory memory;
{buffers}
int main(void) {{
  while ({reads}) {{
    {interface.prefix}_run({arguments});
{writes}  }}
  return 0;
}}
"""


def _call(command: Sequence[str], given: bytes) -> bytes:
    done = subprocess.run(command, input=given, capture_output=True, check=False)  # noqa: S603
    if done.returncode != 0:
        told = done.stderr.decode(errors="replace").strip()
        raise DeployError(f"{command[0]} ends with {done.returncode}: {told}")
    return done.stdout

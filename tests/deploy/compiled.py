"""Exported C as compilers make it, and the same net in NumPy."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from ul2q.deploy import lower
from ul2q.deploy.fixed_point import InputFormats, Pixels, fixed_point
from ul2q.deploy.targets import TARGETS
from ul2q.deploy.targets.c import compiler
from ul2q.deploy.targets.c.interface import interface
from ul2q.deploy.targets.target import TargetOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Integers = Mapping[str, NDArray[Any]]

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Werror"]
SANITIZED = ["-O0", "-fsanitize=undefined,address", "-fno-sanitize-recover=all"]


def compiled(
    net: Any,
    values: dict[str, NDArray[Any]],
    folder: Path,
    builds: Sequence[Sequence[str]],
    pixels: Pixels | None = None,
) -> tuple[Integers, Sequence[Integers]]:
    """Write a net, and run it as each of these builds, compiler and options, makes it.

    Returns:
        The output integers, by blob, of NumPy, and those of each build.
    """
    graph = lower(net)
    whole = fixed_point(graph, InputFormats(pixels))
    path = folder / "net.c"
    options = TargetOptions(pixels=pixels, examples=[values])
    for file, content in TARGETS["c"].write(graph, path, options).files.items():
        file.write_bytes(content)
    given = whole.integers(values)
    found = [
        compiler.run(interface(whole), path, given, words=[*words, *STRICT]) for words in builds
    ]
    return whole.run(given), found

"""A net as a .c and a .h file: C99, integers alone, no heap, for microcontrollers."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.fixed_point import FixedPointNet, InputFormats, fixed_point
from ul2q.deploy.targets.c import compiler
from ul2q.deploy.targets.c.header import header, memory_bytes
from ul2q.deploy.targets.c.interface import interface
from ul2q.deploy.targets.c.names import comment
from ul2q.deploy.targets.c.self_test import self_test
from ul2q.deploy.targets.c.source import source
from ul2q.deploy.targets.target import TargetOptions, Written, metadata

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ul2q.deploy.graph import Graph

NAME = "c"
SUMMARY = "a .c and a .h file of integer C99 without a heap, for microcontrollers"
SUFFIX = ".c"
FOLDS = True
OPTIONS = ("pixels",)

_RECORDED = 2  # items of the self-test


def write(graph: Graph, output: Path, options: TargetOptions) -> Written:
    """The .c file that is named, and its header."""
    formats = InputFormats(options.pixels, _largest(options))
    net = fixed_point(graph, formats)
    names = interface(net)
    made = source(net, names)
    about = metadata(graph)
    path = c_path(output)
    top = header(net, names, made, about, version("ul2q"))
    text = f"""/* The net {comment(graph.name)} in integers, written by ul2q {version("ul2q")}.
   {comment(path.stem)}.h says how it is called. */
#include "{path.stem}.h"

{made.kernels}
{made.constants}
{names.declaration} {{
{made.body}}}
"""
    if options.examples:
        text += self_test(net, names, _recorded(net, options))
    warnings = _warnings(net, formats)
    return Written(
        {path: text.encode(), path.with_suffix(".h"): top.encode()},
        list(made.sizes.items()),
        warnings,
        notes=(
            f"flash: {sum(made.sizes.values()):,} bytes of constants, and code; RAM: "
            f"{memory_bytes(made):,} bytes besides arguments and stack",
        ),
        stored=sum(made.sizes.values()),
        run=partial(_run, net),
        as_read=net.in_steps if warnings else None,
    )


def run(graph: Graph, path: Path, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The outputs of the files of a graph that was written without options."""
    return _run(fixed_point(graph), path, inputs)


def c_path(output: Path) -> Path:
    """The .c file for the name that was given, with .c, .h or neither."""
    if output.suffix in (".c", ".h"):
        return output.with_suffix(".c")
    return output.with_name(f"{output.name}.c")


def _run(
    net: FixedPointNet, path: Path, inputs: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    return net.values(compiler.run(interface(net), c_path(path), net.integers(inputs)))


def _largest(options: TargetOptions) -> dict[str, float]:
    """Of each input's size, where the user has given some."""
    if not options.are_given:
        return {}
    names = {name for batch in options.examples for name in batch}
    return {
        name: max(float(np.max(np.abs(batch[name]), initial=0)) for batch in options.examples)
        for name in names
    }


def _recorded(net: FixedPointNet, options: TargetOptions) -> dict[str, NDArray[Any]]:
    """Integers of the first items."""
    first = {
        name: np.concatenate([batch[name] for batch in options.examples[:_RECORDED]])[:_RECORDED]
        for name in net.inputs
    }
    return net.integers(first)


def _warnings(net: FixedPointNet, formats: InputFormats) -> tuple[str, ...]:
    """What the user should know of the inputs."""
    told = []
    for name in net.inputs:
        if formats.is_guessed(name, net.tensors[name].coding):
            step = net.tensors[name].coding.step
            told.append(
                f"input {name!r} is taken in steps of {step:g} up to ±{step * 2**15:g}: nothing "
                "tells how large its values are. --inputs FILE does; --scale and --mean make it "
                "bytes"
            )
    return tuple(told)

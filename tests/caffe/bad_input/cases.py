"""What a case of bad input is, how it is checked, and what the tables of cases are made of.

A table is a list `CASES` in a module of its own, one for each kind of input; `table.py` joins them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np

from tests.small_nets import inputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Case:
    """`do` works in an empty folder and raises `error`, whose message holds all of `words`."""

    name: str
    do: Callable[[Path], object]
    words: tuple[str, ...]
    error: type[Exception] = caffe.CaffeError


def check(case: Case, folder: Path) -> None:
    """Assert that the case raises what it should, and that a good net still computes as it should.

    `folder` is empty.
    """
    try:
        case.do(folder)
    except case.error as error:
        message = str(error)
        assert all(word in message for word in case.words), f"{case.words} in {message}"
    else:
        raise AssertionError(f"{case.name}: nothing was raised")
    net = make_net(folder, GOOD_NET)
    net.params["L"][0].data[...] = [[1, 2, 3], [4, 5, 6]]
    net.params["L"][1].data[...] = [10, 20]
    assert net.forward(x=np.array([[1, 0, -1]]))["y"].tolist() == [[8, 18]]


# Nets as text


def layer(kind: str, bottoms: str, fields: str = "", *, tops: str = "y", name: str = "L") -> str:
    """Return a layer of type `kind`; the names of bottoms and tops are separated by blanks."""
    bottom = "".join(f"bottom: '{blob}' " for blob in bottoms.split())
    top = "".join(f"top: '{blob}' " for blob in tops.split())
    return f"layer {{ name: '{name}' type: '{kind}' {bottom}{top}{fields} }}\n"


def make_net(folder: Path, text: str | bytes, phase: int = caffe.TRAIN) -> Any:
    """Write `text` to folder/net.prototxt and load it."""
    path = folder / "net.prototxt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return caffe.Net(path, phase)


IMAGE = inputs(x=(2, 3, 4, 4))
SCORES = inputs(x=(2, 3), label=(2,))
GOOD_NET = inputs(x=(1, 3)) + layer("InnerProduct", "x", "inner_product_param { num_output: 2 }")


# Cases


def case(
    name: str,
    do: Callable[[Path], object],
    *words: str,
    error: type[Exception] = caffe.CaffeError,
) -> Case:
    """Return the case of a function that fails in an empty folder."""
    return Case(name, do, words, error)


def refused(
    name: str, text: str | bytes, *words: str, error: type[Exception] = caffe.CaffeError
) -> Case:
    """Return the case of a net that cannot be made."""
    return case(name, lambda folder: make_net(folder, text), *words, error=error)


def refused_layer(kind: str, what: str, text: str, *words: str) -> Case:
    """Return the case of a net whose layer 'L' of type `kind` is refused, and named."""
    return refused(f"{kind}: {what}", text, f"Layer 'L' ({kind})", *words)

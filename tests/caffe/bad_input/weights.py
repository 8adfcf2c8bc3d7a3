"""Weights that do not fit the net, or are no weights."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.caffe.bad_input.cases import GOOD_NET, case, make_net

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGER = GOOD_NET.replace("num_output: 2", "num_output: 4")


def load(text: str, save: str, name: str) -> Callable[[Path], None]:
    """Return a function that saves the weights of GOOD_NET and loads them into the net `text`."""

    def do(folder: Path) -> None:
        getattr(make_net(folder, GOOD_NET), save)(folder / name)
        make_net(folder, text).copy_from(folder / name)

    return do


def load_text(folder: Path) -> None:
    """Load text as weights."""
    (folder / "w.caffemodel").write_bytes(b"these are no weights")
    make_net(folder, GOOD_NET).copy_from(folder / "w.caffemodel")


def load_cut_short(save: str, name: str) -> Callable[[Path], None]:
    """Return a function that saves weights, drops a third of the file and loads the rest."""

    def do(folder: Path) -> None:
        net = make_net(folder, GOOD_NET)
        getattr(net, save)(folder / name)
        os.truncate(folder / name, (folder / name).stat().st_size * 2 // 3)
        net.copy_from(folder / name)

    return do


CASES = [
    case("weights: another shape", load(LARGER, "save", "w"), "layer 'L'", "shape mismatch"),
    case(
        "weights: another shape, HDF5",
        load(LARGER, "save_hdf5", "w.caffemodel.h5"),
        "shape mismatch",
    ),
    case(
        "weights: no bias",
        load(GOOD_NET.replace("2 }", "2 bias_term: false }"), "save", "w"),
        "Incompatible number of blobs for layer L",
    ),
    case("weights: text", load_text, "w.caffemodel"),
    case("weights: cut short", load_cut_short("save", "w.caffemodel"), "w.caffemodel"),
    case("weights: HDF5 cut short", load_cut_short("save_hdf5", "w.h5"), "w.h5"),
    case(
        "weights: missing",
        lambda folder: make_net(folder, GOOD_NET).copy_from(folder / "nothing.h5"),
        "nothing.h5",
        error=FileNotFoundError,
    ),
    case(
        "weights: to a missing folder",
        lambda folder: make_net(folder, GOOD_NET).save_hdf5(folder / "none" / "w.h5"),
        "/none/w.h5",
    ),
]

"""Weights that do not fit the net, or are no weights."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import caffe

from tests.caffe.bad_input.cases import GOOD_NET, case, make_net
from tests.small_nets import solver_message

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


def load_state(form: str, name: str) -> Callable[[Path], None]:
    """Return a function that takes a snapshot and loads its solver state as weights."""

    def do(folder: Path) -> None:
        solver = caffe.get_solver(solver_message(folder, snapshot_format=form))
        solver.snapshot()
        make_net(folder, GOOD_NET).copy_from(folder / name)

    return do


def load_empty(folder: Path) -> None:
    """Load an empty file."""
    (folder / "w.caffemodel").touch()
    make_net(folder, GOOD_NET).copy_from(folder / "w.caffemodel")


CASES = [
    case(
        "weights: a solver's state",
        load_state("BINARYPROTO", "snapshot_iter_0.solverstate"),
        "snapshot_iter_0.solverstate: it is the state of a solver",
        "snapshot_iter_0.caffemodel",
    ),
    case(
        "weights: a solver's state in HDF5",
        load_state("HDF5", "snapshot_iter_0.solverstate.h5"),
        "snapshot_iter_0.solverstate.h5 holds no weights: it is the state of a solver",
    ),
    case("weights: empty", load_empty, "w.caffemodel: it is empty"),
    case(
        "weights: one of two is missing",
        lambda folder: make_net(folder, GOOD_NET).copy_from("no.caffemodel, nor.caffemodel"),
        "'no.caffemodel'",
        error=FileNotFoundError,
    ),
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
    case("weights: text", load_text, "w.caffemodel: it is text; give the binary"),
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

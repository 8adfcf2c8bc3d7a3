"""HDF5 files and lists of them."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np

from tests.caffe.bad_input.cases import Case, case, layer, make_net, refused_layer
from tests.small_nets import inputs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def write_h5(path: Path, data: NDArray[Any], label: NDArray[Any]) -> None:
    """Write datasets 'data' and 'label' of four axes each."""
    text = inputs(data=data.shape, label=label.shape) + (
        f"layer {{ name: 'out' type: 'HDF5Output' bottom: 'data' bottom: 'label' "
        f"hdf5_output_param {{ file_name: '{path}' }} }}"
    )
    net = make_net(path.parent, text)
    net.blobs["data"].data[...] = data
    net.blobs["label"].data[...] = label
    net.forward()
    del net
    gc.collect()


def hdf5_case(
    name: str,
    prepare: Callable[[Path], object],
    *words: str,
    top: str = "data",
    error: type[Exception] = caffe.CaffeError,
) -> Case:
    """Return the case of an HDF5Data layer whose source `prepare` makes in folder/list."""

    def do(folder: Path) -> None:
        prepare(folder)
        text = layer(
            "HDF5Data", "", f"hdf5_data_param {{ source: '{folder}/list' batch_size: 2 }}", tops=top
        )
        net = make_net(folder, text)
        for _ in range(3):
            net.forward()

    return case(f"HDF5Data: {name}", do, "Layer 'L' (HDF5Data): ", *words, error=error)


def listing(*names: str) -> Callable[[Path], None]:
    """Return a function that writes files and the list of them.

    Files called *.h5 are good, but text.h5 is text, and wide.h5 has longer rows; others are not
    written.
    """

    def prepare(folder: Path) -> None:
        for name in names:
            if name == "text.h5":
                (folder / name).write_text("no HDF5", encoding="ascii")
            elif name.endswith(".h5"):
                width = 5 if name == "wide.h5" else 2
                write_h5(folder / name, np.ones((2, 1, 1, width)), np.ones((2, 1, 1, 1)))
        content = "".join(f"{folder / name}\n" for name in names)
        (folder / "list").write_text(content, encoding="utf-8")

    return prepare


def output(path: Path | str) -> str:
    """Return a net whose layer L writes to a file."""
    return inputs(a=(1, 1), b=(1, 1)) + (
        f"layer {{ name: 'L' type: 'HDF5Output' bottom: 'a' bottom: 'b' "
        f"hdf5_output_param {{ file_name: '{path}' }} }}"
    )


def write_one_file_twice(folder: Path) -> None:
    """Make two nets that write one file, by two names."""
    (folder / "link").symlink_to(folder)
    net = make_net(folder, output(folder / "out.h5"))
    make_net(folder, output(folder / "link" / "out.h5"))
    del net


def write_two_batches(folder: Path) -> None:
    net = make_net(folder, output(folder / "out.h5"))
    net.forward()
    net.forward()


CASES = [
    hdf5_case("missing list", lambda _: None, "No such file", "/list", error=FileNotFoundError),
    hdf5_case("empty list", listing(), "at least 1 HDF5 filename"),
    hdf5_case(
        "missing file", listing("nothing"), "No such file", "/nothing", error=FileNotFoundError
    ),
    hdf5_case("text", listing("text.h5"), "/text.h5 is no readable HDF5 file"),
    hdf5_case("missing dataset", listing("a.h5"), "Failed to find HDF5 dataset other", top="other"),
    hdf5_case(
        "longer rows in the second file", listing("a.h5", "wide.h5"), "/wide.h5 are not of the size"
    ),
    refused_layer(
        "HDF5Data",
        "empty source",
        layer("HDF5Data", "", "hdf5_data_param { batch_size: 2 }"),
        "hdf5_data_param.source is empty",
    ),
    refused_layer("HDF5Output", "empty file name", output(""), "file_name is empty"),
    case(
        "HDF5Output: two of one file",
        write_one_file_twice,
        "Layer 'L' (HDF5Output): another HDF5Output layer of this process writes",
        "/out.h5",
        "file_name of its own",
    ),
    case(
        "HDF5Output: a second batch",
        write_two_batches,
        "Layer 'L' (HDF5Output): ",
        "/out.h5 has a batch already",
    ),
    refused_layer(
        "HDF5Output",
        "missing folder",
        output("/nowhere/at/all.h5"),
        "/nowhere/at/all.h5: No such file or directory",
    ),
]

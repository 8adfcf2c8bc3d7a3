"""Codes, scales and shifts in a NumPy archive.

Layer "conv1" has the arrays conv1/weight/codes, /scale, /shift, /bits and /method, and
`ul2q.dequantize` gives the values of them; a parameter that is not quantised is one array,
conv1/bias. Weights lie outputs first.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.quantized import QuantizedTensor
from ul2q.deploy.targets.target import TargetOptions, Written
from ul2q.quantizers import dequantize

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ul2q.deploy.graph import Graph

NAME = "npz"
SUMMARY = "codes, scales and shifts as NumPy arrays, zlib inside"
SUFFIX = ".npz"
FOLDS = False
OPTIONS = ()


def write(graph: Graph, output: Path, _: TargetOptions) -> Written:
    """One archive; codes are int8, or int16 where 8 bits are too few."""
    arrays: dict[str, NDArray[Any]] = {}
    for node, name, weight in graph.weights():
        key = f"{node.name}/{name}"
        if not isinstance(weight, QuantizedTensor):
            arrays[key] = weight
            continue
        small = -128 <= weight.lowest <= weight.highest <= 127
        arrays[f"{key}/codes"] = weight.codes.astype(np.int8 if small else np.int16)
        arrays[f"{key}/scale"] = weight.scale
        arrays[f"{key}/shift"] = weight.shift
        arrays[f"{key}/bits"] = np.array(weight.bits)
        arrays[f"{key}/method"] = np.array(weight.method)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(buffer) as archive:
        sizes = [(i.filename.removesuffix(".npy"), i.compress_size) for i in archive.infolist()]
    return Written({output: buffer.getvalue()}, sizes)


def run(graph: Graph, path: Path, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The outputs by NumPy, with the archive's parameters."""
    with np.load(path) as archive:
        weights = {
            (node.name, name): _read(archive, f"{node.name}/{name}")
            for node, name, _ in graph.weights()
        }
    return dict(graph.with_weights(weights).run(inputs))


def _read(archive: Any, key: str) -> NDArray[Any]:
    if key in archive:
        return np.asarray(archive[key])
    codes, scale, shift, bits, method = (
        archive[f"{key}/{part}"] for part in ("codes", "scale", "shift", "bits", "method")
    )
    return dequantize(codes, scale, shift, int(bits), str(method))

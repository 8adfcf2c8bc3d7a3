"""An export as text for people, and inputs from a file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.deploy.errors import DeployError
from ul2q.util.input_file import require_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ul2q.deploy.exporter import Export
    from ul2q.util.paths import StrPath


def read_inputs(path: StrPath) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz.

    Raises:
        FileNotFoundError: there is no such file.
        DeployError: it is no .npz of numbers.
    """
    path = Path(path)
    require_file(path, "an .npz with an array for each input", "file of inputs")
    try:
        with np.load(path) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, AttributeError, zipfile.BadZipFile) as error:
        raise DeployError(f"{path} is no .npz of arrays, as numpy.savez writes them") from error


def size_rows(found: Export) -> tuple[list[str], list[list[str]]]:
    """What takes how many bytes of the files, and what is left."""
    rows = [[name, f"{size:,}"] for name, size in found.written.sizes]
    rest = found.written.total - sum(size for _, size in found.written.sizes)
    return ["part", "bytes"], [
        *rows,
        ["all else", f"{rest:,}"],
        ["all", f"{found.written.total:,}"],
    ]


def comparison_text(found: Export) -> list[str]:
    """Lines about the size and the outputs, and one for each file."""
    total = found.written.total
    lines = [
        f"size: {total:,} bytes; parameters {found.quantized_bytes:,}, as float32 "
        f"{found.float_bytes:,}"
    ]
    if (seen := found.comparison) is not None:
        kind = "inputs of yours" if seen.given else "random inputs"
        line = f"differs from Caffe by {seen.difference:.2g} of the largest output, on {kind}"
        if seen.agreeing is not None:
            line += f"; {seen.agreeing} of {seen.examples} classes are the same"
        lines.append(line)
        if seen.given_levels is not None:
            lines.append(
                "some activations take a neighbouring level; given those, all is right to "
                f"{seen.given_levels:.2g} of the largest"
            )
    if found.any_batch is not None:
        lines.append(_batch_text(found))
    lines += found.written.notes
    return lines + [f"file: {path}" for path in found.written.files]


def _batch_text(found: Export) -> str:
    """What batches the files take, and why not all."""
    if found.any_batch:
        seen = found.comparison
        compared = f"; compared with {' and '.join(map(str, seen.batches))}" if seen else ""
        return f"batch: any{compared}"
    inputs = ", ".join(
        f"{name} {'×'.join(map(str, found.graph.shapes[name])) or 'a number'}"
        for name in found.graph.inputs
    )
    why = f", since {found.batch_fixed_by}" if found.batch_fixed_by else ""
    return f"batch: that of {inputs}{why}"

"""The model card of a run: README.md beside its weights, for people."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.nets.layer_types import float_type
from ul2q.nets.quantization import method_name
from ul2q.runs.layout import CARD
from ul2q.util.output_file import write_file
from ul2q.util.tables import markdown_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from caffe.proto import caffe_pb2

    from ul2q.models.size import ModelSize
    from ul2q.runs.training_record import TrainingRecord

MARK = "<!-- Written by `ul2q train`, anew with each snapshot and test; its first line says so. -->"


@dataclass(frozen=True)
class CardWeights:
    """A weights file that the card tells of.

    Attributes:
        file: its name.
        iteration: how many iterations its weights have.
        outputs: what a test of these very weights gave, by the outputs' names; None if there was
            none.
        note: what is special about it; "" for nothing.
    """

    file: str
    iteration: int
    outputs: dict[str, float] | None
    note: str = ""


def model_card(
    record: TrainingRecord,
    net: caffe_pb2.NetParameter,
    size: ModelSize,
    weights: Sequence[CardWeights],
    *,
    run: Path,
    iterations: int,
) -> str:
    """The text of the card, in Markdown.

    Args:
        record: how the run was trained.
        net: the train net.
        size: of its parameters.
        weights: the files beside the card; none before the first snapshot.
        run: the run's folder, as it was given.
        iterations: how many there are to be.
    """
    parts = [
        MARK,
        f"# {net.name or 'A net'}: {_kind(net, size)}",
        _weights_table(weights, iterations),
        "The files hold the float weights; quantised layers quantise them whenever the net runs.",
        "## Size and cost",
        _size(record, size),
        markdown_table(
            ["layer", "type", "weights", "quantised", "multiply-adds"],
            list(_layers(record, net, size)),
        ),
        "## Data",
        "\n".join(_data(record)),
        "## Load",
        _load(record, weights, run),
        "## Training",
        "\n".join(_training(record)),
    ]
    return "\n\n".join(parts) + "\n"


def write_card(run: Path, text: str) -> bool:
    """Write the card into the run's folder, unless a README.md of the user's stands there.

    Returns:
        Whether it was written.

    Raises:
        OSError: it cannot be written.
    """
    path = run / CARD
    if path.exists() and not path.read_bytes().startswith(MARK.encode()):
        return False
    write_file(path, text.encode(), force=True)
    return True


def _kind(net: caffe_pb2.NetParameter, size: ModelSize) -> str:
    """E.g. "weights of 2 and 8 bits (ul2q)", or "float weights"."""
    widths = sorted({layer.weight_bits for layer in size.layers if layer.weights})
    methods = dict.fromkeys(_quantizers(net).values())
    if not methods:
        return "float weights"
    told = [f"{width}" if width < 32 else "32 (float)" for width in widths]
    words = " and ".join(filter(None, (", ".join(told[:-1]), told[-1])))
    plural = "s" if told != ["1"] else ""
    return f"weights of {words} bit{plural} ({', '.join(methods)})"


def _quantizers(net: caffe_pb2.NetParameter) -> dict[str, str]:
    """The methods of the layers whose weights are quantised, by the layers' names."""
    return {
        layer.name: method_name(layer.quantization_param.weight)
        for layer in net.layer
        if layer.quantization_param.HasField("weight")
    }


def _weights_table(weights: Sequence[CardWeights], iterations: int) -> str:
    if not weights:
        return "There are no weights yet: the first snapshot is still to come."
    names = list(dict.fromkeys(name for one in weights for name in one.outputs or {}))
    rows = []
    for one in weights:
        tested = one.outputs or {}
        cells = [f"{tested[name]:.4f}" if _known(tested, name) else "" for name in names]
        note = one.note if one.outputs else ", ".join(filter(None, (one.note, "not tested")))
        rows.append([f"`{one.file}`", f"{one.iteration} of {iterations}", *cells, note])
    return markdown_table(["file", "iterations", *(f"test {name}" for name in names), ""], rows)


def _known(outputs: dict[str, float], name: str) -> bool:
    return name in outputs and math.isfinite(outputs[name])


def _size(record: TrainingRecord, size: ModelSize) -> str:
    mean = size.bits_per_weight
    words = [f"{size.weights:,} weights" + ("" if mean is None else f", {mean:.2f} bits each")]
    words.append(
        f"{size.kilobytes:,.1f} kB for all {size.parameters:,} parameters, codes at their width, "
        f"and {size.float_kilobytes:,.1f} kB as floats: {size.compression:.1f} times smaller"
    )
    if record.multiply_adds:
        words.append(f"{sum(record.multiply_adds.values()):,} multiply-adds for one example")
    return "; ".join(words) + "."


def _layers(
    record: TrainingRecord, net: caffe_pb2.NetParameter, size: ModelSize
) -> list[list[str | None]]:
    methods = _quantizers(net)
    rows: list[list[str | None]] = []
    for layer in size.layers:
        if layer.weights:
            method = methods.get(layer.layer)
            costs = record.multiply_adds.get(layer.layer)
            rows.append(
                [
                    *(layer.layer, float_type(layer.type), f"{layer.weights:,}"),
                    "float" if method is None else f"{method}, {layer.weight_bits} bit",
                    None if costs is None else f"{costs:,}",
                ]
            )
    return rows


def _data(record: TrainingRecord) -> list[str]:
    lines = []
    for one in record.data:
        told = f", import.json has the SHA-256 {one.import_sha256}" if one.import_sha256 else ""
        lines.append(f"- {one}{told}")
    return lines or ["The nets read no database."]


def _load(record: TrainingRecord, weights: Sequence[CardWeights], run: Path) -> str:
    nets = list(record.nets)
    net, file = (nets[-1] if nets else "NET"), (weights[0].file if weights else "WEIGHTS")
    return "\n".join(
        (
            f"    ul2q test {shlex.quote(net)} {shlex.quote(str(run))}",
            "",
            "tests the best weights, else the newest; in Python",
            "",
            "```python",
            "import caffe",
            "",
            f"net = caffe.Net({net!r}, caffe.TEST, weights={str(run / file)!r})",
            "```",
            "",
            "The paths are as seen from where training was begun; `run.json` has the net's text.",
        )
    )


def _training(record: TrainingRecord) -> list[str]:
    lines = []
    for one in record.sessions:
        ended = f"to {one.ended}" if one.ended else "on"
        done = "" if one.iterations is None else f" to {one.iterations}"
        place = f"{one.threads} thread{'s' * (one.threads != 1)} on {one.machine['processor']}"
        lines.append(
            f"- `{one.command}`: from iteration {one.from_iteration}{done}, from {one.began} "
            f"{ended}, {place}"
        )
    lines += (
        f"- It began from the weights {file.path}, SHA-256 {file.sha256}."
        for file in record.weights
    )
    if record.seed is not None:
        lines.append(f"- The seed is {record.seed}.")
    told = record.sessions[-1].versions if record.sessions else {}
    lines.append(f"- Versions: {', '.join(f'{name} {one}' for name, one in told.items())}.")
    lines.append("- `run.json` has all of this, with the solver and the nets as text.")
    return lines

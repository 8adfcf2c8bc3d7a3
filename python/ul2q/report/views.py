"""Makes the tables that the page shows, as texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.report.paper import NETS, RESULTS
from ul2q.report.runs import STATUSES
from ul2q.report.tables import difference_to_paper, logged_losses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ul2q.models.size import ModelSize
    from ul2q.report.layers import LayerWeights
    from ul2q.report.runs import Run
    from ul2q.report.summary import Group


@dataclass(frozen=True)
class View:
    """A table.

    Attributes:
        headings: the columns' headings.
        numbers: the indices of the columns of numbers.
        rows: a text for each column.
    """

    headings: tuple[str, ...]
    numbers: frozenset[int]
    rows: Sequence[tuple[str, ...]]


def summary_view(groups: Sequence[Group]) -> View:
    """The summary, with a row for each group."""
    headings = (
        *("net", "method", "bits", "variant", "data", "runs", "accuracy, %", "lowest to highest"),
        *("less float", "paper, %", "less paper"),
    )
    rows = [
        (
            *(group.net, group.method, _text(group.bits), group.variant, group.data),
            _run_count(group),
            _mean_and_deviation(group),
            _range(group.accuracies),
            _signed(group.difference),
            _fixed(group.paper.accuracy if group.paper else None, 2),
            _signed(difference_to_paper(group)),
        )
        for group in groups
    ]
    return View(headings, frozenset((2, 5, 6, 7, 8, 9, 10)), rows)


def runs_view(runs: Sequence[Run]) -> View:
    """The runs, with a row for each, which begins with its name."""
    headings = ("run", "state", "seed", "accuracy, %", "loss", "iterations", "time", "ms/iteration")
    rows = []
    for run in runs:
        of = f" of {run.max_iterations}" if run.max_iterations else ""
        per_iteration = (
            1000 * run.seconds / run.iterations if run.seconds and run.iterations else None
        )
        rows.append(
            (
                *(run.name, STATUSES[run.status], _text(run.seed)),
                _fixed(None if run.accuracy is None else 100 * run.accuracy, 2),
                _short(run.loss),
                f"{run.iterations}{of}" if run.iterations else "",
                _time(run.seconds),
                _short(per_iteration),
            )
        )
    return View(headings, frozenset((2, 3, 4, 5, 6, 7)), rows)


def layers_view(run: Run) -> View:
    """A run's blobs of weights, and those of which quantization.csv alone tells."""
    headings = (
        *("weights", "shape", "mean", "σ", "quantised", "α", "β", "loss", "% of σ²"),
        *("codes used", "multiply-adds", "share of each, %"),
    )
    rows = [
        _layer_cells(layer, run.multiply_adds.get(layer.name.removesuffix("[0]")))
        for layer in run.layers
    ]
    known = {layer.name for layer in run.layers if layer.quantized}
    rows += [
        (name, "", "", "", "", "", "", _short(loss), "", "", "", "")
        for name, loss in logged_losses(run).items()
        if name not in known
    ]
    return View(headings, frozenset((2, 3, 5, 6, 7, 8, 9, 10)), rows)


def size_text(size: ModelSize, multiply_adds: Mapping[str, int]) -> str:
    """What a model takes to store and to compute with, in a sentence."""
    mean = size.bits_per_weight
    parts = [f"{size.weights:,} weights" + ("" if mean is None else f" of {mean:.2f} bits")]
    parts.append(
        f"all parameters {size.kilobytes:,.1f} kB, as floats {size.float_kilobytes:,.1f} kB: "
        f"{size.compression:.1f} times smaller"
    )
    if multiply_adds:
        parts.append(f"{sum(multiply_adds.values()):,} multiply-adds for one example")
    return "; ".join(parts) + "."


def _layer_cells(layer: LayerWeights, multiply_adds: int | None) -> tuple[str, ...]:
    place = (
        layer.name,
        "×".join(map(str, layer.shape)),
        _short(layer.mean),
        _short(layer.sigma),
    )
    q, cost = layer.quantized, "" if multiply_adds is None else f"{multiply_adds:,}"
    if q is None:
        kind = "float" if layer.sigma is not None else ""
        return (*place, kind, *[""] * 5, cost, "")
    shares = 100 * q.counts / q.counts.sum()
    few = [f"{code}: {share:.1f}" for code, share in zip(q.codes, shares, strict=True)]
    return (
        *place,
        f"{q.method} {q.bits} bit",
        *map(_short, (q.scale, q.shift, q.loss)),
        _short(None if q.share is None else 100 * q.share),
        f"{len(q.codes)} of {q.possible}",
        cost,
        ", ".join(few) if len(few) <= 4 else "",
    )


def paper_view(nets: Sequence[str]) -> View:
    """Table IV for these nets, with a row for each method and a column for each width."""
    widths = sorted({one.bits for one in RESULTS if one.bits})
    headings = ("net", "data", "method", "accuracy, %", *(f"{bits} bit" for bits in widths))
    rows: dict[tuple[str, str, str], dict[int | None, str]] = {}
    for net in NETS:
        for one in RESULTS:
            if one.net == net.name and net.name in nets:
                text = _fixed(one.accuracy, 2) + (f" / {one.top5:.2f}" if one.top5 else "")
                rows.setdefault((net.title, net.data, one.label), {})[one.bits] = text
    cells = [
        (*key, held.get(None, ""), *(held.get(bits, "") for bits in widths))
        for key, held in rows.items()
    ]
    return View(headings, frozenset(range(3, len(headings))), cells)


def _run_count(group: Group) -> str:
    finished = sum(run.is_finished for run in group.runs)
    count = len(group.runs)
    return str(count) if finished == count else f"{finished} of {count} finished"


def _mean_and_deviation(group: Group) -> str:
    spread = "" if group.deviation is None else f" ± {group.deviation:.2f}"
    return _fixed(group.mean, 2) + spread


def _range(numbers: Sequence[float]) -> str:
    return f"{min(numbers):.2f} to {max(numbers):.2f}" if len(numbers) > 1 else ""


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _fixed(number: float | None, digits: int) -> str:
    return "" if number is None else f"{number:.{digits}f}"


def _signed(number: float | None) -> str:
    return "" if number is None else f"{number:+.2f}".replace("-", "−")


def _short(number: float | None) -> str:
    return "" if number is None else f"{number:.3g}"


def _time(seconds: float | None) -> str:
    """A time as h:mm:ss, or as seconds if they are few."""
    if not seconds:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"

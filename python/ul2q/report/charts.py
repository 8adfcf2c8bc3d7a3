"""Draws the report's figures. Needs the extra ul2q[figures]."""

from __future__ import annotations

import itertools
import textwrap
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.models.histograms import histogram_figure
from ul2q.report.colours import NORMAL, PAPER, colour_of
from ul2q.report.paper import paper_result, paper_results
from ul2q.runs.log import LEARNING_RATE, TRAIN_LOSS
from ul2q.runs.quantization_log import mse_columns
from ul2q.runs.record import FLOAT
from ul2q.util.figures import (
    panel_grid,
    panels_in_rows,
    plain,
    set_title,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ul2q.report.layers import LayerWeights
    from ul2q.report.runs import Run
    from ul2q.report.summary import Group
    from ul2q.runs.log import Log

_WIDE = (4.8, 4.6)  # a panel that stands alone fits on a telephone: 358 pixels, in inches
_PANEL = (4.6, 3.6)
_LEGEND_BELOW = 0.5  # inches from the panel to its legend
_LEGEND_WIDTH = 44  # characters of a line
_MARKERS = ("o", "s", "^", "D", "v", "P")
_DASHES = ("-", "--", "-.", ":")
_MOST_POINTS = 400  # A screen does not show more of a curve.
_COMPARED_POINTS = 40  # Among many curves, the noise of one would hide the others.
_MOST_BARS = 256
_MOST_RATE_STEPS = 8


def accuracy_figure(groups: Sequence[Group]) -> Figure | None:
    """Accuracy against bit width for one net, the paper's beside ours; None if there is none.

    The paper's are those of μL2Q and of the methods that have been run. Bars go from the lowest
    seed to the highest.

    Args:
        groups: the groups of the net's runs.
    """
    lines: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        if group.accuracies and group.bits is not None:
            lines.setdefault((group.method, group.variant), []).append(group)
    floats = [group for group in groups if group.method == FLOAT and group.accuracies]
    if not lines and not floats:
        return None
    figure, [[axes]] = panel_grid(1, 1, panel=_WIDE)
    styles = _styles_by_method([method for method, _ in lines])
    beside: dict[int | None, list[Group]] = {}
    for group in itertools.chain.from_iterable(lines.values()):
        beside.setdefault(group.bits, []).append(group)
    for ((method, variant), points), style in zip(lines.items(), styles, strict=True):
        bits = [_apart(group, beside[group.bits]) for group in points]
        label = _legend_text(", ".join(filter(None, (method, variant))))
        axes.plot(bits, [np.mean(group.accuracies) for group in points], label=label, **style)
        for x, group in zip(bits, points, strict=True):
            axes.vlines(x, min(group.accuracies), max(group.accuracies), color=style["color"])
    for group, dashes in zip(floats, itertools.cycle(("--", (0, (1, 1)), "-.")), strict=False):
        axes.axhline(
            float(np.mean(group.accuracies)),
            color=colour_of(FLOAT),
            linewidth=1,
            linestyle=dashes,
            label=_legend_text(group.label),
        )
    widths = {group.bits for group in groups if group.bits} | _draw_paper(axes, groups, lines)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(widths), [str(bits) for bits in sorted(widths)])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("bits of a weight")
    _label_accuracies(axes)
    _finish(axes, groups[0].title)
    return figure


def _apart(group: Group, beside: Sequence[Group]) -> float:
    """Where to draw a group among those of its width, so that bars do not cover one another."""
    return float((group.bits or 0) * 1.025 ** (beside.index(group) - (len(beside) - 1) / 2))


def _draw_paper(
    axes: Axes, groups: Sequence[Group], lines: dict[tuple[str, str], list[Group]]
) -> set[int]:
    """Draw the paper's points, hollow and grey; return their widths."""
    net = groups[0].paper_net
    if net is None:
        return set()
    widths: set[int] = set()
    methods = dict.fromkeys(("ul2q", *(method for method, _ in lines)))
    for method, marker in zip(methods, itertools.cycle(_MARKERS), strict=False):
        results = [one for one in paper_results(net) if one.method == method]
        points = {one.bits: one.accuracy for one in results if one.bits}
        widths |= set(points)
        if points:
            axes.plot(
                list(points),
                list(points.values()),
                linestyle=":",
                linewidth=1,
                color=PAPER,
                marker=marker,
                markerfacecolor="white",
                label=_legend_text(f"paper: {results[0].label}, {net.title} on {net.data}"),
                zorder=1,
            )
    if reference := paper_result(net, FLOAT, None):
        axes.axhline(
            reference.accuracy, color=PAPER, linewidth=1, linestyle=(0, (4, 4)), zorder=1,
            label="paper: float",
        )  # fmt: skip
    return widths


def comparison_figure(groups: Sequence[Group]) -> Figure | None:
    """Loss and test accuracy over the iterations, all runs of one net; None without logs.

    Runs that differ by the seed alone look the same. Without an accuracy there is no panel for it.

    Args:
        groups: the groups of the net's runs.
    """
    runs = [run for group in groups for run in group.runs]
    if not any(_has_rows(run.log) for run in runs):
        return None
    panels = 2 if any(run.metrics.accuracy for run in runs) else 1
    figure, [[losses, *others]] = panel_grid(1, panels, panel=_PANEL)
    for group, style in zip(
        groups, _styles_by_method([group.method for group in groups]), strict=True
    ):
        for i, run in enumerate(run for run in group.runs if run.log):
            if run.log is not None:
                label = "_" if i else _legend_text(group.label)
                smooth = style | {"most": _COMPARED_POINTS, "markevery": _COMPARED_POINTS // 5}
                _draw_series(losses, run.log, TRAIN_LOSS, label, **smooth)
                if run.metrics.accuracy:
                    _draw_tests(others[0], run.log, run.metrics.accuracy, label, **style)
    _label_losses(losses, "train loss")
    for accuracies in others:
        _label_accuracies(accuracies)
        _grid_lines(accuracies, "test accuracy")
    _legend_below(losses)
    return figure


def training_figure(run: Run) -> Figure | None:
    """A run's losses, test accuracies and mean squared errors over the iterations.

    Grey lines stand where the learning rate changes. It is None without rows to draw.
    """
    panels: list[tuple[Log, Any]] = []
    if run.log is not None and _has_rows(run.log):
        metrics, colour = run.metrics, colour_of(run.method)
        panels.append((run.log, partial(_draw_losses, columns=metrics.losses, colour=colour)))
        if metrics.accuracies:
            draw = partial(_draw_accuracies, columns=metrics.accuracies, colour=colour)
            panels.append((run.log, draw))
    if run.quantization is not None and _has_rows(run.quantization):
        draw = partial(_draw_quantization, colour=colour_of(run.method))
        panels.append((run.quantization, draw))
    if not panels:
        return None
    figure, [row] = panel_grid(1, len(panels), panel=_PANEL)
    for axes, (log, draw) in zip(row, panels, strict=True):
        draw(axes, log)
        for iteration in _rate_changes(run.log):
            axes.axvline(iteration, color="#cccccc", linewidth=0.8, zorder=0)
    return figure


def weights_figure(run: Run) -> Figure | None:
    """Normalised histograms of the weights against N(0, 1), and the levels; None without."""
    histograms = [layer.histogram for layer in run.layers if layer.histogram]
    if not histograms:
        return None
    return histogram_figure(histograms, colours=(colour_of(FLOAT), colour_of(run.method), NORMAL))


def codes_figure(run: Run) -> Figure | None:
    """The share of the weights that has each code, a panel for each layer; None without codes."""
    layers = [layer for layer in run.layers if layer.quantized]
    if not layers:
        return None
    figure, panels = panels_in_rows(len(layers))
    for axes, layer in zip(panels, layers, strict=True):
        _draw_codes(axes, layer, colour_of(run.method))
    return figure


def _draw_codes(axes: Axes, layer: LayerWeights, colour: str) -> None:
    quantized = layer.quantized
    if quantized is None:
        return
    shares = 100 * quantized.counts / quantized.counts.sum()
    if quantized.possible <= 16:
        axes.bar(quantized.codes, shares, width=0.8, color=colour)
        axes.set_xticks(range(quantized.lowest_code, quantized.highest_code + 1,
                              quantized.code_step))  # fmt: skip
        axes.set_xlim(quantized.lowest_code - 0.6, quantized.highest_code + 0.6)
    else:
        bins = min(quantized.possible, _MOST_BARS)
        edges = np.linspace(quantized.lowest_code, quantized.highest_code + 1, bins + 1) - 0.5
        heights, _ = np.histogram(quantized.codes, edges, weights=shares)
        axes.stairs(heights, edges, fill=True, color=colour)
        axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel("code", fontsize="small")
    axes.set_ylabel("share of the weights, %", fontsize="small")
    axes.tick_params(labelsize="small")
    used = f"{len(quantized.codes)} of {quantized.possible} codes"
    set_title(axes, f"{layer.name}, {quantized.method} {quantized.bits} bit: {used}")


def _draw_losses(axes: Axes, log: Log, *, columns: Sequence[str], colour: str) -> None:
    styles = _styles(colour, len(columns) + 1)
    _draw_series(axes, log, TRAIN_LOSS, "train", **next(styles) | {"marker": None})
    for column in columns:
        _draw_tests(axes, log, column, _legend_text(column), scale=1, **next(styles))
    _label_losses(axes, "loss")
    _legend_below(axes)


def _draw_accuracies(axes: Axes, log: Log, *, columns: Sequence[str], colour: str) -> None:
    for column, style in zip(columns, _styles(colour, len(columns)), strict=True):
        _draw_tests(axes, log, column, _legend_text(column), **style)
    _label_accuracies(axes)
    _grid_lines(axes, "test accuracy")
    if len(columns) > 1:
        _legend_below(axes)


def _draw_quantization(axes: Axes, log: Log, *, colour: str) -> None:
    blobs = mse_columns(log)
    for (blob, column), style in zip(blobs.items(), _styles(colour, len(blobs)), strict=True):
        _draw_series(axes, log, column, _legend_text(blob), **style | {"markevery": 0.2})
    _label_losses(axes, "mean squared error")
    _finish(axes, "quantisation loss")


def _draw_series(
    axes: Axes, log: Log, column: str, label: str, *, most: int = _MOST_POINTS, **style: Any
) -> None:
    """Draw a column over the iterations, a long one thinned out to `most` means."""
    if column in log.columns:
        x, y = log.series(column)
        _plot(axes, _thinned(x, most), _thinned(y, most), label, style)


def _plot(
    axes: Axes, x: NDArray[Any], y: NDArray[Any], label: str, style: Mapping[str, Any]
) -> None:
    """Draw a line; of a single point there is none, so that it has a marker in any case."""
    more = {} if len(x) != 1 or style.get("marker") else {"marker": "o"}
    axes.plot(x, y, label=label, **{**style, **more})


def _draw_tests(
    axes: Axes, log: Log, column: str, label: str, *, scale: float = 100, **style: Any
) -> None:
    """Draw a test output without that before the first iteration, far from all others."""
    x, y = log.series(column)
    begin = int(len(x) > 0 and x[0] == 0)
    _plot(axes, _thinned(x[begin:]), scale * _thinned(y[begin:]), label, style)


def _label_accuracies(axes: Axes) -> None:
    """Accuracies are per cent: the axis ends at 100 and 0, and nothing is cut off there."""
    lowest, highest = axes.get_ylim()
    axes.set_ylim(max(lowest, 0.0), min(highest, 100.0))
    for line in axes.get_lines():
        line.set_clip_on(False)
    axes.set_ylabel("test accuracy, %")


def _label_losses(axes: Axes, title: str) -> None:
    if all(np.all(np.asarray(line.get_ydata()) > 0) for line in axes.get_lines()):
        axes.set_yscale("log")
    _grid_lines(axes, title)


def _finish(axes: Axes, title: str) -> None:
    _grid_lines(axes, title)
    _legend_below(axes)


def _legend_below(axes: Axes) -> None:
    """Put a legend below the panel, within the drawing, where it covers nothing."""
    from matplotlib.transforms import ScaledTranslation  # noqa: PLC0415 - matplotlib is optional

    labels = [text for text in axes.get_legend_handles_labels()[1] if text]
    longest = max((len(line) for text in labels for line in text.split("\n")), default=0)
    columns = max(1, min(3, len(labels), 54 // (longest + 6)))
    # In inches, as the axis' labels do not shrink with the panel.
    below = ScaledTranslation(0, -_LEGEND_BELOW, axes.figure.dpi_scale_trans)
    axes.legend(
        fontsize="x-small",
        loc="upper left",
        bbox_to_anchor=(0, 0),
        bbox_transform=axes.transAxes + below,
        borderaxespad=0,
        ncols=columns,
    )


def _legend_text(text: str) -> str:
    """A text for a legend, broken into lines that fit into the drawing."""
    return plain(textwrap.fill(text, _LEGEND_WIDTH))


def _grid_lines(axes: Axes, title: str) -> None:
    axes.grid(visible=True, color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(which="both", labelsize="small")
    axes.xaxis.label.set_fontsize("small")
    axes.yaxis.label.set_fontsize("small")
    if not axes.get_xlabel():
        axes.set_xlabel("iteration")
    set_title(axes, title)


def _styles(colour: str, count: int) -> Iterator[dict[str, Any]]:
    """Looks of so many lines in one colour, from strong to faint."""
    for i in range(count):
        yield {
            "color": colour,
            "alpha": 1.0 if count < 2 else 1 - 0.6 * i / (count - 1),
            "marker": _MARKERS[i % len(_MARKERS)],
            "linestyle": _DASHES[i // len(_MARKERS) % len(_DASHES)] if i else "-",
            "linewidth": 1.2,
            "markersize": 4,
        }


def _styles_by_method(names: Sequence[str]) -> list[dict[str, Any]]:
    """Looks of lines in the colours of their methods, for each method from strong to faint."""
    looks = {name: _styles(colour_of(name), names.count(name)) for name in dict.fromkeys(names)}
    return [next(looks[name]) for name in names]


def _thinned(numbers: NDArray[Any], most: int = _MOST_POINTS) -> NDArray[Any]:
    if len(numbers) <= most:
        return numbers
    return np.array([part.mean() for part in np.array_split(numbers, most)])


def _rate_changes(log: Log | None) -> list[int]:
    """The iterations where the learning rate is another than before; none if it always is."""
    if log is None or LEARNING_RATE not in log.columns:
        return []
    x, rates = log.series(LEARNING_RATE)
    changes = [int(one) for one in x[1:][np.diff(rates) != 0]]
    return changes if len(changes) <= _MOST_RATE_STEPS else []


def _has_rows(log: Log | None) -> bool:
    return log is not None and len(log.cells) > 0

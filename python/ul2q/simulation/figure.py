"""The figure of a simulation: staircases of quantised values."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ul2q.simulation.settings import model_and_layer
from ul2q.util.figures import COLOURS, panel_grid, plain, set_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ul2q.simulation.comparison import Outcome


@dataclass(frozen=True)
class Line:
    """A line of a panel: x and y are 1-D, of one length."""

    label: str
    x: NDArray[Any]
    y: NDArray[Any]


@dataclass(frozen=True)
class Panel:
    """Lines in one pair of axes."""

    title: str
    lines: Sequence[Line]


def staircases(outcomes: Sequence[Outcome]) -> Figure:
    """Quantised value against value: a row of panels for each of the data, a column a width.

    Raises:
        FiguresError: matplotlib is missing.
    """
    widths = sorted({outcome.bits for outcome in outcomes})
    grid: dict[str, dict[int, list[Line]]] = {}
    for outcome in outcomes:
        panels = grid.setdefault(outcome.data, {bits: [] for bits in widths})
        line = Line(outcome.method, outcome.raw, outcome.quantised)
        panels[outcome.bits].append(line)
    return staircase_figure(
        [
            [
                Panel(f"{_short_name(data)}, {bits} bit{'s' * (bits > 1)}", lines)
                for bits, lines in panels.items()
            ]
            for data, panels in grid.items()
        ],
        x_label="value",
        y_label="quantised value",
    )


def staircase_figure(rows: Sequence[Sequence[Panel]], *, x_label: str, y_label: str) -> Figure:
    """Rows of panels with steps, which change midway between two points.

    A label has the same colour in all panels.

    Args:
        rows: as long as one another.
        x_label: of the lowest row.
        y_label: of the first column.

    Raises:
        FiguresError: matplotlib is missing.
    """
    figure, grid = panel_grid(len(rows), len(rows[0]))
    labels = dict.fromkeys(line.label for row in rows for panel in row for line in panel.lines)
    colours = dict(zip(labels, itertools.cycle(COLOURS)))
    for axes_row, row in zip(grid, rows, strict=True):
        for axes, panel in zip(axes_row, row, strict=True):
            for line in panel.lines:
                axes.step(
                    line.x,
                    line.y,
                    where="mid",
                    label=plain(line.label),
                    color=colours[line.label],
                    linewidth=1.2,
                )
            set_title(axes, panel.title)
            if panel.lines:
                axes.legend(fontsize="x-small")
        axes_row[0].set_ylabel(y_label)
    for axes in grid[-1]:
        axes.set_xlabel(x_label)
    return figure


def _short_name(data: str) -> str:
    model, layer = model_and_layer(data)
    return f"{Path(model).name}:{layer}" if model else data

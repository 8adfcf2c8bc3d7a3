"""The figure of a simulation: staircases of quantised values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.simulation.settings import model_and_layer
from ul2q.util.figures import Line, Panel, staircase_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from ul2q.simulation.comparison import Outcome


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


def _short_name(data: str) -> str:
    model, layer = model_and_layer(data)
    return f"{Path(model).name}:{layer}" if model else data

"""Figures: what the numbers of the other modules look like. Needs the extra ul2q[figures].

They are drawn on matplotlib's own objects, without pyplot: no state of the process's, no display.
"""

# matplotlib is optional, and takes half a second to load.
# ruff: noqa: PLC0415

from __future__ import annotations

import io
import itertools
import math
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.errors import UserError
from ul2q.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

FORMATS = ("png", "svg")

_PANEL = (3.2, 2.6)  # inches
_TITLE_WIDTH = 46  # characters a line
_PIXELS_PER_INCH = 150


class FiguresError(UserError, ValueError):
    """A figure that cannot be made."""


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


@dataclass(frozen=True)
class Histogram:
    """Normalised values, (w - mean) / sigma, and what becomes of them.

    Attributes:
        title: of its panel.
        edges: of n bins, n + 1 numbers.
        density: n numbers.
        levels: the normalised levels after quantisation; None if there was none.
        level_density: the share of values at each level, divided by the levels' distance: on the
            scale of `density`.
    """

    title: str
    edges: NDArray[Any]
    density: NDArray[Any]
    levels: NDArray[Any] | None = None
    level_density: NDArray[Any] | None = None


def require_matplotlib() -> None:
    """Refuse to begin what ends in a figure.

    Raises:
        FiguresError: matplotlib is missing.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise FiguresError(
            "figures need matplotlib: pip install 'ul2q[figures]' (tables do not)"
        ) from error


def check_figure(path: Path, *, force: bool) -> None:
    """Refuse what `write_figure` could not write, before there is a figure.

    Raises:
        FiguresError: matplotlib is missing, or the name does not end in .png or .svg.
        FileNotFoundError, OutputExistsError: as of `refuse_existing`.
    """
    require_matplotlib()
    if path.suffix.lower() not in (f".{kind}" for kind in FORMATS):
        raise FiguresError(f"{path}: a figure's name must end in .png or .svg")
    refuse_existing(path, force=force)


def render(figure: Figure, kind: str) -> bytes:
    """A figure as a file's content; the same figure gives the same bytes.

    Args:
        figure: of matplotlib.
        kind: "png" or "svg".
    """
    from matplotlib import rc_context

    content = io.BytesIO()
    # Neither a date nor random ids.
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with rc_context({"svg.hashsalt": "ul2q"}):
        figure.savefig(content, format=kind, dpi=_PIXELS_PER_INCH, metadata=metadata)
    return content.getvalue()


def write_figure(figure: Figure, path: Path, *, force: bool) -> None:
    """Write a figure as PNG or SVG, by the path's suffix; whole or not at all.

    Raises:
        FiguresError, FileNotFoundError, OutputExistsError: as of `check_figure`.
    """
    check_figure(path, force=force)
    write_file(path, render(figure, path.suffix[1:].lower()), force=force)


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
    figure, grid = _grid(len(rows), len(rows[0]))
    labels = dict.fromkeys(line.label for row in rows for panel in row for line in panel.lines)
    colours = {label: f"C{i}" for i, label in enumerate(labels)}
    for axes_row, row in zip(grid, rows, strict=True):
        for axes, panel in zip(axes_row, row, strict=True):
            for line in panel.lines:
                axes.step(
                    line.x,
                    line.y,
                    where="mid",
                    label=line.label,
                    color=colours[line.label],
                    linewidth=1.2,
                )
            _set_title(axes, panel.title)
            if panel.lines:
                axes.legend(fontsize="x-small")
        axes_row[0].set_ylabel(y_label)
    for axes in grid[-1]:
        axes.set_xlabel(x_label)
    return figure


def histogram_figure(histograms: Sequence[Histogram]) -> Figure:
    """A panel for each histogram, against the density of N(0, 1).

    Raises:
        FiguresError: matplotlib is missing.
    """
    columns = min(4, len(histograms))
    figure, grid = _grid(math.ceil(len(histograms) / columns), columns)
    panels = list(itertools.chain.from_iterable(grid))
    for axes, histogram in zip(panels, histograms, strict=False):
        _draw_histogram(axes, histogram)
    for axes in panels[len(histograms) :]:
        axes.remove()
    panels[0].legend(fontsize="x-small")
    figure.supxlabel("(value − mean) / σ", fontsize="small")
    return figure


def _draw_histogram(axes: Axes, histogram: Histogram) -> None:
    axes.stairs(
        histogram.density, histogram.edges, fill=True, color="C0", alpha=0.4, label="weights"
    )
    x = np.linspace(histogram.edges[0], histogram.edges[-1], 201)
    axes.plot(x, np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), "k--", linewidth=1, label="N(0, 1)")
    if histogram.levels is not None and histogram.level_density is not None:
        axes.vlines(
            histogram.levels, 0, histogram.level_density, color="C1", linewidth=2, label="quantised"
        )
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])
    axes.set_ylim(bottom=0)
    _set_title(axes, histogram.title)


def _set_title(axes: Axes, title: str) -> None:
    axes.set_title(textwrap.fill(title, _TITLE_WIDTH), fontsize="small")


def _grid(rows: int, columns: int) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure, and its axes by rows."""
    require_matplotlib()
    from matplotlib.figure import Figure

    size = (_PANEL[0] * columns, _PANEL[1] * rows)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).tolist()

"""What all figures share: their style, their panels, their files. Needs the extra ul2q[figures].

They are drawn on matplotlib's own objects, without pyplot: no state of the process's, no display.
"""

# matplotlib is optional, and takes half a second to load, so that it is imported where it is used.
# ruff: noqa: PLC0415

from __future__ import annotations

import io
import itertools
import math
import textwrap
from typing import TYPE_CHECKING

from ul2q.errors import UserError
from ul2q.util.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

FORMATS = ("png", "svg")

# Okabe and Ito's colours, which colour-blind people can tell apart, without the yellow, which is
# hard to see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

_PANEL = (3.2, 2.6)  # width and height in inches
_TITLE_WIDTH = 46  # the most characters in a line
_PIXELS_PER_INCH = 150
_MARGIN = 0.04  # inches around a panel that stands alone


class FiguresError(UserError, ValueError):
    """A figure that cannot be made."""


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


def render(figure: Figure, kind: str, *, part: Bbox | None = None) -> bytes:
    """A figure as a file's content; the same figure gives the same bytes.

    Args:
        figure: of matplotlib.
        kind: "png" or "svg".
        part: of the figure, in inches; None for all of it.
    """
    from matplotlib import rc_context

    content = io.BytesIO()
    # A file has neither a date nor random ids. Text in it stays text, which can be searched and
    # read aloud, and takes less room.
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with rc_context(
        {"svg.hashsalt": "ul2q", "svg.fonttype": "none", "font.sans-serif": "DejaVu Sans"}
    ):
        figure.savefig(
            content, format=kind, dpi=_PIXELS_PER_INCH, metadata=metadata, bbox_inches=part
        )
    return content.getvalue()


def render_panels(figure: Figure) -> list[bytes]:
    """Each panel of a figure, with its title, labels and legend, as the content of an SVG file.

    Args:
        figure: of matplotlib, laid out; its layout engine is "none".
    """
    panels = list(figure.axes)
    to_inches = figure.dpi_scale_trans.inverted()
    contents = []
    for panel in panels:
        for axes in panels:
            axes.set_visible(axes is panel)
        box = panel.get_tightbbox()
        part = None if box is None else box.transformed(to_inches).padded(_MARGIN)
        contents.append(render(figure, "svg", part=part))
    for axes in panels:
        axes.set_visible(True)
    return contents


def write_figure(figure: Figure, path: Path, *, force: bool) -> None:
    """Write a figure as PNG or SVG, by the path's suffix; whole or not at all.

    Raises:
        FiguresError, FileNotFoundError, OutputExistsError: as of `check_figure`.
    """
    check_figure(path, force=force)
    write_file(path, render(figure, path.suffix[1:].lower()), force=force)


def set_title(axes: Axes, title: str) -> None:
    """Give a panel its title, broken into lines."""
    axes.set_title(plain(textwrap.fill(title, _TITLE_WIDTH)), fontsize="small")


def plain(text: str) -> str:
    """The text so that matplotlib takes no $ for a formula and shows labels that begin with _."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def panels_in_rows(count: int) -> tuple[Figure, list[Axes]]:
    """An empty figure with so many panels, four in a row.

    Raises:
        FiguresError: matplotlib is missing.
    """
    columns = min(4, count)
    figure, grid = panel_grid(math.ceil(count / columns), columns)
    panels = list(itertools.chain.from_iterable(grid))
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def panel_grid(
    rows: int, columns: int, *, panel: tuple[float, float] = _PANEL
) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure, and its axes by rows.

    Args:
        rows: of panels.
        columns: of panels.
        panel: width and height of one, in inches.

    Raises:
        FiguresError: matplotlib is missing.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    size = (panel[0] * columns, panel[1] * rows)
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).tolist()

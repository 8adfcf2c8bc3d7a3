"""The staircases: what matplotlib's objects hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ul2q.simulation.figure import Line, Panel, staircase_figure
from ul2q.util.figures import render

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EDGES = np.linspace(-2, 2, 5)


def rows(count: int, columns: int) -> list[list[Panel]]:
    """Panels named by row and column, the second column with a line "b" more."""
    return [
        [
            Panel(
                f"{row}{column}",
                [
                    Line(label, np.arange(3.0) + row, np.arange(3.0) * column)
                    for label in ("a", "b")[: 1 + (column == 1)]
                ],
            )
            for column in range(columns)
        ]
        for row in range(count)
    ]


def legend(axes: Axes) -> list[str]:
    box = axes.get_legend()
    return [text.get_text() for text in box.get_texts()] if box else []


def test_staircases() -> None:
    panels = rows(2, 3)
    drawn = staircase_figure(panels, x_label="value", y_label="quantised").axes
    assert len(drawn) == 6
    colours: dict[Any, Any] = {}
    for axes, panel in zip(drawn, [panel for row in panels for panel in row], strict=True):
        assert axes.get_title() == panel.title
        for line, wanted in zip(axes.get_lines(), panel.lines, strict=True):
            assert line.get_drawstyle() == "steps-mid"
            assert np.array_equal(line.get_xdata(), wanted.x)
            assert np.array_equal(line.get_ydata(), wanted.y)
            assert line.get_color() == colours.setdefault(wanted.label, line.get_color())
        assert legend(axes) == [line.label for line in panel.lines]
    assert len(set(colours.values())) == len(colours) == 2
    assert [axes.get_xlabel() for axes in drawn] == ["", "", ""] + 3 * ["value"]
    assert [axes.get_ylabel() for axes in drawn] == ["quantised", "", ""] * 2


def test_long_titles_are_broken() -> None:
    panel = Panel("a_folder_with_a_name/" * 5, [])
    (axes,) = staircase_figure([[panel]], x_label="", y_label="").axes
    lines = axes.get_title().splitlines()
    assert len(lines) > 1
    assert "".join(lines) == panel.title


def test_names_are_no_formulas() -> None:
    panels = [[Panel("$a$ \\frac", [Line(label, EDGES, EDGES) for label in ("$b$", "_c", "5 $")])]]
    figure = staircase_figure(panels, x_label="", y_label="")
    text = render(figure, "svg").decode()
    for name in ("$a$ \\frac", "$b$", "_c", "5 $"):
        assert f"{name}</text>" in text

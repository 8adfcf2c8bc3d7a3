"""Histograms of weights: what matplotlib's objects hold."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ul2q.models.histograms import Histogram, histogram_figure
from ul2q.util.figures import FiguresError

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EDGES = np.linspace(-2, 2, 5)
DENSITY = np.array([0.1, 0.4, 0.4, 0.1])


def legend(axes: Axes) -> list[str]:
    box = axes.get_legend()
    return [text.get_text() for text in box.get_texts()] if box else []


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (4, (1, 4)), (6, (2, 4))])
def test_histograms(count: int, shape: tuple[int, int]) -> None:
    figure = histogram_figure([Histogram(str(i), EDGES, DENSITY + i) for i in range(count)])
    assert [axes.get_title() for axes in figure.axes] == [str(i) for i in range(count)]
    for i, axes in enumerate(figure.axes):
        spec = axes.get_subplotspec()
        assert spec is not None
        assert spec.get_gridspec().get_geometry() == shape
        (stairs,) = axes.patches
        values, edges, _ = stairs.get_data()  # type: ignore[attr-defined]
        assert np.array_equal(values, DENSITY + i)
        assert np.array_equal(edges, EDGES)
        (normal,) = axes.get_lines()
        x, y = np.asarray(normal.get_xdata()), np.asarray(normal.get_ydata())
        assert (x[0], x[-1]) == (-2, 2)
        assert y[len(y) // 2] == pytest.approx(0.3989423)
        assert np.interp(1, x, y) == pytest.approx(0.2419707)
        assert not axes.collections


def test_quantised_levels_are_lines() -> None:
    levels, heights = np.array([-0.8, 0.8]), np.array([0.3, 0.35])
    (axes,) = histogram_figure([Histogram("w", EDGES, DENSITY, levels, heights)]).axes
    (lines,) = axes.collections
    segments = lines.get_segments()  # type: ignore[attr-defined]
    assert np.array_equal(segments, [[[-0.8, 0], [-0.8, 0.3]], [[0.8, 0], [0.8, 0.35]]])
    assert legend(axes) == ["weights", "N(0, 1)", "quantised"]


def test_many_levels_are_an_outline() -> None:
    levels = np.linspace(-2, 2, 64)
    (axes,) = histogram_figure([Histogram("w", EDGES, DENSITY, levels, levels**2)]).axes
    assert not axes.collections
    outline = axes.get_lines()[-1]
    assert np.array_equal(outline.get_xdata(), levels)
    assert np.array_equal(outline.get_ydata(), levels**2)


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(FiguresError, match=r"pip install 'ul2q\[figures\]'"):
        histogram_figure([Histogram("w", EDGES, DENSITY)])

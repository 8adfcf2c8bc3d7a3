"""Figures: what matplotlib's objects hold, and how they become files."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ul2q.util.figures import (
    FiguresError,
    Histogram,
    Line,
    Panel,
    check_figure,
    histogram_figure,
    render,
    require_matplotlib,
    staircase_figure,
    write_figure,
)
from ul2q.util.output_file import OutputExistsError

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EDGES = np.linspace(-2, 2, 5)
DENSITY = np.array([0.1, 0.4, 0.4, 0.1])


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


@pytest.fixture
def figure() -> Figure:
    return staircase_figure(rows(1, 2), x_label="x", y_label="y")


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


def test_names_are_no_formulas() -> None:
    panels = [[Panel("$a$ \\frac", [Line(label, EDGES, EDGES) for label in ("$b$", "_c", "5 $")])]]
    figure = staircase_figure(panels, x_label="", y_label="")
    text = render(figure, "svg").decode()
    for name in ("$a$ \\frac", "$b$", "_c", "5 $"):
        assert f"{name}</text>" in text


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_figure_gives_the_same_bytes(kind: str) -> None:
    first, second = (
        render(staircase_figure(rows(1, 2), x_label="x", y_label="y"), kind) for _ in range(2)
    )
    assert first == second
    other = render(staircase_figure(rows(1, 1), x_label="x", y_label="y"), kind)
    assert other != first


def test_a_png_has_the_panels_size(figure: Figure, tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "figure.PNG"
    write_figure(figure, path, force=False)
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert image.size == (960, 390)  # 2 × 3.2 by 2.6 inches, 150 pixels an inch
        assert len(image.convert("RGB").getcolors(1 << 20) or []) > 2


def test_nothing_is_left_to_pyplot(figure: Figure) -> None:
    render(figure, "svg")
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_a_failure_leaves_the_old_file(
    figure: Figure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "figure.svg"
    path.write_bytes(b"old")
    with pytest.raises(OutputExistsError, match=r"figure\.svg exists already"):
        write_figure(figure, path, force=False)

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            write_figure(figure, path, force=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write_figure(figure, path, force=True)
    assert b"<svg" in path.read_bytes()


@pytest.mark.parametrize("name", ["figure.pdf", "figure", "png"])
def test_other_formats_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(FiguresError, match=r"must end in \.png or \.svg"):
        check_figure(tmp_path / name, force=False)


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    wanted = r"pip install 'ul2q\[figures\]'"
    with pytest.raises(FiguresError, match=wanted):
        require_matplotlib()
    with pytest.raises(FiguresError, match=wanted):
        check_figure(tmp_path / "figure.svg", force=False)
    with pytest.raises(FiguresError, match=wanted):
        histogram_figure([Histogram("w", EDGES, DENSITY)])

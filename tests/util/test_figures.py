"""Figures: how they become files."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ul2q.util.figures import (
    FiguresError,
    check_figure,
    panel_grid,
    render,
    require_matplotlib,
    set_title,
    write_figure,
)
from ul2q.util.output_file import OutputExistsError

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure


def steps(columns: int) -> Figure:
    """Panels in a row, each with a line."""
    drawn, [row] = panel_grid(1, columns)
    for column, axes in enumerate(row):
        axes.step(np.arange(3.0), np.arange(3.0) * column)
        set_title(axes, str(column))
    return drawn


@pytest.fixture
def figure() -> Figure:
    return steps(2)


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_same_figure_gives_the_same_bytes(kind: str) -> None:
    first, second = (render(steps(2), kind) for _ in range(2))
    assert first == second
    assert render(steps(1), kind) != first


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
        panel_grid(1, 1)

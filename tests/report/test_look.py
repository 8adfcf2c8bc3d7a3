"""How the page looks, as far as its structure tells: nothing cut off, one meaning a colour."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from tests.report.report_runs import LOG, QUANTIZATION, model, write_run
from ul2q.quantizers import methods
from ul2q.report import write_report
from ul2q.report.charts import accuracy_figure, comparison_figure, training_figure
from ul2q.report.colours import NORMAL, PAPER, colour_key, colour_of
from ul2q.report.runs import read_runs
from ul2q.report.summary import summarise

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

# Axes, texts, frames and grids; black is float, too.
NEUTRAL = {"#ffffff", "#000000", "#cccccc", "#e6e6e6", "#b0b0b0"}
LONG = "a variant with a name that is rather long, by channel, clipped, and longer still"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "f", net=model(None), record={"method": "float", "bits": None})
    for method, bits in (("ul2q", 1), ("ul2q", 2), ("ternary", 2), ("clip", 4)):
        quantizer = {"method": method.upper()} | ({} if method == "ternary" else {"bits": bits})
        write_run(
            folder / f"{method}{bits}",
            net=model(quantizer),
            quantization=QUANTIZATION,
            record={
                "method": method,
                "bits": bits,
                "accuracy": 1.0,
                "variant": LONG if method == "clip" else "",
            },
        )
    return folder


def figures(runs: Path) -> list[Figure]:
    found = read_runs([runs])
    groups = summarise(found)
    drawn = [accuracy_figure(groups), comparison_figure(groups), *map(training_figure, found)]
    return [figure for figure in drawn if figure is not None]


def test_each_colour_has_one_meaning(runs: Path, tmp_path: Path) -> None:
    key = colour_key()
    meanings = {**key, "paper": PAPER, "normal": NORMAL}
    assert set(key) == {"float", *methods()}
    assert len({*meanings.values()}) == len(meanings)
    assert not ({*meanings.values()} - {key["float"]}) & NEUTRAL
    report = write_report([runs], tmp_path / "report.html")
    used_by = {name: re.compile(rf"^{name}\d-") for name in ("ul2q", "ternary", "clip")}
    for path in report.files.glob("*.svg"):
        colours = {one.lower() for one in re.findall(r"#[0-9a-fA-F]{6}\b", path.read_text())}
        known = {one.lower() for one in meanings.values()} | NEUTRAL
        assert colours <= known, path.name
        for name, pattern in used_by.items():
            if pattern.match(path.name):
                others = {
                    one.lower() for method, one in key.items() if method not in (name, "float")
                }
                assert not colours & others, path.name
    page = report.page.read_text(encoding="utf-8")
    for name in ("float", "ul2q", "ternary", "clip"):
        assert re.search(rf'fill="{colour_of(name)}"/></svg> {name}</li>', page)


def test_tables_and_figures_scroll_where_they_are_too_wide(runs: Path, tmp_path: Path) -> None:
    page = write_report([runs], tmp_path / "report.html").page.read_text(encoding="utf-8")
    for tag in ("<table", '<svg role="img"'):
        places = [match.start() for match in re.finditer(re.escape(tag), page)]
        assert places
        for place in places:
            assert page[:place].rstrip().endswith('<div class="wide">')
    rule = re.search(r"^\.wide \{(.*?)\}", page, re.MULTILINE | re.DOTALL)
    assert rule is not None
    assert "overflow-x: auto" in rule[1]
    assert rule[1].count("local") == rule[1].count("scroll;") + rule[1].count("scroll,") == 2
    # Each panel fits on a telephone of 390 pixels, between margins of 16; they wrap.
    widths = re.findall(r'<svg role="img"[^>]*min-width:(\d+)px', page)
    assert len(widths) > page.count("<figure>") > 0
    assert max(map(int, widths)) <= 390 - 2 * 16
    assert page.count('<figure><div class="panels">') == page.count("<figure>")
    wraps = re.search(r"^\.panels \{(.*?)\}", page, re.MULTILINE)
    assert wraps is not None
    assert "flex-wrap: wrap" in wraps[1]


def test_texts_and_legends_are_within_the_drawing(runs: Path) -> None:
    for figure in figures(runs):
        figure.draw_without_rendering()
        width, height = figure.bbox.width, figure.bbox.height
        for axes in figure.axes:
            legend = axes.get_legend()
            places = (axes.title, axes.xaxis.label, axes.yaxis.label)
            texts = [one for one in places if one.get_text()]
            for one in [*texts, *([legend] if legend else [])]:
                box = one.get_window_extent()
                assert box.x0 >= -1
                assert box.y0 >= -1
                assert box.x1 <= width + 1
                assert box.y1 <= height + 1


def test_the_svg_files_have_their_texts_in_the_view_box(runs: Path, tmp_path: Path) -> None:
    report = write_report([runs], tmp_path / "report.html")
    for path in report.files.glob("*.svg"):
        root = ET.parse(path).getroot()
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for text in root.iter("{http://www.w3.org/2000/svg}text"):
            place = re.search(r"translate\(([\d.-]+) ([\d.-]+)\)", text.get("transform", ""))
            x, y = place.groups() if place else (text.get("x", "0"), text.get("y", "0"))
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height


def test_axes_of_accuracy_end_at_100(runs: Path) -> None:
    seen = 0
    for figure in figures(runs):
        for axes in figure.axes:
            if axes.get_ylabel() == "test accuracy, %":
                lowest, highest = axes.get_ylim()
                assert 0 <= lowest < highest <= 100
                # What lies on the edge is drawn whole.
                assert not any(line.get_clip_on() for line in axes.get_lines()
                               if line.get_marker() not in (None, "None"))  # fmt: skip
                seen += 1
    assert seen == 7


def test_a_series_of_one_point_has_a_marker(tmp_path: Path) -> None:
    head = LOG.splitlines()[0]
    write_run(
        tmp_path / "run",
        log=f"{head}\n20,2.0,0.01,0.75,0.5,1.25\n",
        quantization="\n".join(QUANTIZATION.splitlines()[:2]) + "\n",
        solver="max_iter: 20",
    )
    found = read_runs([tmp_path])
    for figure in (training_figure(found[0]), comparison_figure(summarise(found))):
        assert figure is not None
        for axes in figure.axes:
            for line in axes.get_lines():
                if len(line.get_xdata()) == 1:  # type: ignore[arg-type]
                    assert line.get_marker() not in (None, "None", "")
    first = training_figure(found[0])
    assert first is not None
    assert [len(line.get_xdata()) for line in first.axes[0].get_lines()] == [1, 1]  # type: ignore[arg-type]

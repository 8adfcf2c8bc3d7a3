"""The page and the files of a report: what they hold, and that they are whole."""

from __future__ import annotations

import csv
import re
import shlex
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from tests.report.report_runs import LOG, QUANTIZATION, model, write_run
from ul2q import cli
from ul2q.cli import report as report_command
from ul2q.report import Report, ReportError, write_report
from ul2q.report.charts import accuracy_figure, codes_figure, comparison_figure, training_figure
from ul2q.report.runs import read_runs
from ul2q.report.summary import summarise
from ul2q.runs.log import RunLogError
from ul2q.util.figures import FiguresError
from ul2q.util.output_file import OutputExistsError

pytest.importorskip("matplotlib")

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOT = Path(__file__).parents[2]
NAMES = "<b>&\"$x$ 'é"  # a run's; it is in folders, captions, legends
LAYER = "_conv<1>&$"


class Page(HTMLParser):
    """The page's text and elements; an element that is not closed, or not open, is an error."""

    VOID = ("meta", "br", "hr", "img", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data

    def rows(self, *first: str) -> list[dict[str, str]]:
        """Of the first table that begins with these headings."""
        (headings, *rows) = next(t for t in self.tables if tuple(t[0][: len(first)]) == first)
        return [dict(zip(headings, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep's folder, with runs of all kinds."""
    folder = tmp_path_factory.mktemp("runs")
    write_run(
        folder / "lenet-float-seed1",
        net=model(None),
        record={"method": "float", "bits": None, "accuracy": 0.991},
    )
    for bits, accuracy, seed in ((1, 0.98, 1), (1, 0.96, 2), (2, 0.9875, 1)):
        write_run(
            folder / f"lenet-ul2q-{bits}bit-seed{seed}",
            net=model({"bits": bits}),
            quantization=QUANTIZATION,
            record={"bits": bits, "accuracy": accuracy, "seed": seed},
        )
    write_run(
        folder / NAMES,
        net=model({"bits": 4}, conv=LAYER),
        quantization=QUANTIZATION.replace("conv[", f"{LAYER}["),
        record={"bits": 4, "variant": "<i>$", "accuracy": 0.5},
    )
    for status in ("waiting", "running", "failed", "stopped"):
        write_run(
            folder / f"lenet-{status}",
            log=None if status == "waiting" else LOG[: LOG.index("20,")] + "20,1.9",
            record={
                "status": status,
                "bits": 8,
                "accuracy": None,
                "loss": None,
                "error": "the <disk> is full" if status == "failed" else None,
            },
        )
    return folder


@pytest.fixture(scope="module")
def report(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return write_report([runs], tmp_path_factory.mktemp("out") / "report.html")


@pytest.fixture(scope="module")
def page(report: Report) -> Page:
    return Page(report.page.read_text(encoding="utf-8"))


def test_the_page_is_whole_and_needs_nothing_else(report: Report, page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "img", "iframe", "object")
        for name, value in attributes.items():
            assert name not in ("src", "srcset", "data")
            if name.endswith("href"):
                assert str(value).startswith("#")
                assert str(value)[1:] in ids
            for target in re.findall(r"url\(([^)]*)\)", str(value)):
                assert target[1:] in ids
    text = report.page.read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[\w./]+", text)) == {
        "http://www.w3.org/1999/xlink",
        "http://www.w3.org/2000/svg",
    }
    assert "@import" not in text


def test_what_runs_are_called_is_only_text(page: Page) -> None:
    assert not [tag for tag, _ in page.elements if tag in ("b", "i", "disk")]
    assert NAMES in page.texts
    labels = [
        attributes.get("aria-label") or "" for tag, attributes in page.elements if tag == "svg"
    ]
    # Three panels of training, and for each of two layers one of weights and one of codes.
    assert sum(NAMES in label for label in labels) == 3 + 2 * 2
    # In legends and titles, too.
    assert "ul2q 4 bit, <i>$" in page.texts
    assert any(text.strip() == f"{LAYER}[0]" for text in page.texts)
    assert any(f"{LAYER}[0] 6×4×3×3" in text for text in page.texts)


def test_the_tables(page: Page, report: Report) -> None:
    summary = page.rows("net", "method")
    assert summary[0] == {
        "net": "lenet",
        "method": "float",
        "bits": "",
        "variant": "",
        "data": "mnist",
        "runs": "1",
        "accuracy, %": "99.10",
        "lowest to highest": "",
        "less float": "",
        "paper, %": "99.10",
        "less paper": "+0.00",
    }
    assert summary[1]["accuracy, %"] == "97.00 ± 1.41"
    assert summary[1]["lowest to highest"] == "96.00 to 98.00"
    assert (summary[1]["less float"], summary[1]["less paper"]) == ("−2.10", "−2.06")
    (unfinished,) = (row for row in summary if row["bits"] == "8")
    assert (unfinished["runs"], unfinished["accuracy, %"]) == ("0 of 4 finished", "")
    states = {row["run"]: row["state"] for row in page.rows("run", "state")}
    assert len(states) == len(report.runs) == 9
    assert states["lenet-failed"] == "failed"
    assert states["lenet-running"] == "running, or killed"
    assert ", 10 of 30 iterations: the <disk> is full" in page.texts
    with (report.files / "runs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == list(states)
    for shown, row in zip(page.rows("run", "state"), rows, strict=True):
        wanted = f"{100 * float(row['accuracy']):.2f}" if row["accuracy"] else ""
        assert shown["accuracy, %"] == wanted
    paper = {row["method"]: row for row in page.rows("net", "data")}
    assert (paper["μL2Q"]["2 bit"], paper["FP"]["2 bit"]) == ("99.12", "98.90")
    assert paper["float"]["accuracy, %"] == "99.10"
    layers = page.rows("weights", "shape")  # the float run's
    assert [row["weights"] for row in layers] == ["conv[0]", "ip[0]"]
    assert all(row["quantised"] == "float" for row in layers)


def test_the_files(report: Report) -> None:
    names = sorted(path.name for path in report.files.iterdir())
    figures = {
        *("lenet-accuracy", "lenet-training", "lenet-float-seed1-training"),
        *("lenet-float-seed1-weights", "_b_x_-training", "_b_x_-weights", "_b_x_-codes"),
    }
    assert {f"{name}.{kind}" for name in figures for kind in ("png", "svg")} <= set(names)
    assert {name for name in names if name.endswith(".csv")} == {
        *("codes.csv", "layers.csv", "paper.csv", "runs.csv", "summary.csv")
    }
    for path in report.files.iterdir():
        if path.suffix == ".svg":
            assert ET.parse(path).getroot().tag.endswith("svg")
        elif path.suffix == ".png":
            with Image.open(path) as image:
                image.load()
        assert path.with_suffix(".svg").exists() or path.suffix == ".csv"


def test_the_same_runs_give_the_same_bytes(runs: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, again = (
        write_report([runs / NAMES], tmp_path / name / "report.html") for name in ("a", "b")
    )
    assert again.page.read_bytes() == first.page.read_bytes()
    for path in first.files.iterdir():
        assert (again.files / path.name).read_bytes() == path.read_bytes()


def lines(axes: Axes) -> dict[str, tuple[list[float], list[float]]]:
    return {
        str(line.get_label()): (list(np.asarray(line.get_xdata(), float)),
                                list(np.asarray(line.get_ydata(), float)))
        for line in axes.get_lines()
    }  # fmt: skip


def test_accuracy_against_bits(runs: Path) -> None:
    figure = accuracy_figure(summarise(read_runs([runs])))
    assert figure is not None
    (axes,) = figure.axes
    drawn = lines(axes)
    bits, accuracies = drawn["ul2q"]
    assert accuracies == pytest.approx([97, 98.75])
    assert bits == pytest.approx([1, 2], rel=0.05)
    assert drawn[r"ul2q, <i>\$"][1] == [50]
    assert drawn["float"][1] == pytest.approx([99.1, 99.1])
    assert drawn["paper: μL2Q, LeNet-5 on MNIST"] == (
        [1, 2, 4, 8, 16],
        [99.06, 99.12, 99.12, 99.16, 99.14],
    )
    assert drawn["paper: float"][1] == [99.10, 99.10]
    spans = [np.array(one.get_segments())[0, :, 1] for one in axes.collections]  # type: ignore[attr-defined]
    assert any(span == pytest.approx([96, 98]) for span in spans)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "4", "8", "16"]


def test_training_curves(runs: Path) -> None:
    (run,) = (one for one in read_runs([runs]) if one.name == "lenet-ul2q-2bit-seed1")
    figure = training_figure(run)
    assert figure is not None
    losses, accuracies, quantization = map(lines, figure.axes)
    assert losses["train"] == ([0, 10, 20, 30], [2.5, 1.5, 0.75, 0.5])
    assert losses["test_loss"] == ([20, 30], [1.25, 0.875])
    assert accuracies["test_accuracy"] == ([20, 30], [50, 98.75])
    assert quantization["conv[0]"] == ([0, 10, 20], [0.02, 0.03, 0.04])
    assert quantization["act"] == ([10, 20], [0.001, 0.002])
    # The rate falls at 20.
    assert all([20, 20] in [x for x, _ in drawn.values()] for drawn in (losses, accuracies))


def test_a_net_without_an_accuracy_has_its_losses_alone(tmp_path: Path) -> None:
    """And a legend, on its only panel."""
    write_run(tmp_path / "run", log=LOG.replace("test_accuracy", "test_hits"))
    runs = read_runs([tmp_path])
    figure = comparison_figure(summarise(runs))
    assert figure is not None
    (losses,) = figure.axes
    assert lines(losses)["float"] == ([0, 10, 20, 30], [2.5, 1.5, 0.75, 0.5])
    legend = losses.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["float"]
    training = training_figure(runs[0])
    assert training is not None
    assert len(training.axes) == 1


def test_long_logs_are_thinned_out(tmp_path: Path) -> None:
    head, first = LOG.splitlines()[:2]
    rows = [f"{i},{i},0.1,{2 + i % 2},," for i in range(1, 8001)]
    write_run(tmp_path / "run", log="\n".join([head, first, *rows, ""]))
    runs = read_runs([tmp_path])
    for figure in (training_figure(runs[0]), comparison_figure(summarise(runs))):
        assert figure is not None
        x, y = next(iter(lines(figure.axes[0]).values()))
        assert len(x) == len(y) <= 400
        assert np.mean(x) == pytest.approx(4000, rel=1e-3)
        assert y[1:] == pytest.approx([2.5] * (len(y) - 1), abs=0.03)


def test_codes(tmp_path: Path) -> None:
    (run,) = read_runs([write_run(tmp_path / "run", net=model({"method": "BINARY"}))])
    figure = codes_figure(run)
    assert figure is not None
    first, last = figure.axes
    weights = np.array(model(None).layer[0].blobs[0].data)
    negative = 100 * float(np.mean(weights < 0))
    assert [bar.get_height() for bar in first.patches] == pytest.approx([negative, 100 - negative])  # type: ignore[attr-defined]
    assert list(first.get_xticks()) == [-1, 1]
    heights, edges, _ = last.patches[0].get_data()  # type: ignore[attr-defined]
    assert (len(heights), edges[0], edges[-1]) == (256, -127.5, 128.5)
    assert heights.sum() == pytest.approx(100)


def test_wide_codes_are_gathered(tmp_path: Path) -> None:
    (run,) = read_runs([write_run(tmp_path / "run", net=model({"bits": 16}))])
    figure = codes_figure(run)
    assert figure is not None
    heights, edges, _ = figure.axes[0].patches[0].get_data()  # type: ignore[attr-defined]
    assert (len(heights), edges[0], edges[-1]) == (256, 0.5 - 2**15, 0.5 + 2**15)
    assert heights.sum() == pytest.approx(100)


def test_a_run_without_anything_to_draw(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "new", log=LOG.splitlines()[0] + "\n")
    result = write_report([tmp_path / "runs"], tmp_path / "report.html")
    page = Page(result.page.read_text(encoding="utf-8"))
    assert "svg" not in [tag for tag, _ in page.elements]
    assert "Log.csv has no rows yet." in page.texts
    assert sorted(path.suffix for path in result.files.iterdir()) == [".csv"] * 5


def test_names_that_differ_by_nothing_that_can_be_shown(tmp_path: Path) -> None:
    for name in ("a b", "A*b", "c\1", "c\2"):
        write_run(tmp_path / "runs" / name)
    result = write_report([tmp_path / "runs"], tmp_path / "report.html")
    page = Page(result.page.read_text(encoding="utf-8"))
    assert {attributes.get("id") for tag, attributes in page.elements if tag == "h3"} >= {
        *(f"run-{i}" for i in (1, 2, 3, 4))
    }
    names = {path.name for path in result.files.glob("*.svg")}
    assert {"A_b-training.svg", "a_b-training-2.svg", "c_-training-2.svg"} <= names


def test_what_is_there_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "runs" / "one")
    page, files = tmp_path / "report.html", tmp_path / "report_files"
    page.write_text("mine")
    with pytest.raises(OutputExistsError, match=r"report\.html exists already"):
        write_report([tmp_path / "runs"], page)
    page.unlink()
    for name in ("report.pdf", "report"):
        with pytest.raises(ReportError, match=rf"{name}: .* must end in \.html"):
            write_report([tmp_path / "runs"], tmp_path / name)
    files.mkdir()
    (files / "mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match=r"report_files exists already"):
        write_report([tmp_path / "runs"], page)
    with pytest.raises(FileNotFoundError, match=r"no such folder"):
        write_report([tmp_path / "runs"], tmp_path / "no" / "report.html")
    assert not page.exists()
    write_report([tmp_path / "runs"], page, force=True)
    assert (files / "mine.txt").read_text() == "mine"
    old = page.read_bytes()
    (tmp_path / "runs" / "one" / "log.csv").write_text("damaged\n")
    with pytest.raises(RunLogError, match=r"log\.csv:1"):
        write_report([tmp_path / "runs"], page, force=True)
    assert page.read_bytes() == old
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(FiguresError, match=r"pip install 'ul2q\[figures\]'"):
        write_report([tmp_path / "runs"], page, force=True)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path / "runs" / "one", quantization=QUANTIZATION)
    page, files = tmp_path / "page.html", tmp_path / "figures"
    command = ["report", str(tmp_path / "runs"), "-o", str(page), "--files", str(files)]
    assert cli.main(command) == 0
    assert capsys.readouterr().out.splitlines() == [
        "runs: 1",
        "one: there is no .caffemodel: no histograms, no codes",
        f"figures and tables: {files}",
        f"page: {page}",
    ]
    assert page.is_file()
    assert cli.main(command) == 1
    assert "page.html exists already" in capsys.readouterr().err
    assert cli.main([*command, "--force"]) == 0


@pytest.mark.parametrize(
    "command",
    [
        line.strip()
        for line in (ROOT / "docs" / "report.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("    ul2q report ")
    ],
)
def test_the_commands_in_the_docs(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []
    monkeypatch.setattr(report_command, "run", called.append)
    assert cli.main(shlex.split(command, comments=True)[1:]) == 0
    assert len(called) == 1

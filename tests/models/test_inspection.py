"""The description of a model's blobs, against NumPy and SciPy."""

from __future__ import annotations

import csv
import itertools
import math
import sys
from dataclasses import astuple
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from caffe.proto import caffe_pb2
from scipy import stats

from tests import reference
from ul2q import cli
from ul2q.models.caffemodel import ModelBlob, WeightsError
from ul2q.models.histograms import model_figure
from ul2q.models.inspection import describe, inspect_model
from ul2q.util.figures import FiguresError
from ul2q.util.output_file import OutputExistsError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RANDOM = np.random.default_rng(7)
BLOBS: dict[str, NDArray[Any]] = {
    "normal": RANDOM.normal(0.02, 0.1, (20, 5, 5, 5)).astype(np.float32),
    "laplace": RANDOM.laplace(-3, 0.5, (50, 40)).astype(np.float32),
    "skewed": RANDOM.exponential(2, 1000),
    "two values": np.array([[-1.0, 1.0, 1.0]], np.float32),
    "with ties": np.repeat(RANDOM.normal(size=40), 5).astype(np.float32),
    "far from 0": RANDOM.normal(1e4, 1, 500).astype(np.float32),
    "with a far one": np.append(RANDOM.normal(size=500), 1e3).astype(np.float32),
    "tiny": (1e-30 * RANDOM.normal(size=300)).astype(np.float32),
}


def blob(values: NDArray[Any], name: str = "l", index: int = 0) -> ModelBlob:
    return ModelBlob(name, "InnerProduct", index, values)


def write_model(path: Path, **blobs: list[NDArray[Any]]) -> Path:
    net = caffe_pb2.NetParameter()
    for name, held in blobs.items():
        layer = net.layer.add(name=name, type="InnerProduct")
        for values in held:
            layer.blobs.add(shape={"dim": values.shape}, data=values.ravel())
    path.write_bytes(net.SerializeToString())
    return path


@pytest.mark.parametrize("name", BLOBS)
def test_moments_and_distance(name: str) -> None:
    values = BLOBS[name]
    row = describe(blob(values))
    exact = values.ravel().astype(np.float64)
    assert (row.layer, row.type, row.blob) == ("l", "InnerProduct", 0)
    assert (row.shape, row.count) == (values.shape, values.size)
    assert row.mean == pytest.approx(exact.mean(), rel=1e-12)
    assert row.sigma == pytest.approx(exact.std(), rel=1e-9)
    assert row.skew == pytest.approx(stats.skew(exact), abs=1e-7)
    assert row.kurtosis == pytest.approx(stats.kurtosis(exact), rel=1e-7, abs=1e-7)
    distance = stats.kstest(exact, stats.norm(exact.mean(), exact.std()).cdf).statistic
    assert row.ks_distance == pytest.approx(distance, abs=1e-7)


@pytest.mark.parametrize("name", BLOBS)
def test_losses(name: str) -> None:
    values = BLOBS[name]
    row = describe(blob(values))
    assert row.losses is not None
    assert len(row.losses) == 8
    exact = values.astype(np.float64)
    for bits, share in enumerate(row.losses, start=1):
        quantised = reference.quantize(values, reference.Options(bits=bits)).astype(np.float64)
        assert share == pytest.approx(np.mean((quantised - exact) ** 2) / exact.var(), rel=1e-5)


def test_a_large_normal_blob_loses_what_theory_says() -> None:
    row = describe(blob(np.random.default_rng(1).normal(9, 6, 400_000)))
    assert row.losses is not None
    for bits, share in enumerate(row.losses[:4], start=1):
        expected = reference.normal_loss(reference.optimal_step(bits), bits)
        assert share == pytest.approx(expected, rel=0.02)
    assert row.ks_distance is not None
    assert row.ks_distance < 1 / math.sqrt(400_000)


@pytest.mark.parametrize(
    ("values", "mean", "sigma"),
    [
        (np.zeros((0, 3), np.float32), None, None),
        (np.full((7, 3), 0.1, np.float32), float(np.float32(0.1)), 0),
        (np.array([5.0]), 5, 0),
        (np.array(2.0), 2, 0),
    ],
)
def test_blobs_without_a_distribution(
    values: NDArray[Any], mean: float | None, sigma: float | None
) -> None:
    row = describe(blob(values))
    assert astuple(row)[3:] == (values.shape, values.size, mean, sigma, None, None, None, None)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.nan, r"net.caffemodel: blob l\[1\] holds (a )?NaN"),
        (np.inf, r"blob l\[1\] holds an infinite value"),
        (3e38, r"blob l\[1\] holds values so large"),
    ],
)
def test_values_that_no_layer_takes(bad: float, message: str, tmp_path: Path) -> None:
    values = np.array([1, bad, -bad])
    path = write_model(tmp_path / "net.caffemodel", l=[np.ones(3), values])
    with pytest.raises(WeightsError, match=message):
        inspect_model(path)


def test_the_figures_data() -> None:
    pytest.importorskip("matplotlib")
    weights = BLOBS["normal"]
    blobs = [
        blob(weights, "conv"),
        blob(np.arange(20.0), "conv", 1),
        blob(np.arange(20.0).reshape(1, 1, 1, 20), "old bias", 1),
        blob(np.ones((4, 5)), "constant"),
        blob(np.zeros((0, 5)), "empty"),
        blob(np.array(1.0), "scalar"),
        blob(BLOBS["laplace"], "ip"),
    ]
    axes, second = model_figure(blobs, 2).axes
    assert [a.get_title() for a in (axes, second)] == ["conv[0] 20×5×5×5", "ip[0] 50×40"]
    z = (weights.ravel().astype(np.float64) - weights.mean()) / weights.std()
    density, edges, _ = axes.patches[0].get_data()  # type: ignore[attr-defined]
    assert np.all(np.diff(edges) > 0)
    counts = np.array([np.sum((z >= low) & (z < high)) for low, high in itertools.pairwise(edges)])
    assert density == pytest.approx(counts / (z.size * np.diff(edges)), rel=1e-6)
    # Four levels of a step λ: with each its share of the weights, by the bounds between them.
    step = reference.optimal_step(2)
    cells = np.histogram(z, [-np.inf, -step, 0, step, np.inf])[0]
    segments = np.array(axes.collections[0].get_segments())  # type: ignore[attr-defined]
    assert segments[:, 1, 0] == pytest.approx(step * np.array([-1.5, -0.5, 0.5, 1.5]), abs=1e-5)
    assert segments[:, 1, 1] == pytest.approx(cells / (z.size * step), rel=1e-5)
    assert not model_figure(blobs).axes[0].collections


def test_a_model_of_vectors_has_no_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = write_model(tmp_path / "net.caffemodel", bn=[np.arange(5.0)])
    with pytest.raises(FiguresError, match=r"net.caffemodel: no weights to draw"):
        inspect_model(path, figure=tmp_path / "figure.svg")
    assert not (tmp_path / "figure.svg").exists()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    ip = [BLOBS["normal"].reshape(50, 50), np.zeros(50)]
    return write_model(tmp_path / "net.caffemodel", ip=ip, other=[BLOBS["laplace"]])


def test_the_command(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    figure, table = model.with_name("figure.svg"), model.with_name("table.csv")
    options = ["--figure", str(figure), "--bits", "3", "--csv", str(table)]
    assert cli.main(["inspect", str(model), *options]) == 0
    described, sized = capsys.readouterr().out.split("\n\n")
    lines = described.splitlines()
    *sizes, figure_line, table_line = sized.splitlines()
    assert [line.split()[0] for line in sizes] == ["layer", "ip", "other", "all"]
    assert (figure_line, table_line) == (f"figure: {figure}", f"table: {table}")
    assert b"<svg" in figure.read_bytes()
    rows = inspect_model(model)
    with table.open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert lines[0].split() == [
        *("layer", "type", "blob", "shape", "count", "mean", "sigma", "skew", "kurtosis", "KS"),
        *("1", "bit", *(word for bits in "2345678" for word in (bits, "bits"))),
    ]
    assert len(written) == len(rows) == len(lines) - 1 == 3
    for line, record, row in zip(lines[1:], written, rows, strict=True):
        cells = line.split()
        assert cells[:3] == [record["layer"], record["type"], record["blob"]]
        assert cells[3].replace("×", "x") == record["shape"] == "x".join(map(str, row.shape))
        assert cells[4] == record["count"] == str(row.count)
        figures = [row.mean, row.sigma, row.skew, row.kurtosis, row.ks_distance]
        figures += row.losses or [None] * 8
        assert [float(cell) if cell else None for cell in list(record.values())[5:]] == figures
        assert cells[5:] == [f"{number:.3g}" for number in figures if number is not None]


def test_bits_are_of_a_figure(model: Path) -> None:
    with pytest.raises(FiguresError, match="give --figure"):
        inspect_model(model, bits=2)
    for bits in (0, 17):
        with pytest.raises(FiguresError, match=f"bits is {bits}; must be an integer, 1 to 16"):
            inspect_model(model, figure=model.with_name("f.svg"), bits=bits)


@pytest.mark.parametrize("option", ["figure", "csv"])
def test_files_are_not_replaced_unasked(model: Path, option: str) -> None:
    pytest.importorskip("matplotlib")
    path = model.with_name("old.svg")
    path.write_bytes(b"mine")
    arguments: dict[str, Any] = {option: path}
    with pytest.raises(OutputExistsError, match=r"old\.svg exists already"):
        inspect_model(model, **arguments)
    assert path.read_bytes() == b"mine"
    inspect_model(model, **arguments, force=True)
    assert path.read_bytes() != b"mine"
    with pytest.raises(FiguresError, match="cannot be both"):
        inspect_model(model, figure=path, csv=path, force=True)


def test_the_table_needs_no_matplotlib(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert len(inspect_model(model)) == 3
    with pytest.raises(FiguresError, match=r"pip install 'ul2q\[figures\]'"):
        inspect_model(model, figure=model.with_name("figure.svg"))

"""The simulation against theory, against the tests' own methods, and as a command."""

from __future__ import annotations

import csv
import math
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests import reference
from ul2q import cli, methods
from ul2q.cli import inspect as inspect_command
from ul2q.cli import simulate as simulate_command
from ul2q.models.caffemodel import WeightsError
from ul2q.simulation import Outcome, Simulation, SimulationError, run, simulate
from ul2q.simulation.figure import staircases
from ul2q.simulation.settings import DISTRIBUTIONS
from ul2q.simulation.tables import loss_table
from ul2q.util.figures import FiguresError
from ul2q.util.output_file import OutputExistsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "simulation.md").read_text(encoding="utf-8")
TABLE_I_LOSSES = (0.3625, 0.1189, 0.0374, 0.0115, 0.0035, 0.0010, 0.0003, 0.0001)

# E|z| of z with mean 0 and variance 1.
MEAN_MAGNITUDES = {
    "normal": math.sqrt(2 / math.pi),
    "laplace": 1 / math.sqrt(2),
    "uniform": math.sqrt(3) / 2,
}


@pytest.fixture(scope="module")
def weights() -> NDArray[np.float32]:
    random = np.random.default_rng(3)
    return random.normal(0.01, 0.1, (4, 3, 5, 5)).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path, weights: NDArray[np.float32]) -> Path:
    net = caffe_pb2.NetParameter()
    for name, values in (
        ("conv/1", weights),
        ("ones", np.ones(4)),
        ("nan", np.array([1, np.nan])),
        ("none", np.ones(0)),
    ):
        blob = caffe_pb2.BlobProto(shape={"dim": values.shape}, data=values.ravel())
        net.layer.add(name=name, type="Convolution", blobs=[blob, blob])
    path = tmp_path / "net.caffemodel"
    path.write_bytes(net.SerializeToString())
    return path


def shares(outcomes: tuple[Outcome, ...]) -> dict[tuple[str, str, int], float]:
    return {(o.data, o.method, o.bits): o.share for o in outcomes}


def test_normal_data_lose_what_the_paper_says() -> None:
    bits = range(1, 9)
    outcomes = simulate(Simulation(methods=("ul2q",), bits=bits, data=("normal",)))
    for outcome, paper in zip(outcomes, TABLE_I_LOSSES, strict=True):
        # The last digit that the paper prints, and what a million samples leave open.
        assert outcome.share == pytest.approx(paper, abs=5e-5, rel=0.02)
        assert outcome.loss == pytest.approx(outcome.share * 36, rel=0.02)


@pytest.mark.parametrize("data", DISTRIBUTIONS)
def test_one_bit_loses_what_theory_says(data: str) -> None:
    (outcome,) = simulate(
        Simulation(methods=("ul2q",), bits=(1,), data=(data,), mean=-3, sigma=0.5, samples=400_000)
    )
    step = math.sqrt(8 / math.pi)
    share = 1 - step * MEAN_MAGNITUDES[data] + step**2 / 4
    assert outcome.share == pytest.approx(share, rel=0.01)
    assert outcome.loss == pytest.approx(share * 0.25, rel=0.01)
    assert outcome.raw.mean() == pytest.approx(-3, abs=2)


@pytest.mark.parametrize("method", methods())
def test_a_layers_weights_against_the_methods_by_definition(
    method: str, model: Path, weights: NDArray[np.float32]
) -> None:
    data = f"{model}:conv/1"
    outcomes = simulate(Simulation(methods=(method,), bits=(4, 3), data=(data,)))
    width = reference.DEFINITIONS[method].width
    assert [outcome.bits for outcome in outcomes] == ([width] if width else [3, 4])
    for outcome in outcomes:
        w = np.sort(weights, axis=None)
        values = reference.quantize(w, reference.Options(method, outcome.bits))
        loss = np.mean((values.astype(np.float64) - w) ** 2)
        assert (outcome.data, outcome.method) == (data, method)
        assert outcome.loss == pytest.approx(loss, rel=1e-6)
        assert outcome.share == pytest.approx(loss / np.var(w, dtype=np.float64), rel=1e-6)
        # Each level's first and last value.
        levels = np.unique(values)
        ends = [
            (end, level)
            for level in levels
            for end in sorted({w[values == level].min(), w[values == level].max()})
        ]
        assert list(zip(outcome.raw, outcome.quantised, strict=True)) == ends


def test_the_seed_and_what_else_is_asked_for_decide_alone() -> None:
    small = {"samples": 1000, "methods": ("ul2q",), "bits": (2,)}
    first = shares(simulate(Simulation(**small)))  # type: ignore[arg-type]
    assert shares(simulate(Simulation(**small, data=("uniform",)))).items() <= first.items()  # type: ignore[arg-type]
    other = shares(simulate(Simulation(**small, seed=2)))  # type: ignore[arg-type]
    assert all(other[key] != share for key, share in first.items())


BAD: list[tuple[dict[str, Any], str]] = [
    ({"methods": ("ul2q", "octal")}, "'octal': must be one of binary, clip"),
    ({"methods": ()}, r"methods is \(\); must be a list"),
    ({"methods": "ul2q"}, "methods is 'ul2q'; must be a list"),
    ({"bits": (2, 0)}, "bits is 0; must be an integer, 1 to 16"),
    ({"bits": (17,)}, "bits is 17"),
    ({"bits": (2.0,)}, "bits is 2.0"),
    ({"bits": (True,)}, "bits is True"),
    ({"data": ("cauchy",)}, "'cauchy': must be normal, laplace, uniform or MODEL.caffemodel:LAYER"),
    ({"data": ("x.caffemodel",)}, "must be normal"),
    ({"data": ("x.caffemodel:",)}, "must be normal"),
    ({"data": (".caffemodel:x",)}, "must be normal"),
    ({"mean": math.nan}, "mean is nan"),
    ({"sigma": 0.0}, "sigma is 0.0; must be a finite number above 0"),
    ({"sigma": math.inf}, "sigma is inf"),
    ({"samples": 1}, "samples is 1"),
    ({"seed": -1}, "seed is -1"),
]


@pytest.mark.parametrize(("options", "message"), BAD)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        Simulation(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": 1e200}, "normal: .* overflow"),
        ({"mean": 1e30, "sigma": 1.0}, "normal: all values are equal"),
    ],
)
def test_data_that_cannot_be_compared(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        simulate(Simulation(samples=10, **options))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("conv1", r"net\.caffemodel has no weights for layer 'conv1'; it holds 'conv/1', 'ones'"),
        ("ones", "ones: all values are equal"),
        ("nan", "layer 'nan' has NaN or infinite weights"),
        ("none", "layer 'none' has no weights"),
    ],
)
def test_layers_that_cannot_be_compared(model: Path, layer: str, message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        simulate(Simulation(data=(f"{model}:{layer}",)))


def test_models_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "bad.caffemodel"
    simulation = Simulation(data=(f"{path}:ip",))
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        simulate(simulation)
    path.write_bytes(b"no model")
    with pytest.raises(WeightsError, match=r"damaged or no \.caffemodel"):
        simulate(simulation)


def test_the_table_for_people() -> None:
    none = np.empty(0)
    outcomes = [
        Outcome("a", "ul2q", 1, 13.08123, 0.36344, none, none),
        Outcome("a", "ul2q", 8, 0.003123456, 0.0000876543, none, none),
        Outcome("a", "binary", 1, 29.0, 0.8, none, none),
    ]
    assert loss_table(outcomes) == (
        ["data", "method", "1 bit", "8 bits"],
        [
            ["a", "ul2q", "13.08 (0.3634)", "0.003123 (8.765e-05)"],
            ["a", "binary", "29 (0.8)", ""],
        ],
    )


def test_the_figure_has_a_panel_for_data_and_width(model: Path) -> None:
    pytest.importorskip("matplotlib")
    data = ("normal", f"{model}:conv/1")
    outcomes = simulate(Simulation(bits=(4,), data=data, samples=500))
    panels = staircases(outcomes).axes
    assert [panel.get_title() for panel in panels] == [
        f"{name}, {bits}"
        for name in ("normal", "net.caffemodel:conv/1")
        for bits in ("1 bit", "2 bits", "4 bits")
    ]
    drawn = [
        (line.get_label(), np.array(line.get_xdata()).tolist(), np.array(line.get_ydata()).tolist())
        for panel in panels
        for line in panel.get_lines()
    ]
    by_panel = sorted(outcomes, key=lambda o: (data.index(o.data), o.bits))
    assert drawn == [(o.method, o.raw.tolist(), o.quantised.tolist()) for o in by_panel]


def test_the_command_writes_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    folder = tmp_path / "new" / "folder"
    command = ["simulate", "--samples", "1000", "--bits", "2", "--data", "laplace", "-o"]
    assert cli.main([*command, str(folder)]) == 0
    printed = capsys.readouterr().out
    names = ["losses.csv", "lambda.csv", "simulation.md", "staircases.png", "staircases.svg"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(names)
    assert printed.splitlines()[-5:] == [f"written: {folder / name}" for name in names]
    with (folder / "losses.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["method"], row["bits"]) for row in rows] == [
        ("ul2q", "2"), ("fixed_point", "2"), ("binary", "1"), ("ternary", "2")
    ]  # fmt: skip
    text = (folder / "simulation.md").read_text(encoding="utf-8")
    for row in rows:
        cell = f"{float(row['loss']):.4g} ({float(row['share_of_variance']):.4g})"
        assert cell in printed
        assert cell in text
    with (folder / "lambda.csv").open(newline="", encoding="utf-8") as file:
        assert [float(row["paper"]) for row in csv.DictReader(file)] == list(reference.PAPER_STEPS)
    assert (folder / "staircases.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (folder / "staircases.svg").read_bytes()


def test_files_are_not_replaced_unasked(tmp_path: Path) -> None:
    (tmp_path / "lambda.csv").write_bytes(b"mine")
    simulation = Simulation(samples=10)
    with pytest.raises(OutputExistsError, match=r"lambda\.csv exists already"):
        run(simulation, tmp_path, figures=False)
    assert [path.name for path in tmp_path.iterdir()] == ["lambda.csv"]
    run(simulation, tmp_path, figures=False, force=True)
    assert (tmp_path / "lambda.csv").read_bytes().startswith(b"bits,paper")


def test_tables_need_no_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    simulation = Simulation(samples=10)
    assert run(simulation).paths == ()
    with pytest.raises(FiguresError, match=r"pip install 'ul2q\[figures\]'"):
        run(simulation, tmp_path)
    assert list(tmp_path.iterdir()) == []
    names = [path.name for path in run(simulation, tmp_path, figures=False).paths]
    assert names == ["losses.csv", "lambda.csv", "simulation.md"]


def test_the_committed_table_is_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["simulate"]) == 0
    printed = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    committed = [
        [cell for cell in line.strip("| ").split(" | ") if cell.strip()]
        for line in (DOCS / "results" / "simulation.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and "---" not in line and ".caffemodel" not in line
    ]
    printed = [[cell for cell in line if cell] for line in printed if line != [""]]
    assert committed == printed


@pytest.mark.parametrize(
    "command",
    re.findall(r"^    ul2q (.+)$", PAGE, re.MULTILINE),
)
def test_the_documented_commands_are_ones_that_ul2q_takes(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[object] = []
    for command_file in (simulate_command, inspect_command):
        monkeypatch.setattr(command_file, "run", called.append)
    assert cli.main(shlex.split(command)) == 0
    assert len(called) == 1

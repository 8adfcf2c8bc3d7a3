"""The paper's comparison of methods on simulated data, and on real weights.

Gong et al., IJCNN 2019, draw the quantised value against the value for normally distributed data
of mean 9 and standard deviation 6, and name each method's L2 loss.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np

from ul2q.errors import UserError
from ul2q.figures import FORMATS, Line, Panel, render, require_matplotlib, staircase_figure
from ul2q.lambda_table import lambda_table
from ul2q.output_file import refuse_existing, write_file
from ul2q.quantizers import method_table, methods, quantize
from ul2q.tables import csv_table, markdown_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from ul2q.lambda_table import Step

METHODS = ("ul2q", "fixed_point", "binary", "ternary")
BITS = (1, 2, 4, 8)
DISTRIBUTIONS = ("normal", "laplace", "uniform")

_MODEL_SUFFIX = ".caffemodel:"


class SimulationError(UserError, ValueError):
    """Options that cannot be simulated."""


@dataclass(frozen=True)
class Simulation:
    """What is compared.

    Attributes:
        methods: of `ul2q.methods()`.
        bits: 1 to 16. A method with one width (binary 1, ternary 2) is run at that alone.
        data: each "normal", "laplace", "uniform" or "MODEL.caffemodel:LAYER", the layer's weights
            (its blob 0) as they are.
        mean, sigma: of the distributions, not of layers.
        samples: of the distributions.
        seed: of NumPy's default_rng, for each distribution anew.

    Raises:
        SimulationError: one of them is out of range or unknown.
    """

    methods: Sequence[str] = METHODS
    bits: Sequence[int] = BITS
    data: Sequence[str] = DISTRIBUTIONS
    mean: float = 9.0
    sigma: float = 6.0
    samples: int = 1_000_000
    seed: int = 1

    def __post_init__(self) -> None:
        """Check."""
        for name in ("methods", "bits", "data"):
            if isinstance(getattr(self, name), str) or not getattr(self, name):
                raise SimulationError(f"{name} is {getattr(self, name)!r}; must be a list of them")
        for method in self.methods:
            if method not in methods():
                raise SimulationError(f"method {method!r}: must be one of {', '.join(methods())}")
        for bits in self.bits:
            _check_integer("bits", bits, 1, 16)
        for data in self.data:
            if data not in DISTRIBUTIONS and not all(_model_and_layer(data)):
                raise SimulationError(
                    f"data {data!r}: must be {', '.join(DISTRIBUTIONS)} or MODEL.caffemodel:LAYER"
                )
        if not math.isfinite(self.mean):
            raise SimulationError(f"mean is {self.mean}; must be a finite number")
        if not (math.isfinite(self.sigma) and self.sigma > 0):
            raise SimulationError(f"sigma is {self.sigma}; must be a finite number above 0")
        _check_integer("samples", self.samples, 2, 2**40)
        _check_integer("seed", self.seed, 0, 2**64 - 1)


@dataclass(frozen=True)
class Outcome:
    """A method at one width on one of the data.

    Attributes:
        data: as in `Simulation.data`.
        method: its name.
        bits: the width.
        loss: mean squared error, in the data's units squared.
        share: `loss` as a share of the data's variance.
        raw, quantised: the corners of the staircase of values and quantised values, ascending:
            the first and the last value of each level. 1-D, of one length.
    """

    data: str
    method: str
    bits: int
    loss: float
    share: float
    raw: NDArray[Any]
    quantised: NDArray[Any]


def simulate(simulation: Simulation) -> tuple[Outcome, ...]:
    """Run every method at every width on all data, in that order from the last on.

    Raises:
        FileNotFoundError: there is no such model.
        WeightsError: a model is damaged.
        SimulationError: it has no such layer, or a layer's weights are all equal, NaN, infinite
            or too large; or the distributions' values are too large.
    """
    outcomes = []
    for data in dict.fromkeys(simulation.data):
        values = np.sort(_values(simulation, data), axis=None)
        if values[0] == values[-1]:
            raise SimulationError(f"{data}: all values are equal; there is nothing to compare")
        for method in dict.fromkeys(simulation.methods):
            for bits in _widths(method, simulation.bits):
                try:
                    outcomes.append(_outcome(data, values, method, bits))
                except ValueError as error:
                    raise SimulationError(f"{data}: {error}") from error
    return tuple(outcomes)


def loss_table(outcomes: Sequence[Outcome]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows for people: a row for data and method, a column for each width.

    A cell has the loss and, in brackets, its share of the variance.
    """
    widths = sorted({outcome.bits for outcome in outcomes})
    rows: dict[tuple[str, str], dict[int, str]] = {}
    for outcome in outcomes:
        row = rows.setdefault((outcome.data, outcome.method), {})
        row[outcome.bits] = f"{outcome.loss:.4g} ({outcome.share:.4g})"
    return (
        ["data", "method", *(f"{bits} bit{'s' * (bits > 1)}" for bits in widths)],
        [[*key, *(row.get(bits, "") for bits in widths)] for key, row in rows.items()],
    )


def step_table(steps: Sequence[Step]) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of `lambda_table` for people."""
    return (
        [
            "bits",
            "λ, Table I",
            "λ found",
            "λ of ul2q",
            "loss, Table I",
            "loss of Table I's λ",
            "loss of the found λ",
        ],
        [
            [
                str(step.bits),
                f"{step.paper:.4f}",
                f"{step.found:.9f}",
                f"{step.library:.9f}",
                f"{step.paper_loss:.4f}",
                f"{step.loss_of_paper:.7f}",
                f"{step.loss:.7f}",
            ]
            for step in steps
        ],
    )


def markdown(simulation: Simulation, outcomes: Sequence[Outcome], steps: Sequence[Step]) -> str:
    """Both tables, with what they were made from."""
    return (
        "# Simulation\n\n"
        "## Mean squared error of each method\n\n"
        f"{simulation.samples:,} values of each distribution, mean {simulation.mean:g}, standard "
        f"deviation {simulation.sigma:g}, seed {simulation.seed}; layers' weights as they are.\n"
        "In brackets the share of the variance.\n\n"
        f"{markdown_table(*loss_table(outcomes))}\n\n"
        "## The step λ for N(0, 1)\n\n"
        f"{markdown_table(*step_table(steps))}\n"
    )


def staircases(outcomes: Sequence[Outcome]) -> Figure:
    """Quantised value against value: a row of panels for each of the data, a column a width.

    Raises:
        FiguresError: matplotlib is missing.
    """
    widths = sorted({outcome.bits for outcome in outcomes})
    grid: dict[str, dict[int, list[Line]]] = {}
    for outcome in outcomes:
        panels = grid.setdefault(outcome.data, {bits: [] for bits in widths})
        line = Line(outcome.method, outcome.raw, outcome.quantised)
        panels[outcome.bits].append(line)
    return staircase_figure(
        [
            [
                Panel(f"{_short_name(data)}, {bits} bit{'s' * (bits > 1)}", lines)
                for bits, lines in panels.items()
            ]
            for data, panels in grid.items()
        ],
        x_label="value",
        y_label="quantised value",
    )


@dataclass(frozen=True)
class SimulationFiles:
    """What `run` has computed and written.

    Attributes:
        outcomes: of `simulate`.
        steps: of `lambda_table`.
        paths: the files.
    """

    outcomes: tuple[Outcome, ...]
    steps: tuple[Step, ...]
    paths: tuple[Path, ...]


def run(
    simulation: Simulation,
    output: Path | None = None,
    *,
    figures: bool = True,
    force: bool = False,
) -> SimulationFiles:
    """Simulate, and write losses.csv, lambda.csv, simulation.md and staircases.png and .svg.

    Nothing is written before all has been computed and every path is found to be free.

    Args:
        simulation: what is compared.
        output: a folder, made if there is none. None: nothing is written.
        figures: also write the figures; needs matplotlib.
        force: replace files that are there.

    Raises:
        OutputExistsError: there is a file where one is to be written, and `force` is not set.
        FiguresError: matplotlib is missing, and `figures` is set.
        FileNotFoundError, WeightsError, SimulationError: as of `simulate`.
    """
    if output is None:
        return SimulationFiles(simulate(simulation), lambda_table(), ())
    names = ["losses.csv", "lambda.csv", "simulation.md"]
    if figures:
        require_matplotlib()
        names += [f"staircases.{kind}" for kind in FORMATS]
    if output.is_dir():
        for name in names:
            refuse_existing(output / name, force=force)
    outcomes, steps = simulate(simulation), lambda_table()
    contents = [
        csv_table(
            ("data", "method", "bits", "loss", "share_of_variance"),
            [(o.data, o.method, o.bits, o.loss, o.share) for o in outcomes],
        ),
        csv_table(
            ("bits", "paper", "found", "library", "paper_loss", "loss_of_paper", "loss"),
            [
                (s.bits, s.paper, s.found, s.library, s.paper_loss, s.loss_of_paper, s.loss)
                for s in steps
            ],
        ),
        markdown(simulation, outcomes, steps).encode(),
    ]
    if figures:
        figure = staircases(outcomes)
        contents += [render(figure, kind) for kind in FORMATS]
    output.mkdir(parents=True, exist_ok=True)
    paths = tuple(output / name for name in names)
    for path, content in zip(paths, contents, strict=True):
        write_file(path, content, force=force)
    return SimulationFiles(outcomes, steps, paths)


def _outcome(data: str, values: NDArray[Any], method: str, bits: int) -> Outcome:
    result = quantize(values, bits, method)
    last = np.flatnonzero(np.diff(result.values))  # of each level but the highest
    corners = np.unique(np.concatenate(([0], last, last + 1, [len(values) - 1])))
    variance = float(np.var(values, dtype=np.float64))
    return Outcome(
        data=data,
        method=method,
        bits=bits,
        loss=result.loss,
        share=result.loss / variance,
        raw=values[corners],
        quantised=result.values[corners],
    )


def _widths(method: str, bits: Sequence[int]) -> list[int]:
    """The widths that a method is run at."""
    (row,) = (row for row in method_table() if row.name == method)
    return [row.min_bits] if row.min_bits == row.max_bits else sorted(set(bits))


def _values(simulation: Simulation, data: str) -> NDArray[Any]:
    """The data, in any order."""
    mean, sigma, samples = simulation.mean, simulation.sigma, simulation.samples
    random = np.random.default_rng(simulation.seed)
    match data:
        case "normal":
            return random.normal(mean, sigma, samples)
        case "laplace":
            return random.laplace(mean, sigma / math.sqrt(2), samples)
        case "uniform":
            half = sigma * math.sqrt(3)
            return random.uniform(mean - half, mean + half, samples)
    return _layer_weights(*_model_and_layer(data))


def _layer_weights(model: str, layer: str) -> NDArray[Any]:
    from ul2q.models.caffemodel import read_blobs  # noqa: PLC0415  # the distributions need no libcaffe

    weights = {blob.layer: blob.values for blob in read_blobs(Path(model)) if blob.index == 0}
    if layer not in weights:
        held = ", ".join(map(repr, weights))
        raise SimulationError(f"{model} has no weights for layer {layer!r}; it holds {held}")
    values = weights[layer]
    if not np.isfinite(values).all() or not values.size:
        raise SimulationError(
            f"{model}: layer {layer!r} has {'NaN or infinite' if values.size else 'no'} weights"
        )
    return values


def _model_and_layer(data: str) -> tuple[str, str]:
    """The path and the name; nothing, nothing if it is not the name of a model's layer."""
    model, mark, layer = data.partition(_MODEL_SUFFIX)
    return (model + _MODEL_SUFFIX[:-1], layer) if mark and model else ("", "")


def _short_name(data: str) -> str:
    model, layer = _model_and_layer(data)
    return f"{Path(model).name}:{layer}" if model else data


def _check_integer(name: str, value: object, low: int, high: int) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, SupportsIndex)
        or not low <= operator.index(value) <= high
    ):
        raise SimulationError(f"{name} is {value!r}; must be an integer, {low} to {high}")

"""Run a simulation and write its tables and its figure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.simulation.comparison import simulate
from ul2q.simulation.figure import staircases
from ul2q.simulation.lambda_table import lambda_table
from ul2q.simulation.tables import loss_csv, markdown, step_csv
from ul2q.util.figures import FORMATS, render, require_matplotlib
from ul2q.util.input_file import require_folder
from ul2q.util.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from ul2q.simulation.comparison import Outcome
    from ul2q.simulation.lambda_table import Step
    from ul2q.simulation.settings import Simulation
    from ul2q.util.paths import StrPath


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
    output: StrPath | None = None,
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
        NotADirectoryError: `output` is a file.
        OutputExistsError: there is a file where one is to be written, and `force` is not set.
        FiguresError: matplotlib is missing, and `figures` is set.
        FileNotFoundError, WeightsError, SimulationError: as of `simulate`.
    """
    output = None if output is None else Path(output)
    if output is None:
        return SimulationFiles(simulate(simulation), lambda_table(), ())
    names = ["losses.csv", "lambda.csv", "simulation.md"]
    if figures:
        require_matplotlib()
        names += [f"staircases.{kind}" for kind in FORMATS]
    require_folder(output, "--output")
    if output.is_dir():
        for name in names:
            refuse_existing(output / name, force=force)
    outcomes, steps = simulate(simulation), lambda_table()
    contents = [
        loss_csv(outcomes),
        step_csv(steps),
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

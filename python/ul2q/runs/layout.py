"""The names of the files in the folder of a run, and in that of a sweep.

Nothing else spells them; `ul2q.runs` says what each file is for.
"""

from __future__ import annotations

import re
from pathlib import Path

# What `ul2q train --run` writes into a run's folder, beside snapshots and the best weights:
LOG = "log.csv"
QUANTIZATION_LOG = "quantization.csv"
SOLVER = "solver.prototxt"
EARLY_STOP = "early_stop.json"
RUN_LOCK = ".run.lock"
STOP = "stop"
RECORD = "run.json"
CARD = "README.md"
# What `ul2q sweep` adds to each run's folder, beside its entries in run.json:
NET = "train_test.prototxt"
OUTPUT = "output.txt"
# What it writes into its own, beside the runs' folders:
RESULTS = "results.csv"
SPEC = "sweep.yaml"
SWEEP_LOCK = ".sweep.lock"
PROCESSES_LOCK = ".runs.lock"

MODELS = "*.caffemodel"
HDF5_MODELS = "*.caffemodel.h5"
_SOLVER_STATES = "*.solverstate*"
_MODEL_OF_ITERATION = re.compile(r"_iter_(\d+)\.caffemodel(\.h5)?")
_BEST = "_best"


def snapshot_files(prefix: str | Path, iteration: int, *, hdf5: bool) -> tuple[Path, Path]:
    """The solver state and the weights of the snapshot after `iteration` iterations.

    Source: Solver::SnapshotFilename of BVLC's solver.cpp.

    Args:
        prefix: the solver's `snapshot_prefix`.
        iteration: how many iterations are done.
        hdf5: whether the solver's `snapshot_format` is HDF5.
    """
    stem, suffix = f"{prefix}_iter_{iteration}", ".h5" if hdf5 else ""
    return Path(f"{stem}.solverstate{suffix}"), Path(f"{stem}.caffemodel{suffix}")


def rank_states_file(solver_state: Path) -> Path:
    """The file beside a solver state that says where each of several ranks stands."""
    return solver_state.with_name(f"{solver_state.name.partition('.solverstate')[0]}.ranks")


def iteration_of_solver_state(path: Path, prefix: str | Path) -> int | None:
    """The iteration of a solver state under `prefix`; None if the file is none of that prefix."""
    name = rf"{re.escape(Path(prefix).name)}_iter_(\d+)\.solverstate(\.h5)?"
    match = re.fullmatch(name, path.name)
    return int(match[1]) if match else None


def iteration_of_model(path: Path) -> int | None:
    """The iteration of a snapshot's .caffemodel; None if the file is no snapshot's."""
    match = _MODEL_OF_ITERATION.search(path.name)
    return int(match[1]) if match else None


def best_files(prefix: str | Path) -> tuple[Path, Path]:
    """The weights of the best test, and the JSON file that tells what they reach."""
    return Path(f"{prefix}{_BEST}.caffemodel"), Path(f"{prefix}{_BEST}.json")


def is_best_model(path: Path) -> bool:
    """Whether a .caffemodel has the weights of the best test."""
    return path.name.endswith(f"{_BEST}.caffemodel")


def prefix_of_best(path: Path) -> Path:
    """The `snapshot_prefix` that a .caffemodel of the best test stands under."""
    return path.with_name(path.name.removesuffix(f"{_BEST}.caffemodel"))


def snapshot_marker(prefix: str | Path, iteration: int) -> Path:
    """What stands beside a snapshot while it is written or removed: half of it may be there."""
    prefix = Path(prefix)
    return prefix.with_name(f".{prefix.name}_iter_{iteration}.unfinished")


def iteration_of_marker(path: Path, prefix: str | Path) -> int | None:
    """The iteration of the unfinished snapshot that a marker tells of; None if it is none."""
    match = re.fullmatch(rf"\.{re.escape(Path(prefix).name)}_iter_(\d+)\.unfinished", path.name)
    return int(match[1]) if match else None


def is_leftover(path: Path, prefix: str | Path) -> bool:
    """Whether a file is what a writer of a run's files left when it was killed.

    Args:
        path: a file in the run's folder.
        prefix: the run's `snapshot_prefix`.
    """
    written = "|".join(
        (
            rf"{re.escape(Path(prefix).name)}_(iter_\d+|{_BEST[1:]})\..*",
            *map(re.escape, (SOLVER, EARLY_STOP, RECORD, CARD)),
        )
    )
    # A new file within a new file has two dots.
    return re.fullmatch(rf"\.+({written})\.[0-9a-f]{{8}}\.part", path.name) is not None


def has_training(folder: Path) -> bool:
    """Whether `ul2q train --run` has worked in a folder: it holds a log or a solver state."""
    return any(folder.glob(_SOLVER_STATES)) or (folder / LOG).exists()


def clear_refused(folder: Path) -> None:
    """Remove what a run that has not begun has left in a folder that was empty before."""
    for name in (RUN_LOCK, SOLVER, RECORD, CARD):
        (folder / name).unlink(missing_ok=True)


def is_run(folder: Path) -> bool:
    """Whether there is something of a run to be read: a record, a log or a .caffemodel."""
    return any((folder / name).is_file() for name in (RECORD, LOG)) or any(folder.glob(MODELS))

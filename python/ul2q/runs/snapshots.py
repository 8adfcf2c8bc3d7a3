"""The snapshots of a run: which there are, and which are intact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from caffe.proto import caffe_pb2

from ul2q.errors import UserError
from ul2q.models.binary_proto import read_message
from ul2q.models.caffemodel import read_caffemodel
from ul2q.runs.layout import (
    MODELS,
    is_best_model,
    is_leftover,
    iteration_of_marker,
    iteration_of_model,
    iteration_of_solver_state,
    rank_states_file,
    snapshot_files,
)
from ul2q.util.input_file import require_file


class SnapshotError(UserError, ValueError):
    """A snapshot that training cannot go on from."""


@dataclass(frozen=True)
class Snapshot:
    """A solver state and the weights beside it.

    Attributes:
        iteration: how many iterations it has.
        state: the .solverstate or .solverstate.h5.
        weights: the .caffemodel or .caffemodel.h5, which may be missing.
    """

    iteration: int
    state: Path
    weights: Path

    @property
    def ranks(self) -> Path:
        """Where each rank stands, which only several that trained together have written."""
        return rank_states_file(self.state)


def find_snapshots(prefix: str | Path) -> list[Snapshot]:
    """The snapshots whose solver state stands under a `snapshot_prefix`, the newest first."""
    found = []
    for path in _beside(prefix):
        iteration = iteration_of_solver_state(path, prefix)
        if iteration is not None:
            _, weights = snapshot_files(prefix, iteration, hdf5=path.suffix == ".h5")
            found.append(Snapshot(iteration, path, weights))
    return sorted(found, key=lambda snapshot: snapshot.iteration, reverse=True)


def as_snapshot(state: Path) -> Snapshot:
    """The snapshot with this solver state.

    The weights that it names are looked for beside it first, as a solver does.

    Raises:
        FileNotFoundError: there is no such file.
        SnapshotError: it is no solver state.
    """
    require_file(state, "a snapshot's .solverstate", "snapshot")
    if state.suffix == ".prototxt":
        raise SnapshotError(f"{state} is a prototxt; give a snapshot's .solverstate")
    if state.suffix == ".h5":
        return Snapshot(0, state, Path(str(state).replace(".solverstate", ".caffemodel")))
    held = read_solver_state(state)
    try:
        weights = state.with_name(Path(held.learned_net).name)
    except ValueError as error:
        raise SnapshotError(
            f"{state} names {held.learned_net!r} as its weights, which is no file's name; "
            "it is damaged"
        ) from error
    return Snapshot(held.iter, state, weights if weights.is_file() else Path(held.learned_net))


def check_snapshot(snapshot: Snapshot) -> None:
    """Refuse a snapshot that is damaged or lacks its weights; HDF5 is left to Caffe.

    Raises:
        FileNotFoundError: a file is missing.
        SnapshotError: the solver state does not parse, or its checksum is another.
        WeightsError: the same of the weights.
    """
    if snapshot.state.suffix == ".h5":
        return
    if not snapshot.weights.is_file():
        raise FileNotFoundError(
            f"{snapshot.state}: its weights {str(snapshot.weights)!r} do not stand in {Path.cwd()}"
        )
    read_solver_state(snapshot.state)
    read_caffemodel(snapshot.weights)


def read_solver_state(path: Path) -> caffe_pb2.SolverState:
    """The message in a binary .solverstate.

    Raises:
        SnapshotError: the file is damaged or no .solverstate.
    """
    return read_message(path, caffe_pb2.SolverState, ".solverstate", SnapshotError)


def newest_model(run: Path) -> tuple[Path | None, int | None]:
    """The newest .caffemodel in a run's folder, and its iteration if it is a snapshot's.

    Without a snapshot any other is taken, that of the best test last.
    """
    models = sorted(run.glob(MODELS))
    iterations = {model: iteration_of_model(model) for model in models}
    snapshots = {i: model for model, i in iterations.items() if i is not None}
    if snapshots:
        return snapshots[max(snapshots)], max(snapshots)
    models.sort(key=lambda model: not is_best_model(model))
    return (models[-1] if models else None), None


def remove_leftovers(prefix: str | Path) -> list[Path]:
    """Remove what a writer that was killed left in the folder of a run.

    These are files that were not finished, and the half of a snapshot that was being written or
    removed. No other process may write there.

    Args:
        prefix: the run's `snapshot_prefix`.

    Returns:
        What is removed, but for markers.
    """
    removed = []
    for path in sorted(_beside(prefix)):
        iteration = iteration_of_marker(path, prefix)
        if iteration is not None:
            removed += remove_half_snapshot(prefix, iteration)
            path.unlink(missing_ok=True)
        elif is_leftover(path, prefix):
            path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def remove_half_snapshot(prefix: str | Path, iteration: int) -> list[Path]:
    """Remove what stands of a snapshot that has no solver state; return what is removed.

    The state comes last when a snapshot is written, and goes first when it is removed.
    """
    files = [snapshot_files(prefix, iteration, hdf5=hdf5) for hdf5 in (False, True)]
    removed = [weights for state, weights in files if weights.is_file() and not state.is_file()]
    states = [state for state, _ in files]
    ranks = rank_states_file(states[0])
    if ranks.is_file() and not any(map(Path.is_file, states)):
        removed.append(ranks)
    for path in removed:
        path.unlink()
    return removed


def _beside(prefix: str | Path) -> list[Path]:
    folder = Path(prefix).parent
    return list(folder.iterdir()) if folder.is_dir() else []

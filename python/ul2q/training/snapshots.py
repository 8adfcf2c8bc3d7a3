"""The snapshots of a run: which there are, which are intact, which stay."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from caffe.proto import caffe_pb2

from ul2q.errors import UserError
from ul2q.models.binary_proto import read_message
from ul2q.models.weights import read_caffemodel
from ul2q.util.output_file import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import caffe

    from ul2q.nets.metrics import Metrics


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


@dataclass(frozen=True)
class Best:
    """The weights of the best test so far.

    Attributes:
        iteration: how many iterations they have.
        output: what was compared: an accuracy, the higher the better, or "loss".
        value: its mean in that test.
    """

    iteration: int
    output: str
    value: float


def find_snapshots(prefix: str) -> list[Snapshot]:
    """The snapshots whose solver state stands under a `snapshot_prefix`, the newest first."""
    folder, base = Path(prefix).parent, Path(prefix).name
    name = re.compile(re.escape(base) + r"_iter_(\d+)\.solverstate((?:\.h5)?)")
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if match := name.fullmatch(path.name):
            iteration, suffix = int(match[1]), match[2]
            weights = path.with_name(f"{base}_iter_{iteration}.caffemodel{suffix}")
            found.append(Snapshot(iteration, path, weights))
    return sorted(found, key=lambda snapshot: snapshot.iteration, reverse=True)


def as_snapshot(state: Path) -> Snapshot:
    """The snapshot with this solver state.

    The weights that it names are looked for beside it first, as a solver does.

    Raises:
        FileNotFoundError: there is no such file.
        SnapshotError: it is no solver state.
    """
    if not state.is_file():
        raise FileNotFoundError(f"{state}: no such snapshot")
    if state.suffix == ".h5":
        return Snapshot(0, state, Path(str(state).replace(".solverstate", ".caffemodel")))
    held = read_solver_state(state)
    weights = state.with_name(Path(held.learned_net).name)
    return Snapshot(held.iter, state, weights if weights.is_file() else Path(held.learned_net))


def check_snapshot(snapshot: Snapshot) -> None:
    """Refuse a snapshot that is damaged or lacks its weights; HDF5 is left to Caffe.

    Raises:
        FileNotFoundError: a file is missing.
        SnapshotError: a file does not parse.
        WeightsError: likewise.
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


def check_fits(snapshot: Snapshot, net: caffe.Net) -> None:
    """Refuse weights that are not those of a net: Caffe leaves what a file lacks as it is.

    Raises:
        SnapshotError: the message names layer and blob.
        WeightsError: the file is damaged.
    """
    if snapshot.weights.suffix == ".h5":
        return
    held = {layer.name: layer.blobs for layer in read_caffemodel(snapshot.weights).layer}
    for name, blobs in net.params.items():
        shapes = [tuple(blob.shape.dim) for blob in held.get(name, ())]
        wanted = [tuple(blob.data.shape) for blob in blobs]
        counts = [len(blob.data) or len(blob.double_data) for blob in held.get(name, ())]
        if shapes != wanted or counts != [math.prod(shape) for shape in wanted]:
            raise SnapshotError(
                f"{snapshot.weights}: layer {name!r} has blobs of shape {shapes}, not {wanted}"
            )


class Keeper:
    """Lets the newest snapshots of a run stay and removes the older ones."""

    def __init__(
        self, keep: int, warn: Callable[[str], None], mine: Iterable[Snapshot] = ()
    ) -> None:
        """Begin.

        Args:
            keep: how many stay; 0 for all.
            warn: told of what cannot be removed.
            mine: snapshots that the run wrote before, and may remove.
        """
        self._keep = keep
        self._warn = warn
        self._mine = sorted(mine, key=lambda snapshot: snapshot.iteration)

    def written(self, snapshot: Snapshot) -> None:
        """A snapshot has been written; the oldest may go."""
        self._mine = [old for old in self._mine if old.state != snapshot.state]
        self._mine.append(snapshot)
        if self._keep:
            while len(self._mine) > self._keep:
                self._remove(self._mine.pop(0))

    def _remove(self, snapshot: Snapshot) -> None:
        # The state first: it needs the weights, they do not need it.
        for path in (snapshot.state, snapshot.weights):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self._warn(f"an old snapshot could not be removed: {error}")
                return


class BestKeeper:
    """Keeps the weights of the best test, <prefix>_best.caffemodel, and what they reach, .json."""

    def __init__(self, prefix: str, *, resume: bool) -> None:
        """Begin, or go on with what stands there."""
        self.weights = Path(f"{prefix}_best.caffemodel")
        self._record = Path(f"{prefix}_best.json")
        self.best: Best | None = None
        if resume and self.weights.is_file() and self._record.is_file():
            self.best = Best(**json.loads(self._record.read_text(encoding="utf-8")))

    def offer(self, net: caffe.Net, test: Best) -> bool:
        """Save the weights of `net` if no test before was as good; whether it did.

        Raises:
            OSError: a file cannot be written.
        """
        if not _is_better(test, self.best):
            return False
        net.save(str(self.weights))
        write_file(self._record, (json.dumps(asdict(test)) + "\n").encode(), force=True)
        self.best = test
        return True


def rating(metrics: Metrics, iteration: int, outputs: Mapping[str, float], loss: float) -> Best:
    """What a test is compared by: the accuracy that stands for the net, else the weighted loss.

    Args:
        metrics: of the test net.
        iteration: of the weights.
        outputs: the mean outputs.
        loss: the mean weighted loss.
    """
    if metrics.accuracy is not None and metrics.accuracy in outputs:
        return Best(iteration, metrics.accuracy, outputs[metrics.accuracy])
    return Best(iteration, "loss", loss)


def remove_leftovers(prefix: str) -> None:
    """Remove what a writer that was killed left beside snapshots of `prefix`."""
    folder, base = Path(prefix).parent, Path(prefix).name
    name = re.compile(rf"\.{re.escape(base)}_(iter_\d+|best)\..*\.[0-9a-f]{{8}}\.part")
    for path in folder.iterdir() if folder.is_dir() else ():
        if name.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _is_better(test: Best, than: Best | None) -> bool:
    if than is None or than.output != test.output:
        return math.isfinite(test.value)
    return test.value < than.value if test.output == "loss" else test.value > than.value

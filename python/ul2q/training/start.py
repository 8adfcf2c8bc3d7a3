"""Loads what a run begins with: weights, or the snapshot that it goes on from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import caffe
import numpy as np

from ul2q.errors import UserError
from ul2q.models.caffemodel import read_caffemodel, stored_count
from ul2q.models.weights import copy_what_fits, load_weights, told
from ul2q.nets.net_outputs import weights_not_finite
from ul2q.runs.snapshots import Snapshot, SnapshotError, as_snapshot, check_snapshot
from ul2q.training.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def snapshot_to_go_on_from(path: Path) -> Snapshot:
    """The snapshot that `--snapshot` names.

    Raises:
        FileNotFoundError: there is no such file.
        SnapshotError: it is no solver state.
        TrainingError: it holds weights.
    """
    if path.name.endswith((".caffemodel", ".caffemodel.h5")):
        raise TrainingError(
            f"{path} holds weights alone, which --weights takes; --snapshot takes a .solverstate"
        )
    return as_snapshot(path)


def load_initial_weights(
    solver: caffe.SGDSolver, weights: Sequence[Path], net_name: str, warn: Callable[[str], None]
) -> None:
    """Copy the layers of these files into the solver's nets, those for tests too.

    Args:
        solver: the solver.
        weights: the files, later ones over earlier ones.
        net_name: the train net's file, for messages.
        warn: told once for each file of the layers that do not go together, but for what it lacks
            and another of the files has.

    Raises:
        WeightsError: a file is damaged, or has no layer of the train net.
    """
    left = []
    given: set[str] = set()
    for path in weights:
        not_taken = load_weights(solver.net, path, complete=False, net_name=net_name)
        left.append((path, not_taken))
        given |= {*solver.net.params} - {one.layer for one in not_taken}
        for net in solver.test_nets:
            copy_what_fits(net, path)
    for path, not_taken in left:
        if others := [one for one in not_taken if not one.is_missing or one.layer not in given]:
            warn(told(others, path, net_name))


def restore_first_intact(
    solver: caffe.SGDSolver, snapshots: Sequence[Snapshot], warn: Callable[[str], None]
) -> Snapshot:
    """Put a solver into the state of the first of these snapshots that is intact.

    Args:
        solver: the solver.
        snapshots: at least one.
        warn: told of each that is not intact.

    Returns:
        The snapshot.

    Raises:
        TrainingError: there are several, and none is intact. What is wrong with a single one is
            raised as it is.
    """
    errors = []
    for snapshot in snapshots:
        try:
            _restore(solver, snapshot)
        except (UserError, OSError, caffe.CaffeError) as error:
            if len(snapshots) == 1:
                raise
            errors.append(f"{snapshot.state}: {error}")
            warn(f"snapshot {snapshot.state} cannot be used: {error}")
            continue
        return snapshot
    raise TrainingError(
        f"no snapshot can be gone on from; remove them to begin anew: {'; '.join(errors)}"
    )


def _restore(solver: caffe.SGDSolver, snapshot: Snapshot) -> None:
    check_snapshot(snapshot)
    _check_fits(snapshot, solver.net)
    hdf5 = snapshot.state.suffix == ".h5"
    parameters = [blob for layer in solver.net.params.values() for blob in layer]
    if hdf5:  # Caffe leaves what such a file lacks as it is
        for blob in parameters:
            blob.data[...] = np.nan
    solver.restore(str(snapshot.state))
    if hdf5 and any(np.isnan(blob.data).any() for blob in parameters):
        raise SnapshotError(f"{snapshot.weights} lacks layers of the net, or is damaged")
    if layer := weights_not_finite(solver.net):
        raise SnapshotError(f"{snapshot.weights}: the weights of layer {layer!r} are not finite")


def _check_fits(snapshot: Snapshot, net: caffe.Net) -> None:
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
        counts = [stored_count(blob) for blob in held.get(name, ())]
        if shapes != wanted or counts != [math.prod(shape) for shape in wanted]:
            raise SnapshotError(
                f"{snapshot.weights}: layer {name!r} has blobs of shape {shapes}, not {wanted}"
            )

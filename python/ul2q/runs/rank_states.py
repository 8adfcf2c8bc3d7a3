"""The file of a snapshot that says where each of several ranks stands in its data.

An uncompressed .npz: array `r/state` is rank r's ResumeState (caffe.proto), as bytes; other arrays
`r/NAME` are what its compression of gradients carries over to the next iteration.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ul2q.runs.snapshots import Snapshot, SnapshotError
from ul2q.util.output_file import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_STATE = "state"


@dataclass(frozen=True)
class RankState:
    """Where a rank stands.

    Attributes:
        resume: its solver's ResumeState, serialised.
        errors: what its compression of gradients owes, by name; empty without compression.
    """

    resume: bytes
    errors: Mapping[str, NDArray[Any]] = field(default_factory=dict)


def write_rank_states(path: Path, states: Sequence[RankState]) -> None:
    """Write the states of ranks 0, 1 and on.

    Raises:
        OSError: the file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for rank, state in enumerate(states):
        arrays[f"{rank}/{_STATE}"] = np.frombuffer(state.resume, np.uint8)
        arrays |= {f"{rank}/{name}": array for name, array in state.errors.items()}
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    write_file(path, content.getvalue(), force=True)


def read_rank_states(
    snapshot: Snapshot, size: int, warn: Callable[[str], None]
) -> list[RankState] | None:
    """The states of `size` ranks in a snapshot; None if other ranks, or one process, wrote it.

    Args:
        snapshot: the snapshot.
        size: how many ranks are to go on.
        warn: told if as many have not written it.

    Raises:
        SnapshotError: the file is damaged.
    """
    states = _read(snapshot.ranks) if snapshot.ranks.is_file() else None
    wrote = 1 if states is None else len(states)
    if wrote != size:
        warn(
            f"{snapshot.state} is of {_ranks(wrote)}, and {_ranks(size)} "
            f"{'goes' if size == 1 else 'go'} on: the weights are the same, but other records "
            "follow, and other random numbers"
        )
        return None
    return states


def _ranks(count: int) -> str:
    return "one process" if count == 1 else f"{count} ranks"


def _read(path: Path) -> list[RankState]:
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        states = []
        for rank in range(sum(name.endswith(f"/{_STATE}") for name in arrays)):
            mine = {
                name.partition("/")[2]: array
                for name, array in arrays.items()
                if name.partition("/")[0] == str(rank)
            }
            states.append(RankState(mine.pop(_STATE).tobytes(), mine))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise SnapshotError(f"{path} is damaged, or no file of ranks: {error}") from error
    return states

"""TensorBoard's event files, read back record by record."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.training.test_training import read_log
from ul2q.errors import UserError
from ul2q.training import train

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Workspace


def crc32c(data: bytes) -> int:
    """Castagnoli's, bit by bit, masked as TFRecords have it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 & -(crc & 1))
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(path: Path) -> Iterator[Any]:
    """The events of a file: records of length, checksum, data, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data = path.read_bytes()
    while data:
        (length, crc) = struct.unpack("<QI", data[:12])
        assert crc32c(data[:8]) == crc
        record, (crc,) = (
            data[12 : 12 + length],
            struct.unpack("<I", data[12 + length : 16 + length]),
        )
        assert crc32c(record) == crc
        yield Event.FromString(record)
        data = data[16 + length :]


def scalars(folder: Path) -> dict[tuple[int, str], float]:
    """What TensorBoard shows: of files by their time, each forgetting what it goes over again."""
    shown: dict[tuple[int, str], float] = {}
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda p: p.stat().st_mtime_ns):
        for event in events(path):
            if event.HasField("session_log") and event.session_log.status == 1:  # START
                shown = {key: value for key, value in shown.items() if key[0] < event.step}
            for value in event.summary.value:
                shown[event.step, value.tag] = value.simple_value
    return shown


def logged(folder: Path) -> dict[tuple[int, str], float]:
    return {
        (int(row["iteration"]), name): float(np.float32(cell))
        for row in read_log(folder / "log.csv")
        for name, cell in row.items()
        if cell and name not in {"iteration", "seconds"}
    }


def test_events_are_the_log(workspace: Workspace) -> None:
    train(workspace.solver(), run=Path("run"), tensorboard=True)
    shown = scalars(Path("run"))
    assert len(shown) > 30
    assert shown == pytest.approx(logged(Path("run")), rel=1e-6)
    assert {name for _, name in shown} == {
        *("learning_rate", "train_loss", "test_loss", "test_accuracy"),
    }


def test_a_resumed_run_goes_over_what_was_lost(workspace: Workspace) -> None:
    train(workspace.solver(snapshot=8, max_iter=13), run=Path("run"), tensorboard=True)
    Path("run/mini_iter_13.solverstate").unlink()
    train(workspace.solver(snapshot=8), run=Path("run"), resume=True, tensorboard=True)
    assert scalars(Path("run")) == pytest.approx(logged(Path("run")), rel=1e-6)


def test_without_the_package(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(UserError, match=r"tensorboardX: pip install 'ul2q\[tensorboard\]'"):
        train(workspace.solver(), run=Path("run"), tensorboard=True)
    assert not Path("run").exists()


def test_it_needs_a_folder(workspace: Workspace) -> None:
    with pytest.raises(UserError, match=r"--tensorboard.*--run DIR"):
        train(workspace.solver(), tensorboard=True)

"""After any stop, the folder of a run that has gone on is that of a run without one."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.reporters import Notes
from ul2q.runs.best import read_best, write_best
from ul2q.runs.snapshots import remove_leftovers
from ul2q.training import train
from ul2q.training.errors import Interrupted
from ul2q.util import output_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Workspace

RUN = Path("run")
FORMATS = pytest.mark.parametrize(
    ("form", "suffix"), [("BINARYPROTO", ""), ("HDF5", ".h5")], ids=["BINARYPROTO", "HDF5"]
)


def without_times(path: Path) -> Any:
    """What a file of a run holds, but for times and the calls that it was made by."""
    content = path.read_bytes()
    if path.suffix == ".csv":
        # No snapshot holds what the first sign_flips would be counted from: docs/training.md.
        left_out = ("seconds", "sign_flips")
        rows = csv.DictReader(io.StringIO(content.decode()))
        return [{k: v for k, v in row.items() if not k.endswith(left_out)} for row in rows]
    if path.name == "run.json":
        record = json.loads(content)
        del record["training"]["sessions"]
        return record
    if path.name == "README.md":
        return [line for line in content.splitlines() if not line.startswith(b"- `ul2q train")]
    return content


def folder() -> dict[str, Any]:
    """Every file of the run by its name."""
    return {path.name: without_times(path) for path in RUN.iterdir()}


def differences(found: dict[str, Any], expected: dict[str, Any]) -> set[str]:
    """The names of files that differ, or are in one folder only."""
    names = found.keys() | expected.keys()
    return {name for name in names if found.get(name) != expected.get(name)}


def solver_of(workspace: Workspace, form: str) -> Path:
    workspace.net(
        ('type: "InnerProduct"', 'type: "QuantizedInnerProduct"'),
        ("inner_product_param", "quantization_param { weight { bits: 2 } } inner_product_param"),
    )
    return workspace.solver(snapshot=4, snapshot_format=form)


def unbroken(solver: Path) -> dict[str, Any]:
    train(solver, run=RUN, best=True, progress=Notes())
    whole = folder()
    RUN.rename("whole")
    assert {"log.csv", "quantization.csv", "run.json", "mini_best.json"} < whole.keys()
    return whole


@FORMATS
@pytest.mark.parametrize("at", [1, 6, 11])
def test_ctrl_c(workspace: Workspace, form: str, suffix: str, at: int) -> None:
    del suffix

    class Stop(Notes):
        def step(self, step: Any) -> None:
            if step.iteration == at:
                signal.raise_signal(signal.SIGINT)

    solver = solver_of(workspace, form)
    whole = unbroken(solver)
    with pytest.raises(Interrupted):
        train(solver, run=RUN, best=True, progress=Stop())
    assert differences(folder(), whole)
    train(solver, run=RUN, best=True, resume=True, progress=Notes())
    assert differences(folder(), whole) == set()


def until(condition: Any, child: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert child.poll() is None, "it has ended by itself"
        assert time.monotonic() < end
        time.sleep(0.01)


def killed_run(solver: Path, ready: Any) -> None:
    """Train in another process, and kill that when `ready` says so."""
    code = f"from ul2q.training import train; train({str(solver)!r}, run='run', best=True)"
    with subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ)) as child:
        try:
            until(ready, child)
        finally:
            child.kill()
    assert child.returncode == -signal.SIGKILL


@FORMATS
def test_a_kill_within_a_snapshot(workspace: Workspace, form: str, suffix: str) -> None:
    """The weights are there, the state is not: its writer waits for who reads the pipe."""
    solver = solver_of(workspace, form)
    whole = unbroken(solver)
    RUN.mkdir()
    state = RUN / f"mini_iter_12.solverstate{suffix}"
    weights = RUN / f"mini_iter_12.caffemodel{suffix}"
    os.mkfifo(state)
    killed_run(solver, weights.exists)
    state.unlink()
    others = [RUN / "mini_iter_3.caffemodel", RUN / "other_iter_12.caffemodel"]
    for other in others:
        other.write_bytes(b"the user's")
    notes = Notes()
    train(solver, run=RUN, best=True, resume=True, progress=notes)
    (told,) = [note for note in notes.notes if "had left unfinished" in note]
    assert str(weights) in told
    assert not any(str(other) in told for other in others)
    for other in others:
        other.unlink()
    assert differences(folder(), whole) == set()


@FORMATS
def test_a_snapshot_that_could_not_be_written(workspace: Workspace, form: str, suffix: str) -> None:
    """Its weights go again, and so the run goes on from the one before."""
    solver = solver_of(workspace, form)
    whole = unbroken(solver)
    blocked = RUN / f"mini_iter_8.solverstate{suffix}"

    class Full(Notes):
        def step(self, step: Any) -> None:
            if step.iteration == 6:
                blocked.mkdir()
            if step.iteration == 9:
                blocked.rmdir()
                signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Interrupted):
        train(solver, run=RUN, best=True, progress=Full())
    train(solver, run=RUN, best=True, resume=True, progress=Notes())
    assert differences(folder(), whole) == set()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Python's own files cannot be written; Caffe's can."""

    def refuse(path: Path, content: bytes) -> None:
        path.write_bytes(content[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(output_file, "_write_new", refuse)
        yield


def test_the_best_weights_are_those_of_their_record(
    workspace: Workspace, request: pytest.FixtureRequest
) -> None:
    train(workspace.solver(), run=RUN, best=True, progress=Notes())
    import caffe

    net = caffe.Net("net.prototxt", caffe.TEST)
    best = read_best(RUN / "mini")
    assert best is not None
    before = folder()
    request.getfixturevalue("full_disk")
    with pytest.raises(OSError, match=r"mini_best\.json"):
        write_best(RUN / "mini", net, best)
    assert differences(folder(), before) == set()


def test_what_is_no_leftover_stays(tmp_path: Path) -> None:
    """Of another prefix, whole, or of nobody's; a marker alone says that a snapshot is half."""
    for name in (
        "mini_iter_4.caffemodel",
        "mini_iter_4.solverstate",
        ".mini_iter_4.unfinished",
        "mini_iter_8.caffemodel",
        ".mini2_iter_8.unfinished",
        "..mini_best.caffemodel.0a1b2c3d.part",
        ".README.md.0a1b2c3d.part",
        "x.part",
    ):
        (tmp_path / name).write_bytes(b"")
    # Two dots: Caffe writes a new file in the place of a new file.
    (tmp_path / "..mini_best.caffemodel.0a1b2c3d.part").rename(
        tmp_path / "..mini_best.caffemodel.0a1b2c3d.part.4e5f6071.part"
    )
    remove_leftovers(tmp_path / "mini")
    assert {path.name for path in tmp_path.iterdir()} == {
        "mini_iter_4.caffemodel",
        "mini_iter_4.solverstate",
        "mini_iter_8.caffemodel",
        ".mini2_iter_8.unfinished",
        "x.part",
    }

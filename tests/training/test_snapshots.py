"""Which snapshots stay, and what happens when one cannot be written."""

from __future__ import annotations

import json
import resource
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest
from caffe.proto import caffe_pb2

from tests.processes import run_caffe
from tests.reporters import Notes
from ul2q.evaluation import evaluate
from ul2q.runs.best import Best
from ul2q.runs.log import read_log
from ul2q.runs.snapshots import find_snapshots
from ul2q.training import Interrupted, TrainingError, train
from ul2q.training.best import BestKeeper
from ul2q.training.snapshot_writer import SnapshotWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Workspace
    from ul2q.training.progress import Step


def snapshots(folder: str = "run", prefix: str = "mini") -> list[int]:
    """The iterations of the snapshots there, each of them whole."""
    found = find_snapshots(f"{folder}/{prefix}")
    assert all(snapshot.weights.is_file() for snapshot in found)
    weights = list(Path(folder).glob(f"{prefix}_iter_*.caffemodel*"))
    assert len(weights) == len(found)
    return [snapshot.iteration for snapshot in found]


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize(
    ("keep", "expected"),
    [(0, [20, 16, 12, 8, 4]), (1, [20]), (2, [20, 16]), (9, [20, 16, 12, 8, 4])],
)
def test_the_newest_stay(workspace: Workspace, keep: int, expected: list[int], form: str) -> None:
    train(workspace.solver(snapshot=4, snapshot_format=form), run=Path("run"), keep=keep)
    assert snapshots() == expected


TWO_BITS = (
    ('type: "InnerProduct"', 'type: "QuantizedInnerProduct"'),
    ("inner_product_param", "quantization_param { weight { bits: 2 } } inner_product_param"),
)


class Killed(BaseException):
    """Stands for SIGKILL: nothing that follows is done."""


@pytest.mark.parametrize("last", [6, 20])
def test_a_kill_right_after_a_snapshot_leaves_no_hole_in_the_logs(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    workspace.net(*TWO_BITS)
    run, write = Path("run"), SnapshotWriter.write

    def write_and_die(self: SnapshotWriter) -> None:
        write(self)
        if self.current is not None and self.current.iteration == last:
            raise Killed

    solver = workspace.solver(snapshot=3, display=1)
    with monkeypatch.context() as patched:
        patched.setattr(SnapshotWriter, "write", write_and_die)
        with pytest.raises(Killed):
            train(solver, run=run)
    train(solver, run=run, resume=True)
    for name in ("log.csv", "quantization.csv"):
        log = read_log(run / name)
        assert log is not None
        assert [int(row[0]) for row in log.cells] == list(range(21)), name


@pytest.mark.parametrize("torn", [0, 7])
def test_a_run_whose_last_row_is_torn_is_not_finished(workspace: Workspace, torn: int) -> None:
    """The last line of quantization.csv is not there, or only its beginning is."""
    workspace.net(*TWO_BITS)
    solver = workspace.solver(display=1)
    train(solver, run=Path("run"))
    path = Path("run/quantization.csv")
    text = path.read_text()
    end = text.rindex("\n", 0, -1) + 1
    path.write_text(text[: end + torn])
    train(solver, run=Path("run"), resume=True)
    assert path.read_text()[:end] == text[:end]
    for name in ("log.csv", "quantization.csv"):
        log = read_log(Path("run", name))
        assert log is not None
        assert log.iteration == 20, name


def test_the_newest_two_stay_after_a_resume_too(workspace: Workspace) -> None:
    train(workspace.solver(snapshot=4, max_iter=12), run=Path("run"))
    assert snapshots() == [12, 8]
    train(workspace.solver(snapshot=4), run=Path("run"), resume=True)
    assert snapshots() == [20, 16]


def test_what_the_run_did_not_write_stays(workspace: Workspace) -> None:
    train(workspace.solver(snapshot=4, max_iter=8, snapshot_prefix='"mini"'), keep=0)
    others = {path: path.read_bytes() for path in Path().glob("*.caffemodel")}
    train(
        workspace.solver(snapshot=5, snapshot_prefix='"other"'),
        weights=[Path("mini_iter_4.caffemodel")],
        keep=1,
    )
    # The same prefix, in another run.
    train(workspace.solver(snapshot=9), weights=[Path("mini_iter_4.caffemodel")], keep=1)
    assert {path: path.read_bytes() for path in others} == others
    assert snapshots(".") == [20, 8, 4]
    assert snapshots(".", "other") == [20]


@pytest.mark.parametrize("accuracy", [True, False])
def test_the_best_weights_are_kept(workspace: Workspace, accuracy: bool) -> None:
    if not accuracy:
        workspace.net(('type: "Accuracy" bottom: "drop"', 'type: "SoftmaxWithLoss" bottom: "drop"'))
        workspace.net(
            (
                'layer { name: "accuracy" type: "Accuracy" bottom: "drop" bottom: "label" '
                'top: "accuracy"\n  include { phase: TEST } }\n',
                "",
            )
        )
    # A rate that makes the tests go up and down.
    solver = workspace.solver(base_lr=3, test_interval=1, lr_policy='"fixed"')
    result = train(solver, run=Path("run"), best=True)
    column = "test_accuracy" if accuracy else "test_loss"
    header, *rows = (line.split(",") for line in Path("run/log.csv").read_text().splitlines())
    values = [float(row[header.index(column)]) for row in rows]
    at = int(np.argmax(values) if accuracy else np.argmin(values))
    assert 0 < at < 20, "the test shows nothing"
    assert result.best is not None
    assert result.best == Best(at, column[5:], result.best.value)
    assert result.best.value == pytest.approx(values[at], rel=1e-5)
    assert result.best_weights == Path("run/mini_best.caffemodel")
    assert json.loads(Path("run/mini_best.json").read_text())["iteration"] == at
    tested = evaluate(Path("net.prototxt"), Path("run/mini_best.caffemodel"))
    assert tested[column[5:]] == pytest.approx(values[at], rel=1e-5)


def test_the_best_stays_the_best_after_a_resume(workspace: Workspace) -> None:
    fields: dict[str, Any] = {"base_lr": 3, "test_interval": 1, "lr_policy": '"fixed"'}
    whole = train(workspace.solver(**fields), run=Path("whole"), best=True)
    assert whole.best is not None
    for stop in (whole.best.iteration - 1, whole.best.iteration + 1):
        run = Path(f"run{stop}")
        train(workspace.solver(**fields, max_iter=stop), run=run, best=True)
        resumed = train(workspace.solver(**fields), run=run, best=True, resume=True)
        assert resumed.best == whole.best
        assert (run / "mini_best.caffemodel").read_bytes() == Path(
            "whole/mini_best.caffemodel"
        ).read_bytes()


def test_a_new_run_forgets_the_best_of_an_earlier_one(workspace: Workspace) -> None:
    Path("mini_best.json").write_text('{"iteration": 3, "output": "accuracy", "value": 2}')
    Path("mini_best.caffemodel").write_bytes(b"")
    result = train(workspace.solver(), best=True)
    assert result.best is not None
    assert result.best.value <= 1
    assert BestKeeper("mini", resume=True).best == result.best


def block(name: str) -> Path:
    """Let nothing be written there: a folder stands in the way."""
    path = Path("run", name)
    path.mkdir(parents=True)
    return path


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
@pytest.mark.parametrize("blocked", ["caffemodel", "solverstate"])
def test_a_snapshot_that_cannot_be_written_does_not_end_the_run(
    workspace: Workspace, blocked: str, form: str
) -> None:
    suffix = ".h5" if form == "HDF5" else ""
    block(f"mini_iter_10.{blocked}{suffix}")
    notes = Notes()
    solver = workspace.solver(snapshot=5, snapshot_format=form)
    result = train(solver, run=Path("run"), progress=notes, keep=0)
    (warning,) = notes.warnings
    for word in (
        "NO SNAPSHOT after iteration 10",
        f"run/mini_iter_10.{blocked}{suffix}",
        "goes on",
    ):
        assert word in warning
    assert result.iterations == 20
    expected = {5, 15, 20} | ({10} if blocked == "caffemodel" else set())
    assert {s.iteration for s in find_snapshots("run/mini") if s.state.is_file()} == expected - {10}
    assert not list(Path("run").glob(".*.part"))


def test_a_run_whose_last_snapshot_cannot_be_written_fails_in_the_end(
    workspace: Workspace,
) -> None:
    block("mini_iter_20.caffemodel")
    notes = Notes()
    with pytest.raises(
        TrainingError,
        match=r"last snapshot.*run/mini_iter_20\.caffemodel.*folder|"
        r"last snapshot.*run/mini_iter_20\.caffemodel.*directory",
    ):
        train(workspace.solver(snapshot=5), run=Path("run"), progress=notes)
    (warning,) = notes.warnings
    assert "NO SNAPSHOT after iteration 20" in warning
    assert [snapshot.iteration for snapshot in find_snapshots("run/mini")] == [15, 10]
    assert Path("run/log.csv").read_text().splitlines()[-1].startswith("20,"), "and it is tested"


def test_the_keeper_removes_nothing_before_the_new_one_is_there(workspace: Workspace) -> None:
    block("mini_iter_20.solverstate")
    with pytest.raises(TrainingError):
        train(workspace.solver(snapshot=10), run=Path("run"), keep=1, progress=Notes())
    assert Path("run/mini_iter_10.solverstate").is_file()
    assert Path("run/mini_iter_10.caffemodel").is_file()


def test_a_stop_without_a_snapshot_is_an_error(workspace: Workspace) -> None:
    class Stop(Notes):
        def step(self, step: Any) -> None:
            if step.iteration == 7:
                signal.raise_signal(signal.SIGTERM)

    block("mini_iter_8.caffemodel")
    with pytest.raises(TrainingError, match=r"interrupted after 8.*could not be written"):
        train(workspace.solver(), run=Path("run"), progress=Stop())


def test_weights_that_have_diverged_are_no_snapshot(workspace: Workspace) -> None:
    root = (
        'layer { name: "log" type: "Power" bottom: "drop" top: "log" '
        "power_param { scale: 0 shift: -1 power: 0.5 } }"
    )
    workspace.net(
        ('bottom: "drop"', 'bottom: "log"'),
        ('layer { name: "loss"', f'{root} layer {{ name: "loss"'),
    )
    with pytest.raises(TrainingError, match="loss is nan"):
        train(workspace.solver(snapshot=1, test_iter=None, test_interval=None), run=Path("run"))
    assert snapshots() == []


# Caffe's own ways to write.


@contextmanager
def small_files() -> Iterator[None]:
    """No file of this process gets beyond 2,000 bytes: EFBIG, as Python ignores SIGXFSZ.

    Not the one that pytest's own output may go to, either: for a few lines only.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def wide_solver(workspace: Workspace, **fields: Any) -> caffe.SGDSolver:
    """Weights of 64 × 200 floats."""
    workspace.net(("num_output: 4", "num_output: 200"))
    return caffe.get_solver(str(workspace.solver(**fields)))


WAYS: dict[str, Any] = {
    "snapshot": (lambda solver: solver.snapshot(), {}, "mini_iter_0.caffemodel"),
    "step": (lambda solver: solver.step(1), {"snapshot": 1}, "mini_iter_1.caffemodel"),
    "solve": (lambda solver: solver.solve(), {"max_iter": 2}, "mini_iter_2.caffemodel"),
    "save": (lambda solver: solver.net.save("w.caffemodel"), {}, "w.caffemodel"),
    "save_hdf5": (lambda solver: solver.net.save_hdf5("w.h5"), {}, "w.h5"),
    "snapshot HDF5": (
        lambda solver: solver.snapshot(),
        {"snapshot_format": "HDF5"},
        "mini_iter_0.caffemodel.h5",
    ),
}


@pytest.mark.parametrize(("write", "fields", "name"), WAYS.values(), ids=WAYS)
def test_a_full_disk_leaves_the_old_file(
    workspace: Workspace,
    write: Any,
    fields: dict[str, Any],
    name: str,
) -> None:
    solver = wide_solver(workspace, **fields)
    Path(name).write_bytes(b"old")
    before = set(Path().iterdir())
    with small_files(), pytest.raises((caffe.CaffeError, OSError), match=name):
        write(solver)
    assert Path(name).read_bytes() == b"old"
    assert set(Path().iterdir()) == before


def test_a_solver_goes_on_after_a_snapshot_that_failed(workspace: Workspace) -> None:
    """Of `step`, the error comes when its iterations are done, unless a later one is written."""
    Path("mini_iter_2.caffemodel").mkdir()
    solver = caffe.get_solver(str(workspace.solver(snapshot=2)))
    solver.step(5)
    assert solver.iter == 5
    assert Path("mini_iter_4.solverstate").is_file()
    Path("mini_iter_6.caffemodel").mkdir()
    with pytest.raises(caffe.CaffeError, match=r"Cannot write mini_iter_6\.caffemodel"):
        solver.step(2)
    assert solver.iter == 7
    solver.step(1)
    assert Path("mini_iter_8.solverstate").is_file()


def test_the_tool_caffe_goes_on_too(workspace: Workspace) -> None:
    Path("mini_iter_4.caffemodel").mkdir()
    solver = workspace.solver(snapshot=4, max_iter=6)
    done = run_caffe("train", f"--solver={solver}", cwd=workspace.folder)
    assert done.returncode == 0
    assert "NO SNAPSHOT after iteration 4: Cannot write mini_iter_4.caffemodel" in done.stderr
    assert Path("mini_iter_6.solverstate").is_file()
    Path("mini_iter_6.caffemodel").unlink()
    Path("mini_iter_6.caffemodel").mkdir()
    done = run_caffe("train", f"--solver={solver}", cwd=workspace.folder)
    assert done.returncode != 0
    assert "Cannot write mini_iter_6.caffemodel" in done.stderr


def test_a_snapshot_in_place_of_a_link_follows_it(workspace: Workspace) -> None:
    Path("elsewhere").mkdir()
    Path("mini_iter_0.caffemodel").symlink_to("elsewhere/w.caffemodel")
    Path("elsewhere/w.caffemodel").write_bytes(b"")
    caffe.get_solver(str(workspace.solver())).snapshot()
    assert Path("mini_iter_0.caffemodel").is_symlink()
    net = caffe_pb2.NetParameter()
    net.ParseFromString(Path("elsewhere/w.caffemodel").read_bytes())
    assert net.name == "mini"


def test_a_file_asks_for_a_stop(workspace: Workspace) -> None:
    class Touching(Notes):
        def step(self, step: Step) -> None:
            if step.done == 3:
                Path("run/stop").touch()

    Path("run").mkdir()
    Path("run/stop").touch()  # an old one stops nothing
    with pytest.raises(Interrupted, match=r"go on with: .* --resume") as stop:
        train(workspace.solver(max_iter=10**9), run=Path("run"), progress=Touching())
    assert stop.value.signum == signal.SIGTERM
    assert stop.value.iteration >= 3
    assert stop.value.snapshot.is_file()
    assert not Path("run/stop").exists()

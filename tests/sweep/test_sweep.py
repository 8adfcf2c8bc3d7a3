"""Sweeps that run: what they leave, and that whatever stops them does not change it."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.conftest import write_lmdb
from ul2q.cli import main
from ul2q.evaluation import evaluate
from ul2q.runs.progress import read_progress
from ul2q.runs.record import DONE, FAILED, RUNNING, WAITING, Record
from ul2q.sweep.display import Lines, LiveTable
from ul2q.sweep.jobs import share_of_threads
from ul2q.sweep.lock import locked
from ul2q.sweep.results import results_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Workspace

COMMAND = [sys.executable, "-c", "import sys; from ul2q.cli import main; sys.exit(main())"]
PATIENCE = 60.0  # seconds

SPEC = """\
nets:
  mini: {net: net.prototxt, solver: solver.prototxt}
methods: {float: , ul2q: [1, 2]}
quantized: {from: float}
"""
RUNS = ["mini-float-seed1", "mini-ul2q-1bit-seed1", "mini-ul2q-2bit-seed1"]


def sweep(*arguments: str, spec: str = SPEC) -> int:
    """`ul2q sweep s.yaml --runs runs`."""
    Path("s.yaml").write_text(spec, encoding="utf-8")
    return main(["sweep", "s.yaml", "--runs", "runs", *arguments])


def record(run: str, runs: str = "runs") -> dict[str, Any]:
    entries: dict[str, Any] = json.loads(Path(runs, run, "run.json").read_text(encoding="utf-8"))
    return entries


def results(runs: str = "runs") -> list[dict[str, str]]:
    with Path(runs, "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def begun(output: str) -> list[str]:
    """The runs that were begun, by what a sweep printed."""
    return re.findall(r"^(\S+): running$", output, re.MULTILINE)


@pytest.mark.usefixtures("workspace")
def test_a_sweep_leaves_what_the_runs_came_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--table", "table.md") == 0
    printed = capsys.readouterr().out
    assert begun(printed) == RUNS
    rows = results()
    assert [row["run"] for row in rows] == RUNS
    for row in rows:
        folder = Path("runs", row["run"])
        with (folder / "log.csv").open(newline="", encoding="utf-8") as file:
            last = list(csv.DictReader(file))[-1]
        trained = (folder / "output.txt").read_text(encoding="utf-8").splitlines()[-1]
        assert float(row["accuracy"]) == float(last["test_accuracy"])
        assert trained == f"test accuracy: {float(row['accuracy']):.4f}"
        assert float(row["loss"]) == float(last["test_loss"])
        assert float(row["seconds"]) == float(last["seconds"])
        assert (row["status"], row["net"], row["seed"], row["iterations"]) == (
            DONE,
            "mini",
            "1",
            "20",
        )
        entries = record(row["run"])
        for name in ("status", "method", "variant"):
            assert entries[name] == row[name]
        assert entries["accuracy"] == float(row["accuracy"])
        assert (folder / "quantization.csv").exists() == (row["method"] != "float")
        assert (folder / f"{row['run']}_iter_20.caffemodel").is_file()
    assert [row["bits"] for row in rows] == ["", "1", "2"]
    assert [row["float_run"] for row in rows] == ["", RUNS[0], RUNS[0]]
    assert [record(run)["bits"] for run in RUNS] == [None, 1, 2]
    assert [record(run)["float_run"] for run in RUNS] == [None, RUNS[0], RUNS[0]]
    assert Path("runs/sweep.yaml").read_text(encoding="utf-8") == SPEC
    float_, one, two = (f"{100 * float(row['accuracy']):.2f}" for row in rows)
    assert Path("table.md").read_text(encoding="utf-8").splitlines() == [
        "Test accuracy in % on 20 images, by `ul2q sweep s.yaml`.",
        "",
        "| method | 1 bit | 2 bit | float |",
        "| --- | --- | --- | --- |",
        f"| float |  |  | {float_} |",
        f"| ul2q | {one} | {two} |  |",
    ]
    # What is done is not done again.
    before = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("*/*.caffemodel")}
    assert sweep("--table", "table.md") == 1
    assert "--force" in capsys.readouterr().err
    assert sweep("--table", "table.md", "--force") == 0
    assert begun(capsys.readouterr().out) == []
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.usefixtures("workspace")
def test_fine_tuning_begins_from_the_float_weights() -> None:
    variants = "variants: {scratch: {bits: 2, from: scratch}}\n"
    assert sweep(spec=SPEC + "  \n" + variants + "set: {base_lr: 0}\n") == 0

    def weights(run: str) -> Any:
        net = str(Path("runs", run, "train_test.prototxt"))
        model = str(Path("runs", run, f"{run}_iter_20.caffemodel"))
        return caffe.Net(net, caffe.TEST, weights=model).params["ip"][0].data.copy()

    start = weights(RUNS[0])
    assert np.array_equal(weights(RUNS[2]), start)
    scratch = weights(f"{RUNS[2]}-scratch")
    # The same seed fills both alike; at another the start is another.
    assert np.array_equal(scratch, start)
    other = SPEC.replace("from: float", "from: float, set: {base_lr: 0}") + "seeds: 2\n"
    assert sweep(spec=other) == 0
    trained = weights("mini-float-seed2")
    assert not np.array_equal(trained, start)
    assert np.array_equal(weights("mini-ul2q-2bit-seed2"), trained)


def test_results_are_those_of_the_layers_whatever_they_are_called(workspace: Workspace) -> None:
    workspace.net(
        ('top: "accuracy"', 'top: "loss3/top-1"'),
        ('top: "loss" }', 'top: "loss3/loss3" }'),
        (
            'layer { name: "accuracy"',
            'layer { name: "1" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" '
            'accuracy_param { top_k: 2 } include { phase: TEST } } layer { name: "accuracy"',
        ),
    )
    assert sweep("--only", RUNS[0]) == 0
    (row,) = results()
    with Path("runs", RUNS[0], "log.csv").open(newline="", encoding="utf-8") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(row["accuracy"]) == float(last["test_loss3/top-1"])
    assert float(row["loss"]) == float(last["test_loss3/loss3"])


def test_a_run_whose_last_test_is_not_finite_has_failed(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """The update before it, by a rate that is infinite, makes the weights NaN."""
    workspace.solver(display=0, base_lr=2, lr_policy='"multistep"', stepsize=None, stepvalue=19,
                     gamma=3e38)  # fmt: skip
    only = ("--only", RUNS[0])
    assert sweep(*only) == 1
    assert "test output 'loss' is nan" in record(RUNS[0])["error"]
    assert [(row["status"], row["accuracy"]) for row in results()] == [("failed", "")]
    assert sweep(*only, "--retry-failed") == 1
    assert record(RUNS[0])["status"] == "failed"
    capsys.readouterr()
    assert sweep(*only) == 1
    out, err = capsys.readouterr()
    assert "100.00" not in out
    assert f"1 of 1 runs failed: {RUNS[0]}" in err


@pytest.mark.usefixtures("workspace")
def test_results_are_those_of_the_weights_wherever_training_ends() -> None:
    assert sweep("--only", RUNS[0], spec=SPEC + "set: {max_iter: 18}\n") == 0
    (row,) = results()
    weights = Path("runs", RUNS[0], f"{RUNS[0]}_iter_18.caffemodel")
    reached = evaluate(Path("net.prototxt"), weights)
    assert np.float32(row["accuracy"]) == np.float32(reached["accuracy"])
    assert np.float32(row["loss"]) == np.float32(reached["loss"])


def test_a_run_out_of_patience_is_done(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its last test is what it came to, and its last weights are where others begin."""
    workspace.solver(
        base_lr=3, lr_policy='"fixed"', max_iter=60, test_interval=2, test_iter=3, snapshot=2
    )
    spec = SPEC.replace("ul2q: [1, 2]", "ul2q: 2") + "patience: 2\n"
    spec = spec.replace("from: float", "from: float, set: {base_lr: 0}")
    assert sweep(spec=spec) == 0
    rows = {row["run"]: row for row in results()}
    assert list(rows) == [RUNS[0], RUNS[2]]
    for run, row in rows.items():
        stop = json.loads(Path("runs", run, "early_stop.json").read_text(encoding="utf-8"))
        assert row["status"] == DONE
        assert int(row["iterations"]) == stop["iteration"] < 60
        with Path("runs", run, "log.csv").open(newline="", encoding="utf-8") as file:
            last = list(csv.DictReader(file))[-1]
        assert (last["iteration"], last["test_accuracy"]) == (row["iterations"], row["accuracy"])
        assert "stopped early" in Path("runs", run, "output.txt").read_text(encoding="utf-8")

    def weights(run: str) -> Any:
        model = Path("runs", run, f"{run}_iter_{rows[run]['iterations']}.caffemodel")
        net = str(Path("runs", run, "train_test.prototxt"))
        return caffe.Net(net, caffe.TEST, weights=str(model)).params["ip"][0].data.copy()

    assert np.array_equal(weights(RUNS[0]), weights(RUNS[2]))  # which learned nothing
    capsys.readouterr()
    assert sweep(spec=spec) == 0
    assert begun(capsys.readouterr().out) == []
    assert sweep(spec=spec.replace("patience: 2", "patience: 3")) == 1
    assert "patience was 2, is 3" in capsys.readouterr().err


def test_lenet_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    random = np.random.default_rng(1)
    for part in ("train", "test"):
        images = random.integers(0, 256, (50, 1, 28, 28), dtype=np.uint8)
        write_lmdb(tmp_path / "data" / f"{part}_lmdb", images, np.arange(50) % 10)
    spec = """\
nets: {lenet: {data: data}}
methods: {float: , ul2q: 2, ternary: }
quantized: {last_bits: 8, from: float, set: {base_lr: 1e-3}}
set: {max_iter: 3, test_interval: 3, test_iter: 1, test_initialization: false, display: 1}
"""
    assert sweep(spec=spec) == 0
    rows = results()
    assert [(row["method"], row["bits"]) for row in rows] == [
        ("float", ""),
        ("ul2q", "2"),
        ("ternary", "2"),
    ]
    for row in rows:
        with Path("runs", row["run"], "log.csv").open(newline="") as file:
            rates = {float(line["learning_rate"]) for line in csv.DictReader(file)}
        assert rates == {0.05 if row["method"] == "float" else 0.001}


def long_runs(workspace: Workspace) -> None:
    """Runs of a second or so, which write snapshots every 100 iterations."""
    workspace.solver(max_iter=2000, test_interval=500, display=20, snapshot=100, stepsize=1000)


def end_state(runs: str) -> dict[str, Any]:
    """What must not depend on how often a sweep was stopped: weights, and tests by iteration."""
    state: dict[str, Any] = {}
    for run in RUNS:
        state[run] = Path(runs, run, f"{run}_iter_2000.caffemodel").read_bytes()
        with Path(runs, run, "log.csv").open(newline="", encoding="utf-8") as file:
            state[f"{run} tests"] = [
                (row["iteration"], row["test_accuracy"], row["test_loss"])
                for row in csv.DictReader(file)
                if row["test_accuracy"]
            ]
    state["results"] = [
        {key: value for key, value in row.items() if key != "seconds"} for row in results(runs)
    ]
    return state


@pytest.fixture(scope="module")
def uninterrupted() -> dict[str, Any]:
    """For `end_state`, filled by the first test that needs it."""
    return {}


def expect_uninterrupted(uninterrupted: dict[str, Any]) -> None:
    if not uninterrupted:
        assert main(["sweep", "s.yaml", "--runs", "reference"]) == 0
        uninterrupted |= end_state("reference")
    assert end_state("runs") == uninterrupted


def wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.01)


def is_under_way(run: str) -> bool:
    return read_progress(Path("runs", run)).iterations > 250


@pytest.mark.parametrize(
    ("signum", "status"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
)
def test_a_sweep_goes_on_where_it_was_stopped(
    workspace: Workspace,
    capsys: pytest.CaptureFixture[str],
    uninterrupted: dict[str, Any],
    signum: int,
    status: int,
) -> None:
    long_runs(workspace)
    Path("s.yaml").write_text(SPEC, encoding="utf-8")
    command = [*COMMAND, "sweep", "s.yaml", "--runs", "runs"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        wait_until(lambda: is_under_way(RUNS[1]) or it.poll() is not None)
        it.send_signal(signum)
        printed, errors = it.communicate(timeout=PATIENCE)
    assert it.returncode == status
    assert begun(printed) == RUNS[:2]
    if signum != signal.SIGKILL:
        assert "the same command goes on" in errors
        assert [record(run)["status"] for run in RUNS] == ["done", "stopped", "waiting"]
        assert 250 < record(RUNS[1])["iterations"] < 2000
    assert sweep() == 0
    assert begun(capsys.readouterr().out) == RUNS[1:]
    expect_uninterrupted(uninterrupted)
    # It did go on: the log's first rows are those of the first call.
    assert Path("runs", RUNS[1], "output.txt").read_text().count("iteration 0/2000") == 1


def test_a_run_that_is_killed_does_not_end_the_sweep(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], uninterrupted: dict[str, Any]
) -> None:
    long_runs(workspace)
    Path("s.yaml").write_text(SPEC, encoding="utf-8")
    command = [*COMMAND, "sweep", "s.yaml", "--runs", "runs"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as it:
        wait_until(lambda: is_under_way(RUNS[1]) or it.poll() is not None)
        children = Path(f"/proc/{it.pid}/task/{it.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGKILL)
        _, errors = it.communicate(timeout=PATIENCE)
    assert it.returncode == 1
    assert RUNS[1].encode() in errors
    assert [record(run)["status"] for run in RUNS] == ["done", "failed", "done"]
    assert record(RUNS[1])["error"] == "killed by SIGKILL"
    assert sweep() == 1  # it stays failed
    assert begun(capsys.readouterr().out) == []
    assert sweep("--retry-failed") == 0
    assert begun(capsys.readouterr().out) == [RUNS[1]]
    expect_uninterrupted(uninterrupted)


@pytest.mark.usefixtures("workspace")
def test_a_run_that_fails_does_not_end_the_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    spec = SPEC + "variants: {wild: {bits: 1, set: {base_lr: 1e38}}}\n"
    assert sweep(spec=spec) == 1
    streams = capsys.readouterr()
    wild = f"{RUNS[1]}-wild"
    assert [row["status"] for row in results()] == ["done", "done", "failed", "done"]
    assert "lower base_lr" in record(wild)["error"]
    assert f"1 of 4 runs failed: {wild}" in streams.err
    assert re.search(r"^ul2q, wild$", streams.out, re.MULTILINE)
    # Without its float run none begins.
    assert sweep("--redo", spec=SPEC + "float: {set: {base_lr: 1e38}}") == 1
    streams = capsys.readouterr()
    assert begun(streams.out) == RUNS[:1]
    assert f"not begun without their float run: {RUNS[1]}, {RUNS[2]}" in streams.err
    assert [record(run)["status"] for run in RUNS] == ["failed", "waiting", "waiting"]


@pytest.mark.usefixtures("workspace")
def test_two_runs_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep() == 0
    alone = {row["run"]: row["accuracy"] for row in results()}
    capsys.readouterr()
    Path("runs").rename("before")
    assert sweep("--jobs", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    # The two that need the float run overlap.
    assert lines[2:4] == [f"{run}: running" for run in RUNS[1:]]
    assert {row["run"]: row["accuracy"] for row in results()} == alone
    assert sweep("--jobs", "0") == 1


@pytest.mark.parametrize(
    ("given", "jobs", "share"),
    [("6", 1, None), ("6", 2, "3"), ("6", 4, "1"), ("1", 2, "1"), (None, 1, None), (None, 4, "2")],
)
def test_runs_share_the_threads(
    monkeypatch: pytest.MonkeyPatch, given: str | None, jobs: int, share: str | None
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert share_of_threads(jobs) == ({} if share is None else {"OMP_NUM_THREADS": share})


@pytest.mark.usefixtures("workspace")
def test_one_sweep_at_a_time(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs").mkdir()
    with locked(Path("runs"), print):
        assert sweep() == 1
    assert f"runs is in use by the sweep of process {os.getpid()}" in capsys.readouterr().err
    assert sweep("--only", RUNS[0]) == 0


@pytest.mark.usefixtures("workspace")
def test_a_file_that_changes(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--only", "*1bit*") == 0
    assert begun(capsys.readouterr().out) == RUNS[:2]
    # More runs are added.
    assert sweep() == 0
    assert begun(capsys.readouterr().out) == RUNS[2:]
    # Other options under the same name are refused, and nothing is touched.
    before = {path: path.read_bytes() for path in Path("runs").rglob("*") if path.is_file()}
    changed = SPEC + "variants: {}\nfloat: {set: {base_lr: 0.05}}\n"
    assert sweep(spec=changed) == 1
    error = capsys.readouterr().err
    for word in (RUNS[0], "solver.base_lr was 0.1, is 0.05", "2 more runs", "--redo"):
        assert word in error
    assert {path: path.read_bytes() for path in before} == before
    # What began from a float run that is done anew is done anew, too.
    assert sweep("--redo", spec=changed) == 0
    assert begun(capsys.readouterr().out) == RUNS
    # Another net is told as well.
    net = Path("net.prototxt")
    net.write_text("# A comment.\n" + net.read_text(encoding="utf-8"), encoding="utf-8")
    assert sweep(spec=changed) == 0
    text = net.read_text(encoding="utf-8").replace("std: 0.1", "std: 0.2")
    net.write_text(text, encoding="utf-8")
    assert sweep(spec=changed) == 1
    assert "the net's prototxt has changed" in capsys.readouterr().err


@pytest.mark.usefixtures("workspace")
def test_a_dry_run_only_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == RUNS
    assert {line.split()[-1] for line in lines[1:]} == {"waiting"}
    assert not Path("runs").exists()
    assert sweep("--only", RUNS[0]) == 0
    capsys.readouterr()
    assert sweep("--dry-run") == 0
    assert [line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["20", "scratch", "done"],
        ["20", RUNS[0], "waiting"],
        ["20", RUNS[0], "waiting"],
    ]


@pytest.mark.usefixtures("workspace")
def test_results_stand_in_the_order_of_the_file() -> None:
    """Neither in that of the alphabet nor in that in which the runs were done."""
    spec = SPEC.replace("{float: , ul2q: [1, 2]}", "{ul2q: [2, 1], binary: , float: }")
    float_, two, one, binary = (
        f"mini-{run}-seed1" for run in ("float", "ul2q-2bit", "ul2q-1bit", "binary-1bit")
    )
    for only, rows in (
        (("--only", "*binary*"), [float_, binary]),
        (("--only", "*1bit*"), [float_, one, binary]),
        ((), [float_, two, one, binary]),
        (("--only", "*binary*"), [float_, two, one, binary]),
    ):
        assert sweep(*only, spec=spec) == 0
        assert [row["run"] for row in results()] == rows
    # What the file has no longer comes last.
    assert sweep("--only", float_, spec=spec.replace("[2, 1], binary: ", "1")) == 0
    assert [row["run"] for row in results()] == [float_, one, binary, two]


@pytest.mark.usefixtures("workspace")
def test_a_dry_run_knows_a_run_that_was_killed(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("--only", RUNS[0]) == 0
    entries = record(RUNS[0]) | {"status": RUNNING}
    Path("runs", RUNS[0], "run.json").write_text(json.dumps(entries), encoding="utf-8")

    def status() -> str:
        capsys.readouterr()
        assert sweep("--dry-run") == 0
        return capsys.readouterr().out.splitlines()[1].split()[-1]

    assert status() == "stopped"
    with locked(Path("runs"), print):
        assert status() == "running"


@pytest.mark.usefixtures("workspace")
def test_a_refused_sweep_leaves_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep(spec=SPEC.replace("solver.prototxt}", "solver.prototxt, data: gone}")) == 1
    assert "gone/train_lmdb is no LMDB" in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.parametrize("name", ["log.csv", "mini_iter_20.solverstate"])
@pytest.mark.usefixtures("workspace")
def test_the_folder_of_a_single_run_is_refused(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["train", "solver.prototxt", "--run", "runs"]) == 0
    for path in list(Path("runs").iterdir()):
        if path.name != name:
            path.unlink()
    before = {path: path.read_bytes() for path in Path("runs").iterdir()}
    assert sweep() == 1
    error = capsys.readouterr().err
    assert "runs is the folder of a single run, of `ul2q train --run`: choose another" in error
    assert {path: path.read_bytes() for path in Path("runs").iterdir()} == before


def damage_a_record() -> None:
    Path("runs", RUNS[0], "run.json").write_text("{", encoding="utf-8")


def rename_a_run() -> None:
    Path("runs", RUNS[0]).rename(Path("runs", RUNS[1]))


def lose_a_record() -> None:
    Path("runs", RUNS[0], "run.json").unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (damage_a_record, [f"runs/{RUNS[0]}/run.json", "damaged"]),
        (rename_a_run, [f"runs/{RUNS[1]}", repr(RUNS[0])]),
        (lose_a_record, [f"runs/{RUNS[0]}", "no run.json"]),
    ],
)
@pytest.mark.usefixtures("workspace")
def test_a_damaged_folder_is_told(
    capsys: pytest.CaptureFixture[str], harm: Callable[[], None], words: list[str]
) -> None:
    assert sweep("--only", RUNS[0]) == 0
    harm()
    assert sweep() == 1
    error = capsys.readouterr().err
    for word in words:
        assert word in error


def test_missing_data_are_told_before_a_run_begins(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = SPEC.replace("solver.prototxt}", "solver.prototxt, data: gone}")
    assert sweep(spec=spec) == 1
    assert "gone/train_lmdb" in capsys.readouterr().err
    (workspace.folder / "data").rename("gone")
    assert sweep(spec=spec) == 0


def made_record(method: str, bits: int | None, accuracy: float | None, **more: Any) -> Record:
    entries: dict[str, Any] = {"net": "a", "seed": 1, "variant": "", "status": DONE, **more}
    name = f"{entries['net']}-{method}-{bits}bit-seed{entries['seed']}-{entries['variant']}"
    return Record(
        run=name, method=method, bits=bits, options={}, float_run=None, accuracy=accuracy, **entries
    )


def test_the_table_of_results() -> None:
    records = [
        made_record("float", None, 0.9, seed=1),
        made_record("float", None, 0.8, seed=2),
        made_record("ul2q", 8, 0.85),
        made_record("ul2q", 2, 0.5, status=RUNNING),
        made_record("ul2q", 8, None, variant="v", loss=0.123456),
        made_record("ternary", 2, 0.75, net="b"),
    ]
    # Standard deviation of 90 and 80, by n - 1: 5 √2.
    assert results_table(records) == (
        ["method", "a 2 bit", "a 8 bit", "a float", "b 2 bit"],
        [
            ["float", None, None, "85.00 ± 7.07", None],
            ["ul2q", None, "85.00", None, None],
            ["ul2q, v", None, "loss 0.1235", None, None],
            ["ternary", None, None, None, "75.00"],
        ],
    )


def screen(text: str) -> list[str]:
    """What stands on a terminal after `text`: an emulator of the few codes that are used."""
    rows, row = [""] * 100, 0
    for part in re.findall(r"\x1b\[(\d*)([A-Z])|([^\x1b\r\n]+)|(\n)", text):
        count, code, words, newline = part
        if code == "A":
            row -= int(count)
        elif code == "J":
            rows[row:] = [""] * (len(rows) - row)
        elif words:
            rows[row] = words
        elif newline:
            row += 1
    return [line for line in rows if line]


def received(terminal: int) -> str:
    """What a terminal was sent; it may come in several pieces."""
    pieces = []
    while select.select([terminal], [], [], 0.3)[0]:
        pieces.append(os.read(terminal, 100000))
    return b"".join(pieces).decode()


def test_the_live_table(tmp_path: Path) -> None:
    height, width = 8, 90
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    records = [made_record("ul2q", bits, None, status=WAITING) for bits in range(1, 10)]
    running, failed, done = records[2], records[3], records[4]
    (tmp_path / running.run).mkdir()
    (tmp_path / running.run / "log.csv").write_text(
        "iteration,seconds,train_loss,test_accuracy\n0,1,3,0.5\n25,50,1.5,\n"
    )
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        table = LiveTable(stream, tmp_path, records, {record.run: 100 for record in records})
        table.tick()
        for one, status in ((running, RUNNING), (failed, FAILED), (done, DONE)):
            one.status = status
            failed.error, done.accuracy = "out of patience, and more of that " * 5, 0.75
            table.changed(one)
        table.say("hello")
        written = received(ours)
        table.close()
        left = screen(written + received(ours))
    shown = screen(written)
    os.close(ours)
    assert [line.split()[0] for line in shown] == [
        f"{failed.run}:",
        f"{done.run}:",
        "hello",
        "9",
        *(record.run for record in (running, failed, done, *records[:2])),
    ]
    assert shown[0].startswith(f"{failed.run}: failed out of patience")
    assert shown[1] == f"{done.run}: done accuracy 0.7500  0 iterations in 0:00"
    assert shown[3] == "9 runs: 1 running, 1 failed, 1 done, 6 waiting"
    # 25 of 100 iterations took 50 seconds.
    assert shown[4].split("running  ")[1] == "25/100  loss 1.5000  accuracy 0.5000  2:30 left"
    assert all(len(line) < width for line in shown[3:])
    assert left == shown[:3]


def test_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines(sys.stdout)
    lines.changed(made_record("ul2q", 2, None, status=RUNNING))
    lines.changed(made_record("ul2q", 2, 0.5, loss=0.25, iterations=20, seconds=61.0))
    lines.close()
    assert capsys.readouterr().out.splitlines() == [
        "a-ul2q-2bit-seed1-: running",
        "a-ul2q-2bit-seed1-: done accuracy 0.5000  loss 0.2500  20 iterations in 1:01",
    ]

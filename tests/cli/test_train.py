"""`ul2q train`: in this process where it can be, as a process for signals and terminals."""

from __future__ import annotations

import csv
import re
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from caffe.proto import caffe_pb2

from tests.cli.processes import PATIENCE, on_a_terminal, running, wait_for_rows
from ul2q.cli import main

if TYPE_CHECKING:
    from tests.conftest import Workspace


@pytest.mark.usefixtures("workspace")
def test_train_prints_lines_and_ends_with_the_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "solver.prototxt", "--run", "run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"iteration 0  test accuracy 0\.\d{4}  loss \d\.\d{4}", lines[0])
    number = r"\d+\.\d+"
    report = rf"iteration 8/20  loss {number}  lr 0\.05  {number} it/s  0:\d\d left"
    assert sum(bool(re.fullmatch(report, line)) for line in lines) == 1
    assert lines[-5:-1] == [
        "snapshot: run/mini_iter_20.solverstate",
        "weights: run/mini_iter_20.caffemodel",
        "log: run/log.csv",
        "data: data/train_lmdb, data/test_lmdb",
    ]
    with Path("run/log.csv").open(newline="") as file:
        accuracy = float(list(csv.DictReader(file))[-1]["test_accuracy"])
    assert lines[-1] == f"test accuracy: {accuracy:.4f}"


def test_the_accuracy_is_that_of_the_layer_whatever_it_is_called(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.net(
        ('top: "accuracy"', 'top: "z/top-1"'),
        (
            'layer { name: "accuracy"',
            'layer { name: "5" type: "Accuracy" bottom: "drop" bottom: "label" top: "accuracy" '
            'accuracy_param { top_k: 2 } include { phase: TEST } } layer { name: "accuracy"',
        ),
    )
    assert main(["train", "solver.prototxt", "--best"]) == 0
    *_, best, last = capsys.readouterr().out.splitlines()
    assert best.startswith("best: mini_best.caffemodel (z/top-1 ")
    assert last.startswith("test z/top-1: ")
    assert main(["test", "net.prototxt", "mini_iter_20.caffemodel"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == last


def test_train_without_an_accuracy_prints_every_output(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.net(('type: "Accuracy" bottom: "drop"', 'type: "HingeLoss" bottom: "drop"'),
                  ('top: "accuracy"', 'top: "hits"'))  # fmt: skip
    workspace.solver()
    assert main(["train", "solver.prototxt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.rpartition(" ")[0] for line in lines[-2:]} == {"test hits:", "test loss:"}


def test_several_test_nets_are_called_alike_throughout(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.solver(
        net=None,
        train_net='"net.prototxt"',
        test_net=['"net.prototxt"', '"net.prototxt"'],
        test_iter=[4, 2],
    )
    assert main(["train", "solver.prototxt", "--run", "run"]) == 0
    out = capsys.readouterr().out.splitlines()
    for i in (0, 1):
        assert any(line.startswith(f"iteration 20  test{i} accuracy") for line in out)
    assert [line.partition(":")[0] for line in out[-3:]] == [
        "test1 accuracy",
        "test1 loss",
        "test0 accuracy",
    ]
    assert "test0_accuracy" in Path("run/log.csv").read_text(encoding="utf-8")


def test_weights_and_data_reach_training(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", "solver.prototxt"])
    trained = capsys.readouterr().out.splitlines()[-1]
    (workspace.folder / "data").rename("moved")
    workspace.solver(max_iter=1, test_interval=1, base_lr=0)
    weights = ["--weights", "mini_iter_20.caffemodel"]
    assert main(["train", "solver.prototxt", *weights, "--data", "moved"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == trained


def test_several_weights_have_commas_between_them_and_the_last_counts(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", "solver.prototxt"])
    trained = capsys.readouterr().out.splitlines()[-1]
    message = caffe_pb2.NetParameter.FromString(Path("mini_iter_20.caffemodel").read_bytes())
    for layer in message.layer:
        for blob in layer.blobs:
            blob.data[:] = [0] * len(blob.data)
    Path("zeros.caffemodel").write_bytes(message.SerializeToString())
    workspace.solver(max_iter=1, test_interval=1, base_lr=0)
    found = {}
    for weights in (
        "zeros.caffemodel,mini_iter_20.caffemodel",
        "mini_iter_20.caffemodel, zeros.caffemodel",
    ):
        assert main(["train", "solver.prototxt", "--weights", weights]) == 0
        found[weights[:4]] = capsys.readouterr().out.splitlines()[-1]
    assert found["zero"] == trained
    assert found["mini"] != trained
    gone = "mini_iter_20.caffemodel,gone.caffemodel"
    assert main(["train", "solver.prototxt", "--weights", gone]) != 0
    assert "gone.caffemodel" in capsys.readouterr().err


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_in_a_snapshot_to_go_on_from(
    workspace: Workspace, signum: signal.Signals, status: int
) -> None:
    workspace.solver(max_iter=10_000_000, test_interval=50, display=1)
    arguments = ["train", "solver.prototxt", "--run", "a run", "--data", "data"]
    log = Path("a run/log.csv")
    with running(*arguments) as process:
        wait_for_rows(process, log, 60)
        process.send_signal(signum)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    match = re.fullmatch(
        r"ul2q: interrupted after (\d+) iterations, snapshot (.+\.solverstate); "
        r"go on with: ul2q (.+)\n",
        stderr,
    )
    assert match, stderr
    done, snapshot, command = int(match[1]), match[2], shlex.split(match[3])
    assert snapshot == f"a run/mini_iter_{done}.solverstate"
    assert command == [*arguments, "--resume"]
    assert log_iterations(log) == list(range(done))

    workspace.solver(max_iter=done + 7, test_interval=50, display=1)
    assert main(command) == 0
    assert log_iterations(log) == list(range(done + 8))
    assert Path(f"a run/mini_iter_{done + 7}.caffemodel").is_file()


def test_a_second_run_in_a_folder_is_refused(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.solver(max_iter=10_000_000, display=1)
    command = ["train", "solver.prototxt", "--run", "run"]
    with running(*command) as process:
        wait_for_rows(process, Path("run/log.csv"), 3)
        recorded = Path("run/solver.prototxt").read_bytes()
        for more in ([], ["--resume"]):
            assert main([*command, "--set", "base_lr=0.01", *more]) == 1
            assert f"run is in use by the run of process {process.pid}" in capsys.readouterr().err
        assert Path("run/solver.prototxt").read_bytes() == recorded
        assert process.poll() is None
    # It was killed; its lock is gone with it.
    assert main([*command, "--set", "max_iter=5", "--resume"]) == 0


def test_train_options_reach_the_run(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.solver(snapshot=2)
    options = ["--set", "base_lr=0.05", "--set", "display=1", "--epochs", "2", "--keep", "3"]
    command = ["train", "solver.prototxt", "--run", "run", *options, "--best", "--tensorboard"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert re.search(
        r"^best: run/mini_best\.caffemodel \(accuracy \d\.\d{4} after", out, re.MULTILINE
    )
    assert "finished already" not in out
    assert {path.name for path in Path("run").glob("*.solverstate")} == {
        f"mini_iter_{n}.solverstate" for n in (4, 6, 8)
    }
    assert "base_lr: 0.05" in Path("run/solver.prototxt").read_text()
    assert list(Path("run").glob("events.out.tfevents.*"))
    assert log_iterations(Path("run/log.csv")) == list(range(9))

    assert main([*command, "--resume"]) == 0
    out = capsys.readouterr().out
    assert "finished already: 8 iterations" in out
    assert "weights: run/mini_iter_8.caffemodel" in out
    assert re.search(r"^test accuracy: \d\.\d{4}$", out, re.MULTILINE)


def test_a_damaged_snapshot_is_a_warning(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.solver(snapshot=8)
    assert main(["train", "solver.prototxt", "--run", "run"]) == 0
    Path("run/mini_iter_20.caffemodel").write_bytes(b"\xff")
    capsys.readouterr()
    assert main(["train", "solver.prototxt", "--run", "run", "--resume"]) == 0
    out, err = capsys.readouterr()
    assert "ul2q: warning: snapshot run/mini_iter_20.solverstate cannot be used" in err
    assert "going on from run/mini_iter_16.solverstate" in out


def test_a_signal_ends_a_test_too(workspace: Workspace) -> None:
    workspace.solver(test_iter=1_000_000_000)
    with running("train", "solver.prototxt", "--run", "run") as process:
        wait_for_rows(process, Path("run/log.csv"), 0)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "interrupted after 0 iterations" in stderr
    assert Path("run/mini_iter_0.solverstate").is_file()


def log_iterations(path: Path) -> list[int]:
    with path.open(newline="") as file:
        return [int(row["iteration"]) for row in csv.DictReader(file)]


def test_a_killed_run_leaves_a_readable_log(workspace: Workspace) -> None:
    workspace.solver(max_iter=10_000_000, display=1)
    log = Path("run/log.csv")
    with running("train", "solver.prototxt", "--run", "run") as process:
        wait_for_rows(process, log, 20)
    assert log.read_text().endswith("\n")
    iterations = log_iterations(log)
    assert iterations == list(range(len(iterations)))
    assert len(iterations) >= 20


@pytest.mark.parametrize("columns", [120, 0])
def test_training_on_a_terminal_has_a_live_bar(workspace: Workspace, columns: int) -> None:
    workspace.solver(max_iter=300)
    text = on_a_terminal("train", "solver.prototxt", columns=columns)
    bars = [update for update in text.split("\r") if "it/s" in update]
    last = r"300/300 \[0\d:\d\d<00:00, .*it/s, loss \d\.\d{4}, lr \S+\]"
    assert re.search(last, bars[-1])
    assert "iteration 5  test accuracy 0." in text
    assert re.match(r"test accuracy: \d\.\d{4}$", text.strip().splitlines()[-1])

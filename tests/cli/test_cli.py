"""The command line: in this process where it can be, as a process for signals and terminals."""

from __future__ import annotations

import csv
import fcntl
import os
import pty
import re
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ul2q.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Workspace

COMMAND = [sys.executable, "-c", "import sys; from ul2q.cli import main; sys.exit(main())"]
PATIENCE = 60.0  # seconds


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
    workspace.solver(test_interval=15)
    assert main(["train", "solver.prototxt"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "last test: after iteration 15 of 20" in lines
    assert {line.rpartition(" ")[0] for line in lines[-2:]} == {"test hits:", "test loss:"}


@pytest.mark.usefixtures("workspace")
def test_test_prints_what_train_found(capsys: pytest.CaptureFixture[str]) -> None:
    main(["train", "solver.prototxt"])
    trained = capsys.readouterr().out.splitlines()[-1]
    for extra in ([], ["--iterations", "4"], ["--data", "data"]):
        assert main(["test", "net.prototxt", "mini_iter_20.caffemodel", *extra]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1] == trained
        assert re.fullmatch(r"test loss: \d\.\d{4}", lines[0])
        assert len(lines) == 2


def test_warnings_of_a_test_look_like_all_others(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "solver.prototxt"]) == 0
    capsys.readouterr()
    workspace.net(("batch_size: 5", "batch_size: 8"))
    assert main(["test", "net.prototxt", "mini_iter_20.caffemodel"]) == 0
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("ul2q: warning: layer 'data': batch_size 8 does not divide 20")


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


def idx_files(folder: Path) -> None:
    """MNIST's four files with 3 and 2 images of 28×28."""
    folder.mkdir()
    for name, count in (("train", 3), ("t10k", 2)):
        header = (0x803).to_bytes(4, "big") + b"".join(
            n.to_bytes(4, "big") for n in (count, 28, 28)
        )
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + bytes(count * 28 * 28))
        header = (0x801).to_bytes(4, "big") + count.to_bytes(4, "big")
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(header + bytes(range(count)))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("output", [None, "here"])
def test_data_makes_lmdbs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    output: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    idx_files(tmp_path / "idx")
    arguments = ["data", name, "--from", "idx"] + (["-o", output] if output else [])
    assert main(arguments) == 0
    folder = output or f"data/{name}"
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith(": 3") for line in lines[:-2])
    assert lines[-2:] == [
        f"train: {folder}/train_lmdb (3 images of 1×28×28)",
        f"test: {folder}/test_lmdb (2 images of 1×28×28)",
    ]
    assert Path(folder, "train_lmdb", "data.mdb").is_file()
    (tmp_path / "idx" / "t10k-labels-idx1-ubyte").write_bytes(
        (0x801).to_bytes(4, "big") + (2).to_bytes(4, "big") + b"\7\7"
    )
    assert main(arguments) == 1
    assert "--force" in capsys.readouterr().err
    assert main([*arguments, "--force"]) == 0


BAD_CALLS = [
    ("train gone.prototxt", ["gone.prototxt"]),
    ("train bad.prototxt", ["bad.prototxt:1:1", "'max_itr'", "'max_iter'"]),
    ("train solver.prototxt --snapshot a --weights b", ["--snapshot", "--weights", "both"]),
    ("train solver.prototxt --snapshot mini.caffemodel", ["--weights", ".solverstate"]),
    ("train solver.prototxt --data gone", ["gone/train_lmdb", "ul2q data fashion-mnist"]),
    ("train unknown.prototxt", ["SDG", "SGD"]),
    ("test net.prototxt gone.caffemodel", ["gone.caffemodel"]),
    ("test net.prototxt net.prototxt", ["net.prototxt", "damaged"]),
    ("test net.prototxt solver.prototxt --iterations -1", ["at least 1", "-1"]),
    ("data mnist --from gone", ["gone"]),
    ("data fashion-mnist --from gone", ["gone"]),
]


@pytest.mark.parametrize(("line", "words"), BAD_CALLS)
def test_errors_are_one_line(
    workspace: Workspace,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    words: list[str],
) -> None:
    workspace.write("bad.prototxt", "max_itr: 3")
    workspace.solver(type='"SDG"', name="unknown.prototxt")
    monkeypatch.delenv("UL2Q_TRACEBACK", raising=False)
    assert main(shlex.split(line)) == 1
    (message,) = capsys.readouterr().err.splitlines()
    assert message.startswith("ul2q: error: ")
    for word in words:
        assert word in message
    monkeypatch.setenv("UL2Q_TRACEBACK", "1")
    with pytest.raises(Exception, match=re.escape(words[0])):
        main(shlex.split(line))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "data",
        "data mnist",
        "data cifar",
        "train",
        "test net.prototxt",
        "train a --iterations 3",
    ],
)
def test_wrong_usage_is_2(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert capsys.readouterr().err.startswith("usage: ul2q")


@pytest.mark.parametrize("line", ["--help", "train --help", "data mnist --help", "test --help"])
def test_help(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 0
    assert capsys.readouterr().out.startswith("usage: ul2q")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"ul2q \d+\.\d+\S*\n", capsys.readouterr().out)


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from ul2q.cli import main; main(['--help']);"
        "print({'caffe', 'numpy', 'google.protobuf', 'tqdm', 'lmdb'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "set()"


@contextmanager
def running(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`ul2q` with these arguments as a process, which does not outlive the block."""
    with subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_rows(process: subprocess.Popen[str], log: Path, rows: int) -> None:
    end = time.monotonic() + PATIENCE
    while not (log.exists() and log.read_text().count("\n") > rows):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "the run writes no log"
        time.sleep(0.02)


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


def on_a_terminal(*arguments: str, columns: int) -> str:
    """What `ul2q` with these arguments writes to a terminal of this width."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    with subprocess.Popen([*COMMAND, *arguments], stdout=inside) as process:
        os.close(inside)
        output = b""
        while True:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # how Linux says that the other side has closed
                break
            if not piece:
                break
            output += piece
    os.close(terminal)
    assert process.returncode == 0
    return output.decode()


@pytest.mark.parametrize("columns", [120, 0])
def test_training_on_a_terminal_has_a_live_bar(workspace: Workspace, columns: int) -> None:
    workspace.solver(max_iter=300)
    text = on_a_terminal("train", "solver.prototxt", columns=columns)
    bars = [update for update in text.split("\r") if "it/s" in update]
    last = r"300/300 \[0\d:\d\d<00:00, .*it/s, loss \d\.\d{4}, lr \S+\]"
    assert re.search(last, bars[-1])
    assert "iteration 5  test accuracy 0." in text
    assert re.match(r"test accuracy: \d\.\d{4}$", text.strip().splitlines()[-1])


def test_an_import_on_a_terminal_has_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    idx_files(tmp_path / "idx")
    text = on_a_terminal("data", "mnist", "--from", "idx", columns=80)
    assert "100%" in text
    assert "3/3" in text
    assert text.strip().splitlines()[-1].startswith("test: data/mnist/test_lmdb (2 images")


def test_a_reader_that_has_seen_enough_gets_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    run = subprocess.run(
        [*COMMAND, "methods"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (run.returncode, run.stderr) == (128 + signal.SIGPIPE, "")

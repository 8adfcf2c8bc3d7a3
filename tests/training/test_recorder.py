"""What a run records of itself, and that its model card tells the truth of the files beside it."""

from __future__ import annotations

import csv
import hashlib
import json
import platform
import re
import shutil
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import caffe
import numpy as np
import pytest

from tests.reporters import Notes
from ul2q.evaluation import evaluate
from ul2q.runs.run_file import RecordError
from ul2q.runs.training_record import read_training_record
from ul2q.training import Interrupted, train
from ul2q.training.progress import Reporter

if TYPE_CHECKING:
    from tests.conftest import Workspace

TWO_BITS = (
    ('type: "InnerProduct"', 'type: "QuantizedInnerProduct"'),
    ("inner_product_param", "quantization_param { weight { bits: 2 } } inner_product_param"),
)
RUN = Path("run")


def recorded(run: Path = RUN) -> dict[str, Any]:
    """The entry of training, read as any other program would."""
    entries: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return dict(entries["training"])


def card(run: Path = RUN) -> str:
    return (run / "README.md").read_text(encoding="utf-8")


def card_rows(run: Path = RUN) -> dict[str, dict[str, str]]:
    """The rows of the card's table of weights, by the files' names."""
    lines = [line for line in card(run).splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    end = next(i for i, row in enumerate(table) if i and row[0] == "layer")
    headings, _, *rows = table[:end]
    return {row[0].strip("`"): dict(zip(headings, row, strict=True)) for row in rows}


def test_what_is_recorded(workspace: Workspace) -> None:
    net = workspace.net(*TWO_BITS).read_text()
    train(workspace.solver(max_iter=5, name="first.prototxt", snapshot_prefix='"w"'))
    weights = Path("w_iter_5.caffemodel")
    before = datetime.now(timezone.utc).replace(microsecond=0)
    train(
        workspace.solver(),
        run=RUN,
        weights=[weights],
        settings=["base_lr=0.05"],
        best=True,
    )
    told = recorded()
    assert told["solver"] == "solver.prototxt"
    assert told["solver_text"] == Path("run/solver.prototxt").read_text()
    assert "base_lr: 0.05" in told["solver_text"]
    assert told["nets"] == {"net.prototxt": net}
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert told["weights"] == [{"path": "w_iter_5.caffemodel", "sha256": digest}]
    assert [(one["source"], one["records"]) for one in told["data"]] == [
        ("data/train_lmdb", 40),
        ("data/test_lmdb", 20),
    ]
    assert (told["seed"], told["multiply_adds"]) == (3, {"ip": 4 * 64})
    (session,) = told["sessions"]
    assert session["command"] == (
        "ul2q train solver.prototxt --weights w_iter_5.caffemodel --run run "
        "--set base_lr=0.05 --best"
    )
    assert (session["from_iteration"], session["iterations"]) == (0, 20)
    began, ended = (datetime.fromisoformat(session[name]) for name in ("began", "ended"))
    assert before <= began <= ended <= datetime.now(timezone.utc)
    versions = session["versions"]
    assert versions["numpy"] == np.__version__
    assert versions["python"] == platform.python_version()
    assert versions["caffe"].startswith(caffe.__version__)
    assert re.match(r"\d+\.\d+", versions["openblas"])
    assert re.match(r"\d+\.\d+\.\d+$", versions["onednn"])
    assert session["machine"]["cores"] >= 1
    assert session["machine"]["processor"]
    record = read_training_record(RUN)
    assert record is not None
    nets = record.all_nets()
    assert [state.phase for _, state in nets] == [caffe.TRAIN, caffe.TEST]
    assert {net.name for net, _ in nets} == {"mini"}


def test_threads_are_those_of_the_environment(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1,2")
    train(workspace.solver(), run=RUN)
    assert recorded()["sessions"][0]["threads"] == 1


def test_the_card_tells_the_accuracy_of_each_file(workspace: Workspace) -> None:
    """To the digits that are printed, by a test of that very file."""
    net = workspace.net(*TWO_BITS)
    result = train(workspace.solver(display=0), run=RUN, best=True)
    rows = card_rows()
    assert list(rows) == ["mini_best.caffemodel", "mini_iter_20.caffemodel"]
    for name, row in rows.items():
        tested = evaluate(net, RUN / name)
        assert row["test accuracy"] == f"{tested['accuracy']:.4f}"
    assert result.best is not None
    assert rows["mini_best.caffemodel"]["iterations"] == f"{result.best.iteration} of 20"
    assert rows["mini_iter_20.caffemodel"]["iterations"] == "20 of 20"
    text = card()
    assert "# mini: weights of 2 bits (ul2q)" in text
    assert "| ip | InnerProduct | 256 | ul2q, 2 bit | 256 |" in text
    # 256 codes of 2 bits, α and β; 4 biases.
    assert f"{(512 + 64 + 128) / 8000:.1f} kB for all 260 parameters" in text
    assert "- data/test_lmdb, 20 records" in text
    assert "- The seed is 3." in text
    loaded = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert loaded is not None
    names: dict[str, Any] = {}
    exec(loaded[1], names)
    assert names["net"].params["ip"][0].data.any()


class CardReader(Reporter):
    """Reads the card's table whenever a test has been told of, and after each iteration."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    def step(self, _: object) -> None:
        if (RUN / "README.md").exists() and "| file |" in card():
            for name, row in card_rows().items():
                if not self.seen or self.seen[-1] != (name, row["iterations"]):
                    self.seen.append((name, row["iterations"]))
                assert (RUN / name).is_file()


def test_the_card_is_written_anew_with_each_snapshot(workspace: Workspace) -> None:
    reader = CardReader()
    train(workspace.solver(snapshot=4, test_interval=10), run=RUN, keep=1, progress=reader)
    assert reader.seen == [
        (f"mini_iter_{done}.caffemodel", f"{done} of 20") for done in (4, 8, 12, 16, 20)
    ]
    train(workspace.solver(snapshot=4, test_interval=None, test_iter=None), run=Path("untested"))
    (row,) = card_rows(Path("untested")).values()
    assert row[""] == "the newest, not tested"


def test_a_readme_of_the_users_stays(workspace: Workspace) -> None:
    RUN.mkdir()
    (RUN / "README.md").write_text("mine")
    notes = Notes()
    train(workspace.solver(snapshot=4), run=RUN, progress=notes)
    assert card() == "mine"
    assert notes.warnings == ["run/README.md is not of `ul2q train`: no model card is written"]


def test_a_run_json_that_is_not_ours_stays(workspace: Workspace) -> None:
    RUN.mkdir()
    (RUN / "run.json").write_text("[1]")
    with pytest.raises(RecordError, match=r"run/run\.json is damaged: no JSON object"):
        train(workspace.solver(), run=RUN)
    assert (RUN / "run.json").read_text() == "[1]"
    assert not (RUN / "log.csv").exists()


def test_going_on_adds_a_session(workspace: Workspace) -> None:
    solver = workspace.solver(snapshot=10)
    train(solver, run=RUN)
    train(solver, run=RUN, resume=True, settings=["max_iter=30"])
    sessions = recorded()["sessions"]
    assert [(one["from_iteration"], one["iterations"]) for one in sessions] == [(0, 20), (20, 30)]
    assert sessions[1]["command"].endswith("--set max_iter=30 --resume")
    assert card_rows()["mini_iter_30.caffemodel"]["iterations"] == "30 of 30"
    before = (RUN / "run.json").read_bytes()
    assert train(solver, run=RUN, resume=True, settings=["max_iter=30"]).finished
    assert (RUN / "run.json").read_bytes() == before


def test_an_interrupted_run_is_recorded(workspace: Workspace) -> None:
    class Stop(Reporter):
        def step(self, step: Any) -> None:
            if step.done == 7:
                import os
                import signal

                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        train(workspace.solver(), run=RUN, progress=Stop())
    (session,) = recorded()["sessions"]
    assert (session["iterations"], session["ended"] is None) == (7, False)
    assert card_rows()["mini_iter_7.caffemodel"]["iterations"] == "7 of 20"


def test_the_weights_of_a_snapshot_from_elsewhere_are_recorded(workspace: Workspace) -> None:
    train(workspace.solver(max_iter=5))
    train(workspace.solver(), run=RUN, snapshot=Path("mini_iter_5.solverstate"))
    (weights,) = recorded()["weights"]
    content = Path("mini_iter_5.caffemodel").read_bytes()
    assert weights["sha256"] == hashlib.sha256(content).hexdigest()


def resumed(workspace: Workspace, max_iter: int = 30, **more: Any) -> list[str]:
    """What is warned of when the run goes on."""
    notes = Notes()
    train(workspace.solver(max_iter=max_iter), run=RUN, resume=True, progress=notes, **more)
    return notes.warnings


OTHER = "run was run with other settings: "


def test_another_net_in_the_same_file_is_named(workspace: Workspace) -> None:
    workspace.net(*TWO_BITS)
    train(workspace.solver(), run=RUN)
    with (workspace.folder / "net.prototxt").open("a") as file:
        file.write("# a comment\n")
    assert resumed(workspace) == []
    workspace.net(*TWO_BITS, ("bits: 2", "bits: 1"))
    assert resumed(workspace, max_iter=40) == [
        f"{OTHER}layer 'ip': quantization_param.weight.bits was 2, is 1"
    ]
    # What goes on is what is recorded now.
    assert "bits: 1" in recorded()["nets"]["net.prototxt"]


def test_other_data_are_named(workspace: Workspace) -> None:
    train(workspace.solver(), run=RUN)
    shutil.copytree("data/", "moved")
    assert resumed(workspace, data=Path("moved")) == []
    shutil.rmtree("moved/train_lmdb")
    shutil.copytree("data/test_lmdb", "moved/train_lmdb")
    assert resumed(workspace, data=Path("moved")) == [
        f"{OTHER}data was moved/train_lmdb, 40 records, is moved/train_lmdb, 20 records"
    ]


def test_other_weights_are_named(workspace: Workspace) -> None:
    for seed in (1, 2):
        train(workspace.solver(max_iter=3, random_seed=seed, snapshot_prefix=f'"w{seed}"'))
    first, second = (Path(f"w{seed}_iter_3.caffemodel") for seed in (1, 2))
    train(workspace.solver(), run=RUN, weights=[first])
    shutil.copy(first, "copy.caffemodel")
    assert resumed(workspace, weights=[Path("copy.caffemodel")]) == []
    hashes = [hashlib.sha256(one.read_bytes()).hexdigest()[:12] for one in (first, second)]
    assert resumed(workspace, weights=[second]) == [
        f"{OTHER}weights was {first} (sha256 {hashes[0]}…), is {second} (sha256 {hashes[1]}…)"
    ]


def test_a_snapshot_of_another_net_is_named_too(workspace: Workspace) -> None:
    """--snapshot in a run's folder goes on with its log, as --resume does."""
    workspace.net(*TWO_BITS)
    train(workspace.solver(), run=RUN)
    workspace.net(*TWO_BITS, ("bits: 2", "bits: 3"))
    notes = Notes()
    state = Path("run/mini_iter_20.solverstate")
    train(workspace.solver(max_iter=25), run=RUN, snapshot=state, progress=notes)
    assert notes.warnings == [f"{OTHER}layer 'ip': quantization_param.weight.bits was 2, is 3"]
    with (RUN / "log.csv").open(newline="") as file:
        assert list(csv.DictReader(file))[-1]["iteration"] == "25"


@pytest.mark.parametrize(
    "entries",
    [{"solver": 3}, {"sessions": [{"command": ""}]}, {"weights": [{"path": ""}]}, {"nets": 3}],
    ids=str,
)
def test_a_damaged_record_is_named(workspace: Workspace, entries: dict[str, Any]) -> None:
    train(workspace.solver(), run=RUN)
    whole = json.loads((RUN / "run.json").read_text())
    damaged = {key: value for key, value in whole["training"].items() if key != "seed"} | entries
    (RUN / "run.json").write_text(json.dumps({"training": damaged}))
    with pytest.raises(RecordError, match=r"run/run\.json is damaged: training: "):
        read_training_record(RUN)


def test_another_number_of_threads_is_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    train(workspace.solver(), run=RUN)
    assert resumed(workspace) == []
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert resumed(workspace, max_iter=40) == [f"{OTHER}threads was 1, is 2"]

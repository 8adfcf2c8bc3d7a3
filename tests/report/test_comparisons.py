"""What a run is compared with, and which folders a report takes: worked out by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.report.report_runs import SOLVER, model, write_run
from ul2q.cli import main
from ul2q.report.folders import find_runs
from ul2q.report.runs import read_runs
from ul2q.report.summary import Group, summarise
from ul2q.runs.training_record import file_sha256

if TYPE_CHECKING:
    from pathlib import Path

FLOAT: dict[str, Any] = {"method": "float", "bits": None}


def group(folder: Path, method: str = "ul2q") -> Group:
    (found,) = (one for one in summarise(read_runs([folder])) if one.method == method)
    return found


def references(one: Group) -> list[tuple[str, str]]:
    return [(it.run.name, it.reason) for it in one.references.values()]


def training_record(folder: Path, *weights: Path, data: str | None = None) -> None:
    """Add what `ul2q train` records to a run's run.json."""
    path = folder / "run.json"
    entries = json.loads(path.read_text()) if path.exists() else {}
    source = {"source": "data/train_lmdb", "records": 40, "import_sha256": None}
    entries["training"] = {
        "solver": "solver.prototxt",
        "solver_text": SOLVER + 'net: "n"',
        "nets": {"n": 'name: "lenet" layer { name: "conv" type: "QuantizedConvolution" '
                 "quantization_param { weight { bits: 2 } } }"},
        "weights": [{"path": str(one), "sha256": file_sha256(one)} for one in weights],
        "data": [{**source, "name": data, "sample_sha256": None}],
        "seed": 7,
        "multiply_adds": {"conv": 2304},
        "sessions": [],
    }  # fmt: skip
    path.write_text(json.dumps(entries))


def test_the_parent_is_the_run_whose_weights_a_run_began_from(tmp_path: Path) -> None:
    """97 less its own parent's 94.4 is +2.60; less the mean of both float runs it were +3.00."""
    for name, accuracy, seed in (("parent", 0.944, 1), ("other", 0.936, 2)):
        write_run(
            tmp_path / "floats" / name,
            net=model(None, f"lenet_{name}"),
            record={**FLOAT, "accuracy": accuracy, "seed": seed},
        )
    low = write_run(tmp_path / "low", net=model({"bits": 2}), log=None, record={"accuracy": 0.97})
    training_record(low, tmp_path / "floats" / "parent" / "x_iter_30.caffemodel", data="mnist")
    found = group(tmp_path)
    assert found.difference == pytest.approx(2.6)
    assert references(found) == [("parent", "whose weights it began from")]


def test_a_chain_of_runs_leads_to_the_float_run(tmp_path: Path) -> None:
    write_run(tmp_path / "f", net=model(None), record={**FLOAT, "accuracy": 0.95})
    write_run(tmp_path / "better", record={**FLOAT, "accuracy": 0.99, "seed": 1})
    write_run(tmp_path / "4bit", net=model({"bits": 4}),
              record={"bits": 4, "accuracy": 0.94, "float_run": "f"})  # fmt: skip
    low = write_run(tmp_path / "2bit", net=model({"bits": 2}), record={"accuracy": 0.9})
    training_record(low, tmp_path / "4bit" / "x_iter_30.caffemodel", data="mnist")
    found = {one.bits: one for one in summarise(read_runs([tmp_path]))}
    assert references(found[4]) == references(found[2]) == [("f", "whose weights it began from")]
    assert found[2].difference == pytest.approx(-5)


def test_else_it_is_the_run_of_the_same_schedule_and_seed(tmp_path: Path) -> None:
    write_run(tmp_path / "a", record={**FLOAT, "accuracy": 0.99, "seed": 1},
              solver="max_iter: 300 base_lr: 0.1")  # fmt: skip
    write_run(tmp_path / "b", record={**FLOAT, "accuracy": 0.95, "seed": 1})
    write_run(tmp_path / "c", record={**FLOAT, "accuracy": 0.97, "seed": 2})
    write_run(tmp_path / "low", record={"accuracy": 0.9})
    found = group(tmp_path)
    assert references(found) == [("b", "of the same schedule and seed")]
    assert found.difference == pytest.approx(-5)


def test_else_the_best_which_is_said(tmp_path: Path) -> None:
    for name, accuracy in (("a", 0.95), ("b", 0.97)):
        write_run(tmp_path / name, record={**FLOAT, "accuracy": accuracy, "seed": 5})
    write_run(tmp_path / "low", record={"accuracy": 0.9, "float_run": "gone"})
    found = group(tmp_path)
    assert references(found) == [("b", "the best of this net")]
    assert found.difference == pytest.approx(-7)


def test_runs_on_other_data_are_not_compared(tmp_path: Path) -> None:
    """Not with each other, nor with the paper's figure."""
    for data in ("mnist", "fashion-mnist"):
        options = {"options": {"data": f"data/{data}"}}
        write_run(tmp_path / data / "f", record={**FLOAT, "accuracy": 0.95, **options})
        write_run(tmp_path / data / "low", record={"accuracy": 0.9, **options})
    (tmp_path / "fashion-mnist" / "f" / "run.json").unlink()
    groups = {(one.data, one.method): one for one in summarise(read_runs([tmp_path]))}
    assert groups["mnist", "ul2q"].difference == pytest.approx(-5)
    assert groups["fashion-mnist", "ul2q"].difference is None
    assert groups["mnist", "ul2q"].title == "lenet on mnist"
    papers = {key: one.paper and one.paper.accuracy for key, one in groups.items()}
    assert papers["mnist", "ul2q"] == 99.12
    assert papers["fashion-mnist", "ul2q"] is None


@pytest.mark.parametrize(
    ("name", "paper"), [("mnist", 99.12), ("fashion-mnist", None), (None, None)]
)
def test_the_data_are_what_import_json_called_them(
    name: str | None, paper: float | None, tmp_path: Path
) -> None:
    """Whatever their folder is called; it is asked only where nothing is recorded."""
    low = write_run(tmp_path / "low", net=model({"bits": 2}), record={"accuracy": 0.9})
    training_record(low, data=name)
    found = group(tmp_path)
    assert (found.paper and found.paper.accuracy) == paper
    assert found.data == (name or "data")


def test_runs_at_any_depth(tmp_path: Path) -> None:
    deep = tmp_path / "a/b/c/d/e/f"
    for folder in (deep, deep / "runs" / "below", tmp_path / "one"):
        write_run(folder)
    (tmp_path / "stray.caffemodel").write_bytes(b"")
    (tmp_path / "one" / "loop").symlink_to(tmp_path)
    (tmp_path / "a" / "link").symlink_to(deep)
    write_run(tmp_path / ".hidden" / "run")
    (tmp_path / "hdf5").mkdir()
    (tmp_path / "hdf5" / "x_iter_3.solverstate.h5").write_bytes(b"")
    found = find_runs([tmp_path])
    assert set(found.runs.values()) == {deep, deep / "runs" / "below", tmp_path / "one"}
    left_out = {str(path.relative_to(tmp_path)): why for path, why in found.left_out.items()}
    assert left_out == {
        ".": "it holds .caffemodel files alone, and runs below it",
        ".hidden": "hidden",
        "a/link": f"a link to {deep}",
        "hdf5": "it holds snapshots, but no log.csv, run.json or .caffemodel",
        "one/loop": f"a link to {tmp_path}",
    }


def test_the_command_says_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "x" / "y" / "z" / "run")
    (tmp_path / ".git").mkdir()
    assert main(["report", "."]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "runs: 1" in out
    assert "left out: .git (hidden)" in out
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<li><code>.git</code>: hidden</li>" in page

"""Names of the package's nets in the place of paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from ul2q import prototxt_path
from ul2q.nets.bundled import find_prototxt, is_bundled, near_bundled, output_beside
from ul2q.nets.prototxt import read_net
from ul2q.nets.prototxt_text import Document
from ul2q.training.solver_file import make_plan

LENET = "lenet/train_test_2bit.prototxt"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", [LENET, f"prototxt/{LENET}", f"./{LENET}"])
def test_a_name_of_the_package_is_found_where_no_such_file_is(name: str) -> None:
    assert find_prototxt(Path(name)) == prototxt_path(LENET)
    Path(name).parent.mkdir(parents=True)
    Path(name).write_text("")
    assert find_prototxt(Path(name)) == Path(name)


@pytest.mark.parametrize(
    "name", ["lenet/gone.prototxt", "lenet", "/lenet/solver_2bit.prototxt", ""]
)
def test_other_names_stay(name: str) -> None:
    assert find_prototxt(Path(name)) == Path(name)


@pytest.mark.parametrize("read", [read_net, Document.read])
def test_a_name_that_is_nearly_one_is_told(read: object) -> None:
    assert callable(read)
    for name in ("lenet/train_test_2bits.prototxt", "prototxt/lenet/train_test_3bit.prototxt"):
        with pytest.raises(
            FileNotFoundError, match=f"{name}: no such file; did you mean '{LENET}'"
        ):
            read(Path(name))
    assert near_bundled(Path("net.prototxt")) == ""


def test_outputs_do_not_go_into_the_package() -> None:
    bundled = prototxt_path(LENET)
    assert is_bundled(bundled)
    assert output_beside(bundled) == Path("train_test_2bit.prototxt")
    assert output_beside(Path("nets/a.prototxt")) == Path("nets/a.prototxt")


def test_the_nets_of_a_bundled_solver_are_the_packages(tmp_path: Path) -> None:
    for part in ("train_lmdb", "test_lmdb"):
        (tmp_path / "data" / part).mkdir(parents=True)
        (tmp_path / "data" / part / "data.mdb").write_bytes(b"")
    stale = tmp_path / "prototxt" / LENET
    stale.parent.mkdir(parents=True)
    stale.write_text("no net")
    solver = prototxt_path("lenet/solver_2bit.prototxt")
    plan = make_plan(solver, run=None, data=Path("data"))
    assert plan.effective.net == str(prototxt_path(LENET))
    assert plan.effective.snapshot_prefix == "runs/lenet_2bit"
    plan = make_plan(solver, run=None, data=Path("data"), settings=["snapshot_prefix="])
    assert plan.effective.snapshot_prefix == "solver_2bit"
    own = tmp_path / "solver.prototxt"
    text = solver.read_text().replace(f"prototxt/{LENET}", LENET)
    assert text != solver.read_text()
    own.write_text(text)
    assert make_plan(own, run=None, data=Path("data")).effective.net == str(prototxt_path(LENET))

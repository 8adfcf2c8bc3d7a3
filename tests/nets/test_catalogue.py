"""The package's nets, listed and copied."""

from __future__ import annotations

import re
from pathlib import Path

import caffe
import pytest

from ul2q import prototxt_path
from ul2q.errors import UserError
from ul2q.nets.catalogue import bundled_nets, copy_net
from ul2q.nets.prototxt import read_net, read_solver
from ul2q.util.output_file import OutputExistsError

DOCS = Path(__file__).parents[2] / "docs" / "nets.md"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_listed_is_what_the_docs_say() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `([\w/]+)` \| .* \| ([\d,]+) \|$", DOCS.read_text("utf-8"), re.MULTILINE
    )
    listed = {(net.name, net.data, f"{net.parameters:,}") for net in bundled_nets()}
    assert set(rows) == listed
    assert len(rows) == 4


def test_purposes_and_solvers() -> None:
    nets = {net.name: net for net in bundled_nets()}
    assert nets["lenet"].solvers == ("2bit", "float", "mnist_2bit", "mnist_float")
    assert nets["lenet"].purpose.startswith("LeNet-5 with batch norm, for MNIST")
    for name, net in nets.items():
        assert not net.purpose.startswith("#")
        for solver in net.solvers:
            assert prototxt_path(f"{name}/solver_{solver}.prototxt").is_file()


@pytest.mark.parametrize("output", [None, Path("mine"), Path("a/b")])
def test_a_copied_solver_has_the_copied_nets(output: Path | None) -> None:
    files = copy_net("lenet", output)
    folder = output or Path("prototxt/lenet")
    originals = {path.name: path for path in prototxt_path("lenet").glob("*.prototxt")}
    assert {path.name for path in files} == set(originals)
    for path in files:
        assert path.parent == folder
        original = originals[path.name].read_text()
        assert path.read_text() == original.replace("prototxt/lenet/train", f"{folder}/train") or (
            "Written by" in original and path.read_text() == original
        )
        if path.name.startswith("solver_"):
            assert read_net(Path(read_solver(path).net)).name == "lenet"
    caffe.Net(str(folder / "deploy_2bit.prototxt"), caffe.TEST)


def test_what_stands_there_is_not_replaced() -> None:
    Path("mine").mkdir()
    Path("mine/solver_2bit.prototxt").write_text("own")
    with pytest.raises(OutputExistsError, match=r"solver_2bit\.prototxt exists"):
        copy_net("lenet", Path("mine"))
    assert [path.name for path in Path("mine").iterdir()] == ["solver_2bit.prototxt"]
    copy_net("lenet", Path("mine"), force=True)
    assert len(list(Path("mine").iterdir())) == len(list(prototxt_path("lenet").iterdir()))


@pytest.mark.parametrize(
    ("name", "words"), [("lent", "'lenet'"), ("x", "cifarnet, lenet"), ("", "")]
)
def test_names_of_no_net(name: str, words: str) -> None:
    with pytest.raises(UserError, match=f"no net '{name}' .*{words}"):
        copy_net(name)

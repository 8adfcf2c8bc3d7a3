"""`ul2q nets`, `ul2q deploy-net`, and names of the package's nets in all commands."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from ul2q import prototxt_path
from ul2q.cli import main
from ul2q.data.lmdb_writer import write_lmdb
from ul2q.nets.prototxt import read_net


@pytest.fixture(autouse=True)
def _data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    for part in ("train", "test"):
        images = rng.integers(0, 256, (100, 1, 28, 28), dtype=np.uint8)
        records = ((image, i % 10) for i, image in enumerate(images))
        write_lmdb(tmp_path / "data" / "mnist" / f"{part}_lmdb", records, total=100)


def test_the_nets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nets"]) == 0
    heading, *rows, _ = capsys.readouterr().out.splitlines()
    assert heading.split() == ["net", "data", "parameters", "solvers", "purpose"]
    assert [row.split()[0] for row in rows] == ["cifarnet", "lenet", "resnet18", "vgg7_64"]
    assert rows[1].split()[1:3] == ["data/mnist", "582,634"]


def test_copies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nets", "--copy", "cifarnet", "-o", "mine"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"written: {path}" for path in sorted(Path("mine").iterdir())]
    assert main(["nets", "--copy", "cifarnett"]) == 1
    assert "'cifarnet'" in capsys.readouterr().err


def test_a_user_without_a_clone(capsys: pytest.CaptureFixture[str]) -> None:
    """From nothing to a deployed net by names alone; all is written into the working folder."""
    before = {path: path.read_bytes() for path in prototxt_path().rglob("*") if path.is_file()}
    settings = [f"--set={one}" for one in ("max_iter=2", "test_iter=1", "test_interval=2")]
    assert main(["train", "lenet/solver_2bit.prototxt", *settings]) == 0
    weights = "runs/lenet_2bit_iter_2.caffemodel"
    trained = capsys.readouterr().out.splitlines()[-1]
    net = "lenet/train_test_2bit.prototxt"
    assert main(["test", net, weights]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == trained
    assert main(["predict", net, weights, "data/mnist/test_lmdb", "--csv", "out.csv"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split()[1] == trained.split()[-1]
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 100
    assert main(["inspect", weights, "--net", "lenet/deploy_2bit.prototxt"]) == 0
    assert "4,267,008" in capsys.readouterr().out  # multiply-adds: 460,800 + 3,276,800 + …
    assert main(["deploy-net", net]) == 0
    assert main(["deploy-net", "prototxt/lenet/train_test_float.prototxt", "--shape=1x28x28"]) == 0
    for name in ("deploy_2bit.prototxt", "deploy_float.prototxt"):
        assert read_net(Path(name)) == read_net(prototxt_path(f"lenet/{name}"))
    assert main(["quantize", "lenet/train_test_float.prototxt", "--weight-bits", "3"]) == 0
    assert Path("train_test_3bit.prototxt").is_file()
    Path("spec.yaml").write_text(
        "nets: {own: {net: lenet/train_test_float.prototxt, "
        "solver: prototxt/lenet/solver_float.prototxt}}\nmethods: {ul2q: [2]}\n"
    )
    assert main(["sweep", "spec.yaml", "--dry-run"]) == 0
    assert {path: path.read_bytes() for path in before} == before
    assert {path for path in prototxt_path().rglob("*") if path.is_file()} == set(before)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train lenet/solver_2bits.prototxt", "did you mean 'lenet/solver_2bit.prototxt'"),
        ("deploy-net lenet/train_test_2bit.prototxt --data gone", "gone/test_lmdb is no LMDB"),
        ("deploy-net vgg7_64/train_test_2bit.prototxt", "--shape 3x32x32"),
    ],
)
def test_errors(line: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 1
    assert words in capsys.readouterr().err


def test_a_shape_is_three_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy-net", "lenet/train_test_2bit.prototxt", "--shape", "3x0x5"]) == 2
    assert "'3x0x5' is not CHANNELSxHEIGHTxWIDTH" in capsys.readouterr().err

"""`ul2q pack`, `ul2q unpack`, and the commands that take what they write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
import pytest

from ul2q.cli import main

if TYPE_CHECKING:
    from tests.conftest import Workspace

BITS = (
    'type: "InnerProduct" bottom: "data"',
    'type: "QuantizedInnerProduct" bottom: "data" quantization_param { weight { bits: 2 } }',
)


@pytest.fixture
def packed(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> Path:
    """Trained weights, packed, of a net of 2 bits."""
    workspace.net(BITS)
    assert main(["train", "solver.prototxt"]) == 0
    assert main(["pack", "net.prototxt", "mini_iter_20.caffemodel", "-o", "p.caffemodel"]) == 0
    capsys.readouterr()
    return Path("p.caffemodel")


def printed(capsys: pytest.CaptureFixture[str], *command: str) -> list[str]:
    assert main(list(command)) == 0
    return capsys.readouterr().out.splitlines()


def test_pack_prints_what_is_where(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["pack", "net.prototxt", "mini_iter_20.caffemodel", "-o", "q.caffemodel", "--compress"]
    lines = printed(capsys, *call)
    assert lines[0].split()[:5] == ["packed", "method", "bits", "codes", "scales"]
    assert lines[1].split()[:5] == ["ip[0]", "ul2q", "2", "256", "1"]
    assert lines[2].split()[0] == "all"
    assert lines[-1] == "file: q.caffemodel"
    assert lines[-2] == f"size: {Path('q.caffemodel').stat().st_size:,} bytes"
    assert packed.stat().st_size < Path("mini_iter_20.caffemodel").stat().st_size - 600


def test_test_finds_the_same(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    want = printed(capsys, "test", "net.prototxt", "mini_iter_20.caffemodel")
    assert printed(capsys, "test", "net.prototxt", str(packed)) == want
    # In floats these are other weights than the trained ones.
    printed(capsys, "unpack", str(packed), "-o", "u.caffemodel")
    assert printed(capsys, "test", "net.prototxt", "u.caffemodel") == want


def test_training_begins_with_it(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained = printed(capsys, "test", "net.prototxt", str(packed))
    lines = printed(capsys, "train", "solver.prototxt", "--weights", str(packed), "--run", "r")
    (first,) = (line for line in lines if "iteration 0" in line and "test" in line)
    loss = next(line for line in trained if "loss" in line).rpartition(" ")[2]
    assert loss in first
    (weights,) = Path("r").rglob("*iter_20.caffemodel")
    got = caffe.Net("net.prototxt", caffe.TEST, weights=weights)
    assert not got.layer_dict["ip"].quantized_blobs()[0].is_packed


def test_inspect_shows_codes(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "inspect", str(packed))
    (row,) = (line.split() for line in lines if line.startswith("ip[0]"))
    assert row[:5] == ["ip[0]", "ul2q", "2", "256", "1"]
    values = caffe.Net("net.prototxt", caffe.TEST, weights=packed).params["ip"][0].data
    (shape,) = (line for line in lines if "4×64" in line)
    assert f"{np.mean(values, dtype=np.float64):.3g}" in shape
    assert not any(
        line.startswith("packed") for line in printed(capsys, "inspect", "mini_iter_20.caffemodel")
    )


def test_what_is_there_stays(packed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = packed.read_bytes()
    assert main(["pack", "net.prototxt", "mini_iter_20.caffemodel", "-o", str(packed)]) == 1
    assert "p.caffemodel exists already" in capsys.readouterr().err
    assert main(["unpack", "mini_iter_20.caffemodel", "-o", "u.caffemodel"]) == 1
    assert "holds no packed blobs: its weights are floats already" in capsys.readouterr().err
    assert packed.read_bytes() == before

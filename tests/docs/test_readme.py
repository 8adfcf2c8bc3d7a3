"""What the README prints runs as printed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import caffe
import numpy as np
import pytest

from ul2q import cli
from ul2q.data.lmdb_writer import write_lmdb

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def _block(language: str) -> str:
    """The one fenced block of a language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    return str(block)


def test_the_prototxt_example_is_a_net(tmp_path: Path) -> None:
    path = tmp_path / "example.prototxt"
    path.write_text(_block("prototxt"), encoding="utf-8")
    net = caffe.Net(str(path), caffe.TEST)
    net.blobs["data"].data[...] = 1
    outputs = net.forward()
    # Ones in, so each output is the sum of a filter: at two bits it takes few values.
    weights = net.params["conv1"][0].data
    assert outputs["conv1"].shape == (1, 32, 24, 24)
    assert np.unique(weights).size > 4
    assert not np.allclose(outputs["conv1"][0, :, 0, 0], weights.sum(axis=(1, 2, 3)), rtol=1e-3)


def test_the_python_example_runs(tmp_path: Path) -> None:
    (tmp_path / "prototxt").symlink_to(ROOT / "prototxt")
    (tmp_path / "runs").mkdir()
    random = np.random.default_rng(1)
    for part in ("train", "test"):
        images = random.integers(0, 256, (100, 1, 28, 28), dtype=np.uint8)
        (tmp_path / "data" / "mnist").mkdir(parents=True, exist_ok=True)
        records = ((image, i % 10) for i, image in enumerate(images))
        write_lmdb(tmp_path / "data" / "mnist" / f"{part}_lmdb", records, total=100)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", _block("python")],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    codes, probabilities = run.stdout.splitlines()[0], run.stdout.splitlines()[-2:]
    assert codes.startswith("[-1  0  1  2] ")
    values = np.array([float(x) for x in re.findall(r"[\d.e-]+", " ".join(probabilities))])
    assert values.size == 10
    assert values.sum() == pytest.approx(1, abs=1e-4)


def _commands(name: str) -> list[str]:
    """The README's indented lines that run a command."""
    return [line.strip() for line in README.splitlines() if line.startswith(f"    {name} ")]


@pytest.mark.parametrize("command", _commands("ul2q"))
def test_the_commands_are_ones_that_ul2q_takes(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[object] = []
    for command_file in cli.commands():
        monkeypatch.setattr(command_file, "run", called.append)
    assert cli.main(shlex.split(command, comments=True)[1:]) == 0
    assert len(called) == 1


@pytest.mark.parametrize("command", _commands("make"))
def test_the_make_targets_exist(command: str) -> None:
    target = shlex.split(command, comments=True)[1]
    dry = subprocess.run(
        ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert dry.returncode == 0, dry.stderr


def test_every_prototxt_that_is_named_exists() -> None:
    named = set(re.findall(r"prototxt/[\w/]+\.prototxt", README))
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []

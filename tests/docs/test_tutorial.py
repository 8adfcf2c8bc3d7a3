"""docs/tutorial.md, run as printed: its archive is made up, its commands are not."""

from __future__ import annotations

import csv
import io
import re
import shlex
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ul2q.cli import main
from ul2q.data import cifar

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
IMAGES = 200  # a batch file of the archive
CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"


def batches(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """The binary version's files: each class has a pattern of its own under noise."""
    patterns = rng.integers(0, 256, (10, 3, 4, 4)).repeat(8, axis=2).repeat(8, axis=3)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        labels = np.arange(IMAGES) % 10
        images = 0.5 * patterns[labels] + rng.normal(64, 25, (IMAGES, 3, 32, 32))
        pixels = images.clip(0, 255).astype(np.uint8).reshape(IMAGES, -1)
        yield f"{name}.bin", np.column_stack([labels.astype(np.uint8), pixels]).tobytes()
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    yield "batches.meta.txt", "\n".join([*names, ""]).encode()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader stands: the nets, the archive and the sweep's file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cifar, "_BATCH", IMAGES)
    (tmp_path / "prototxt").symlink_to(ROOT / "prototxt")
    with tarfile.open("cifar-10-python.tar.gz", "w:gz", compresslevel=1) as archive:
        for name, content in batches(np.random.default_rng(1)):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (spec,) = re.findall(r"^```yaml\n(.*?)^```$", TUTORIAL, re.MULTILINE | re.DOTALL)
    (tmp_path / "tutorial.yaml").write_text(spec, encoding="utf-8")
    return tmp_path


def test_the_tutorial_leads_to_the_figure(folder: Path) -> None:
    before, in_earnest = TUTORIAL.split("## In earnest")
    commands = re.findall(r"^    ul2q (.*)$", before, re.MULTILINE)
    assert len(commands) == 7
    for command in commands:
        assert main(shlex.split(command)) == 0, command
    (real,) = re.findall(r"^    ul2q (.*)$", in_earnest, re.MULTILINE)
    assert (ROOT / shlex.split(real)[1]).is_file()

    with (folder / "runs" / "tutorial" / "results.csv").open(encoding="utf-8") as file:
        rows = {(row["method"], row["bits"]): row for row in csv.DictReader(file)}
    assert set(rows) == {("float", ""), ("ul2q", "1"), ("ul2q", "2"), ("ul2q", "4")}
    assert {row["status"] for row in rows.values()} == {"done"}
    # The patterns can be learnt, and by-hand and swept runs are of the same kind.
    assert float(rows["float", ""]["accuracy"]) > 0.8
    assert float(rows["ul2q", "4"]["accuracy"]) > 0.5
    figure = (folder / "report_files" / "cifarnet-accuracy.svg").read_text(encoding="utf-8")
    assert "<svg" in figure
    assert "<svg" in (folder / "report.html").read_text(encoding="utf-8")
    assert (folder / "runs" / "2bit" / "quantization.csv").stat().st_size > 0

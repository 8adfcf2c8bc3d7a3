"""The import rules of pyproject.toml hold, and a planted violation of each is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "ul2q"


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `lint-imports` with our rules on the ul2q that stands in a folder."""
    return subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", ROOT / "pyproject.toml"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_rules_hold() -> None:
    result = lint_imports(PACKAGE.parent)
    assert result.returncode == 0, result.stdout + result.stderr
    assert ", 0 broken" in result.stdout


# A file, what is added to it, and what is said of that.
PLANTED = [
    ("runs/log.py", "import ul2q.training.errors", "ul2q.runs.log -> ul2q.training.errors"),
    ("util/tables.py", "from ul2q.nets import prototxt", "ul2q.util.tables -> ul2q.nets.prototxt"),
    ("errors.py", "import ul2q.util.tables", "ul2q.errors -> ul2q.util.tables"),
    # Neither a call's import nor one for types alone escapes.
    (
        "training/run.py",
        "def test() -> None:\n    from ul2q.evaluation import evaluate",
        "ul2q.training.run -> ul2q.evaluation",
    ),
    (
        "report/page.py",
        "if TYPE_CHECKING:\n    from ul2q.sweep.plan import SweepError",
        "ul2q.report.page -> ul2q.sweep.plan",
    ),
    ("__init__.py", "import ul2q.cli.train", "ul2q -> ul2q.cli.train"),
    ("data/idx.py", "import ul2q.nets.prototxt", "ul2q.data.idx -> ul2q.nets.prototxt"),
    ("simulation/data.py", "import ul2q.nets.bundled", "ul2q.simulation.data -> ul2q.nets.bundled"),
    ("evaluation.py", "import ul2q.runs.log", "ul2q.evaluation -> ul2q.runs.log"),
    (
        "quantization_caffe/net.py",
        "import ul2q.quantizers",
        "ul2q.quantization_caffe.net -> ul2q.quantizers",
    ),
    ("homeless/__init__.py", "", "ul2q.homeless"),
]


@pytest.mark.parametrize(("file", "planted", "message"), PLANTED)
def test_a_violation_is_found(tmp_path: Path, file: str, planted: str, message: str) -> None:
    for source in PACKAGE.rglob("*.py"):
        copy = tmp_path / "ul2q" / source.relative_to(PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copy)
    path = tmp_path / "ul2q" / file
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as module:
        module.write(f"\n\n{planted}\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    assert message in result.stdout

"""BVLC's own tests of pycaffe, python/caffe/test of the source that was built, unmodified."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.processes import run_process

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / "build/cmake/CMakeCache.txt"


def source() -> Path | None:
    """BVLC's source: what CMake wrote down when it built."""
    if not CACHE.is_file():
        return None
    entry = "UL2Q_CAFFE_ROOT:INTERNAL="
    for line in CACHE.read_text(encoding="utf-8").splitlines():
        if line.startswith(entry):
            return Path(line.removeprefix(entry))
    return None


SOURCE = source()
pytestmark = pytest.mark.skipif(SOURCE is None, reason="ul2q was not built in this tree")


@dataclass(frozen=True)
class CannotPass:
    """Why a case fails here, and words of its failure."""

    reason: str
    words: str
    applies: bool = True


def missing_for_drawing() -> str:
    if SOURCE is not None and not (SOURCE / "examples").is_dir():
        return "the source package leaves out BVLC's examples and models, which the test draws"
    if shutil.which("dot") is None:
        return "Graphviz's dot, which draws, is not installed"
    return ""


CANNOT_PASS = {
    "test_draw.TestDraw.test_draw_net": CannotPass(
        reason=missing_for_drawing(),
        words="AssertionError" if "examples" in missing_for_drawing() else "dot",
        applies=bool(missing_for_drawing()),
    ),
}


def cases() -> list[str]:
    """Names of the tests as unittest gives them, read from the files without running them."""
    if SOURCE is None:
        return []
    names = []
    for path in sorted((SOURCE / "python/caffe/test").glob("test_*.py")):
        classes = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.ClassDef)
        ]
        names += [
            f"{path.stem}.{group.name}.{node.name}"
            for group in classes
            for node in group.body
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
        ]
    return names


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What became of each test: "passed", "skipped: why" or "failed: traceback"."""
    assert SOURCE is not None
    root = tmp_path_factory.mktemp("bvlc")
    tests = root / "python/caffe/test"
    tests.mkdir(parents=True)
    for path in (SOURCE / "python/caffe/test").glob("test_*.py"):
        shutil.copy(path, tests)
    for name in ("models", "examples"):  # test_draw looks for them three folders up
        if (SOURCE / name).is_dir():
            (root / name).symlink_to(SOURCE / name)
    run = run_process(sys.executable, HERE / "bvlc_runner.py", cwd=tests, timeout=300)
    assert run.returncode == 0, run.stderr
    found: dict[str, str] = json.loads(run.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("case", cases())
def test_bvlc(case: str, outcomes: dict[str, str]) -> None:
    outcome = outcomes[case]
    expected = CANNOT_PASS.get(case)
    if expected is not None and expected.applies:
        # Once it passes, the entry has to go.
        assert outcome.startswith("failed")
        assert expected.words in outcome
        pytest.skip(expected.reason)
    assert outcome == "passed", outcome


def test_every_case_was_run(outcomes: dict[str, str]) -> None:
    assert sorted(outcomes) == sorted(cases())
    assert set(CANNOT_PASS) <= set(outcomes)

"""dev/check_includes.py on small trees, each with one thing wrong, and on this one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _check(root: Path) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / "dev/check_includes.py"), str(root)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert not result.stderr
    return result.returncode, result.stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with a file in each room, which break no rule."""
    files = {
        "cpp/caffe/support/files.hpp": "#include <string>\n",
        "cpp/ul2q/core/method.hpp": "#include <memory>\n#include <omp.h>\n#include <hwy/base.h>\n",
        "cpp/ul2q/float_engine/relu.cpp": '#include "caffe/layer.hpp"\n#include <dnnl.hpp>\n',
        "cpp/ul2q/gpu/quantizer.cu": '#include <glog/logging.h>\n#include "ul2q/core/method.hpp"\n',
        "cpp/ul2q/layers/layer.cpp": '#include "support/files.hpp"\n#include "caffe/net.hpp"\n',
        "cpp/layers_of_forks/axpy.cpp": '#include "ul2q/float_engine/relu.cpp"\n',
        "cpp/bindings/ul2q/core.cpp": "#include <pybind11/numpy.h>\n",
        "cpp/tests/support.hpp": "#include <gtest/gtest.h>\n",
        "cpp/tests/core/test_method.cpp": '#include "ul2q/core/method.hpp"\n',
        "cpp/tests/layers/test_layer.cpp": '#include "support.hpp"\n#include "caffe/net.hpp"\n',
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_a_tree_that_keeps_the_rules_passes(tree: Path) -> None:
    assert _check(tree) == (0, "")


@pytest.mark.parametrize(
    ("file", "include", "room"),
    [
        ("cpp/ul2q/core/method.hpp", '"caffe/blob.hpp"', "cpp/ul2q/core"),
        ("cpp/ul2q/core/method.hpp", "<caffe/blob.hpp>", "cpp/ul2q/core"),
        ("cpp/ul2q/core/method.hpp", "<glog/logging.h>", "cpp/ul2q/core"),
        ("cpp/ul2q/core/method.hpp", '"support/files.hpp"', "cpp/ul2q/core"),
        ("cpp/ul2q/core/method.hpp", '"ul2q/layers/layer.cpp"', "cpp/ul2q/core"),
        ("cpp/ul2q/core/method.hpp", '"of_nobody.hpp"', "cpp/ul2q/core"),
        ("cpp/ul2q/float_engine/relu.cpp", '"ul2q/layers/layer.cpp"', "cpp/ul2q/float_engine"),
        ("cpp/ul2q/float_engine/relu.cpp", '"../layers/layer.cpp"', "cpp/ul2q/float_engine"),
        ("cpp/ul2q/gpu/quantizer.cu", '"ul2q/float_engine/relu.cpp"', "cpp/ul2q/gpu"),
        ("cpp/ul2q/gpu/quantizer.cu", '"caffe/blob.hpp"', "cpp/ul2q/gpu"),
        ("cpp/ul2q/layers/layer.cpp", '"tests/support.hpp"', "cpp/ul2q/layers"),
        ("cpp/layers_of_forks/axpy.cpp", '"ul2q/layers/layer.cpp"', "cpp/layers_of_forks"),
        ("cpp/caffe/support/files.hpp", '"ul2q/core/method.hpp"', "cpp/caffe"),
        ("cpp/bindings/ul2q/core.cpp", '"ul2q/layers/layer.cpp"', "cpp/bindings/ul2q"),
        ("cpp/tests/core/test_method.cpp", '"support.hpp"', "cpp/tests/core"),
        ("cpp/tests/core/test_method.cpp", '"caffe/blob.hpp"', "cpp/tests/core"),
    ],
)
def test_an_include_that_breaks_a_rule_is_told(
    tree: Path, file: str, include: str, room: str
) -> None:
    path = tree / file
    text = path.read_text()
    path.write_text(f"{text}\n  #  include {include}  // for no reason\n")
    status, output = _check(tree)
    assert status == 1
    first, second = output.splitlines()
    assert first == f"{file}:{text.count(chr(10)) + 2}: #include {include}"
    assert second.startswith(f"  {room} may include {room}, ")


def test_a_cycle_is_told_with_its_includes(tree: Path) -> None:
    core = tree / "cpp/ul2q/core"
    for name, other in {"a.hpp": "b.hpp", "b.hpp": "c.hpp", "c.hpp": "a.hpp"}.items():
        (core / name).write_text(f'#pragma once\n#include "ul2q/core/{other}"\n')
    (core / "user.cpp").write_text('#include "ul2q/core/b.hpp"\n')
    status, output = _check(tree)
    assert status == 1
    assert output.splitlines() == [
        'cpp/ul2q/core/a.hpp:2: #include "ul2q/core/b.hpp"',
        'cpp/ul2q/core/b.hpp:2: #include "ul2q/core/c.hpp"',
        'cpp/ul2q/core/c.hpp:2: #include "ul2q/core/a.hpp"',
        "  a file may not lead back to itself",
    ]


def test_a_file_that_includes_itself_is_told(tree: Path) -> None:
    (tree / "cpp/ul2q/core/self.hpp").write_text('#include "self.hpp"\n')
    status, output = _check(tree)
    assert status == 1
    assert output.startswith('cpp/ul2q/core/self.hpp:1: #include "self.hpp"\n')


def test_a_folder_without_code_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "dev/check_includes.py"), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 2
    assert "there is no C++ code" in result.stderr


def test_this_tree_keeps_the_rules() -> None:
    assert _check(ROOT) == (0, "")

"""docs/examples run, and docs/pycaffe.md names them; `make check-docs` does the page itself."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING

import caffe
import numpy as np
from PIL import Image

import ul2q
from tests.processes import run_python
from ul2q.data import import_folder

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))


def run_example(name: str, *arguments: object, cwd: Path) -> str:
    example = DOCS / "examples" / name
    run = run_python("-W", "error", example, *arguments, cwd=cwd, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return run.stdout


def test_the_page_names_files_that_are_there() -> None:
    page = (DOCS / "pycaffe.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert {DOCS / "examples" / path.name for path in EXAMPLES} <= {DOCS / link for link in links}
    assert all((DOCS / link).exists() for link in links)


def test_the_example_that_trains(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(
        """
        layer { name: "x" type: "DummyData" top: "x" top: "t"
          dummy_data_param { data_filler { type: "constant" value: 1 }
            shape { dim: 4 dim: 3 } shape { dim: 4 dim: 1 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
          inner_product_param { num_output: 1 } }
        layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "loss" }
        """,
        encoding="utf-8",
    )
    (tmp_path / "solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.25 lr_policy: "fixed" snapshot_prefix: "out"',
        encoding="utf-8",
    )
    lines = run_example("train_with_hook.py", "solver.prototxt", "--iterations=3", cwd=tmp_path)
    # y = w·1 + b from 0 towards 1, w and b alike: the gradient of each of the four is y - 1,
    # which a step takes from y four times a quarter.
    assert lines.splitlines() == [
        "iteration 0: learning rate 0.25, gradients 2",
        "iteration 1: learning rate 0.25, gradients 0",
        "iteration 2: learning rate 0.25, gradients 0",
        "loss 0.0000 after 3 iterations",
    ]
    assert (tmp_path / "out_iter_3.solverstate").exists()


def test_the_example_that_classifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CifarNet's channels, mean and scale; not R, G, B of 0 to 1, of which it knows nothing."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    for part, name, i in itertools.product(("train", "test"), "abcdefghij", range(2)):
        Path(part, name).mkdir(parents=True, exist_ok=True)
        image = rng.integers(0, 256, size=(2, 2, 3), dtype=np.uint8)
        Image.fromarray(image.repeat(16, axis=0).repeat(16, axis=1)).save(
            Path(part, name, f"{i}.png")
        )
    import_folder(Path("train"), Path("test"), Path("data/cifar10"), jobs=1)
    path = ul2q.prototxt_path("cifarnet/train_test_2bit.prototxt")
    net = caffe.Net(str(path), caffe.TEST)
    for blobs in net.params.values():
        blobs[0].data[...] = rng.normal(0, 0.05, blobs[0].shape)
    net.save("cifarnet.caffemodel")
    net.forward()  # 100 images: the 20 of test_lmdb, five times
    # The import takes the classes in turns: a's first, b's first, …
    names = [f"test/{name}/{i}.png" for i, name in itertools.product(range(2), "abcdefghij")]
    lines = run_example("classify.py", path, "cifarnet.caffemodel", *names, cwd=tmp_path)
    ranked = net.blobs["ip1"].data[:20].argmax(axis=1)
    assert len(set(ranked)) > 1
    for name, label, line in zip(names, ranked, lines.splitlines(), strict=True):
        assert line.startswith(f"{name}: class {label}, {'abcdefghij'[label]} (")


def test_the_example_that_builds_a_quantised_net(tmp_path: Path) -> None:
    output = run_example("quantized_net.py", cwd=tmp_path)
    (accuracy,) = re.findall(r"^accuracy (.*)$", output, re.MULTILINE)
    assert float(accuracy) > 0.95
    (values,) = re.findall(r"^weights of conv: \[(.*)\]$", output, re.MULTILINE)
    assert len(values.split()) == 4
    row = r"^  conv +QuantizedConvolution +conv +32 × 8 × 8 × 8 +208 +2$"
    assert re.search(row, output, re.MULTILINE)

"""benchmarks/agreement.py on a small trained net: what it counts, and that it goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cli.test_predict_engines import LAYERS
from ul2q.cli import main

if TYPE_CHECKING:
    from tests.conftest import Workspace

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "agreement.py"


def test_counts_images_and_goes_on(workspace: Workspace) -> None:
    workspace.net(
        ('layer { name: "ip" type: "InnerProduct" bottom: "data"', LAYERS), name="float.prototxt"
    )
    workspace.solver(net='"float.prototxt"', max_iter=40, test_interval=40)
    assert main(["train", "solver.prototxt", "--run", "run"]) == 0
    (weights,) = Path("run").glob("*.caffemodel")
    call = ["float.prototxt", str(weights), "--data", "data", "--name", "mini", "--bits", "8"]
    call = [sys.executable, str(SCRIPT), *call, "--build", "build", "-o", "table.md"]
    Path("build").mkdir()
    for images in (7, 20):
        subprocess.run([*call, "--images", str(images)], check=True, capture_output=True)
        counts = json.loads(Path("build/mini_8.json").read_text())
        # Codes of what conv2 and ip read: 6 maps of 4 × 4, and 8 of 2 × 2.
        assert (counts["images"], counts["codes"]) == (images, images * (6 * 16 + 8 * 4))
        assert counts["same_class"] == images
        assert counts["different_alone"] <= counts["codes"] // 1000
    assert "| mini | 8 bits | 20 | 100.00 % | 2,560 |" in Path("table.md").read_text()

"""`engine: CAFFE` and the environment variable UL2Q_ENGINE, which choose between CPU layers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Sigmoid(-40) is 4e-18, but BVLC's formula, 0.5 tanh(0.5 x) + 0.5, makes 0 of it.
PROGRAM = """
import logging
import sys
logging.basicConfig(format="%(levelname)s %(message)s")
import caffe
net = caffe.Net.from_proto('''
    name: "two"
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }
    layer { name: "asked" type: "Sigmoid" bottom: "x" top: "asked" sigmoid_param { engine: CAFFE } }
    layer { name: "free" type: "Sigmoid" bottom: "x" top: "free" }
''', caffe.TEST)
net.blobs["x"].data[...] = -40
net.forward()
print(*(int(net.blobs[name].data[0] > 0) for name in ("asked", "free")))
"""


def run(engine: str | None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "UL2Q_ENGINE": engine or ""}
    if engine is None:
        del environment["UL2Q_ENGINE"]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("engine", "fast", "warns"),
    [(None, "0 1", True), ("", "0 1", True), ("CAFFE", "0 0", False), ("FAST", "1 1", False)],
)
def test_which_layers_are_fast(engine: str | None, fast: str, warns: bool) -> None:
    ran = run(engine)
    assert ran.stdout.strip() == fast, ran.stderr
    notes = [line for line in ran.stderr.splitlines() if "engine: CAFFE" in line]
    assert len(notes) == warns
    if warns:
        assert "net 'two'" in notes[0]
        assert "'asked'" in notes[0]
        assert "UL2Q_ENGINE=FAST" in notes[0]
        assert "'free'" not in notes[0]


def test_another_engine_is_refused() -> None:
    ran = run("FASTER")
    assert ran.returncode != 0
    assert "FASTER" in ran.stderr
    assert "CAFFE" in ran.stderr
    assert "FAST," in ran.stderr

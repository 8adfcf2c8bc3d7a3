"""The package's nets in C, quantised in many ways, bit for bit; and their RAM and flash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from tests.deploy.integer_nets import differing, nets, on_grid
from tests.deploy.runtimes.c_matrix import FORMS, differences
from tests.deploy.test_c import assert_equal_by_chance
from tests.deploy.trained import bundled
from ul2q.deploy import lower
from ul2q.deploy.targets import TARGETS
from ul2q.deploy.targets.target import TargetOptions

NETS = ("lenet", "cifarnet", "vgg7_64", "resnet18")
CASES = [(name, options) for name in NETS[:3] for options in FORMS] + [
    ("resnet18", options) for options in FORMS[::7]
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_bit_for_bit(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    counts = differences(name, options, tmp_path)
    assert {key: count for key, (count, _) in counts.items() if count} == {}


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_codes_are_those_of_the_float_net(name: str, options: dict[str, Any]) -> None:
    net = bundled(name, **options)
    different, farthest, count = differing(net, on_grid(net))
    print(f"{name} {options}: {different} of {count:,} codes differ")
    assert farthest < 1e-3
    assert different <= max(1, 1e-4 * count)


@settings(max_examples=500)
@given(nets())
def test_nets_by_chance(text: str) -> None:
    assert_equal_by_chance(text)


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """RAM and flash as docs/export.md has them."""
    rows = []
    for name in NETS:
        graph = lower(bundled(name, weight_bits=2, activation_bits=8, last_bits=8))
        written = TARGETS["c"].write(graph, Path("net.c"), TargetOptions())
        weights = sum(size for part, size in written.sizes if part.endswith("_weights"))
        ram = written.notes[0].partition("RAM: ")[2].split()[0]
        rows.append(f"| {name} | {ram} | {written.total:,} | {weights:,} |")
    with capsys.disabled():
        print("\n" + "\n".join(rows))
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
    assert [row for row in rows if row not in page] == []

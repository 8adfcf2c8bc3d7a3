"""The package's nets in C, quantised in many ways, bit for bit; and their RAM and flash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings

from tests.deploy.integer_nets import differing, nets, on_grid
from tests.deploy.test_c import COMPILERS, SANITIZED, assert_equal, assert_equal_by_chance
from tests.deploy.trained import bundled, inputs_of
from ul2q.deploy import lower
from ul2q.deploy.targets import TARGETS
from ul2q.deploy.targets.target import TargetOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

NETS = ("lenet", "cifarnet", "vgg7_64", "resnet18")
FORMS = [
    {"weight_bits": bits, "granularity": granularity, "shift": shift}
    for bits in (1, 2, 3, 4, 8)
    for granularity in ("tensor", "channel")
    for shift in ("mean", "zero")
]
CASES = [(name, options) for name in NETS[:3] for options in FORMS] + [
    ("resnet18", options) for options in FORMS[::7]
]


def quantised(name: str, options: dict[str, Any]) -> Any:
    return bundled(name, activation_bits=8, last_bits=8, **options)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_bit_for_bit(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    net = quantised(name, options)
    builds: list[Sequence[str]] = [[cc, level] for cc in COMPILERS for level in ("-O0", "-O3")]
    if name in ("lenet", "cifarnet"):
        builds += [[cc, *SANITIZED] for cc in COMPILERS]
    assert_equal(net, inputs_of(net), tmp_path, *builds)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_codes_are_those_of_the_float_net(name: str, options: dict[str, Any]) -> None:
    net = quantised(name, options)
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
        graph = lower(quantised(name, {"weight_bits": 2}))
        written = TARGETS["c"].write(graph, Path("net.c"), TargetOptions())
        weights = sum(size for part, size in written.sizes if part.endswith("_weights"))
        ram = written.notes[0].partition("RAM: ")[2].split()[0]
        rows.append(f"| {name} | {ram} | {written.total:,} | {weights:,} |")
    with capsys.disabled():
        print("\n" + "\n".join(rows))
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text(encoding="utf-8")
    assert [row for row in rows if row not in page] == []

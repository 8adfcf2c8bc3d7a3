"""The same numbers with every instruction set that the processor has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

import ul2q
from tests.deploy.trained import bundled
from ul2q import _runtime

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def best_afterwards() -> Iterator[None]:
    yield
    _runtime.use_instruction_set("")


@pytest.mark.parametrize("name", ["lenet", "cifarnet", "vgg7_64"])
@pytest.mark.parametrize("bits", [4, 8])
def test_all_give_the_same(name: str, bits: int) -> None:
    net = bundled(name, weight_bits=2, activation_bits=bits, last_bits=8)
    model = ul2q.compile(net)
    (shape,) = model.inputs.values()
    x = np.random.default_rng(4).normal(size=(2, *shape)).astype(np.float32)
    results = {}
    for instructions in _runtime.instruction_sets():
        _runtime.use_instruction_set(instructions)
        (results[instructions],) = model(x).values()
    assert results
    best = next(iter(results.values()))
    for result in results.values():
        np.testing.assert_array_equal(result, best)


def test_another_name_is_refused() -> None:
    with pytest.raises(_runtime.ModelError, match="'AVX9' is no instruction set"):
        _runtime.use_instruction_set("AVX9")

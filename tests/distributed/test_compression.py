"""Gradients in fewer bits: the codecs, and averages with error feedback against plain NumPy."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.distributed.mpi import ALL, RANKS, every_mpi, needs_mpi
from tests.distributed.workers import gradient_of
from ul2q import quantize
from ul2q.distributed.codecs import WIDTHS, Bfloat16, Codec, Codes, pack, unpack
from ul2q.distributed.errors import RanksError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.distributed.mpi import Mpi

ROOT = str(Path(__file__).parents[2])


def nearest_bfloat16(numbers: NDArray[Any]) -> NDArray[Any]:
    """By the definition: of the two neighbours with 8 significant bits the nearer, else the even.

    Frexp gives a mantissa in [1/2, 1); 8 bits of it are an integer that rint rounds so.
    """
    mantissa, exponent = np.frexp(numbers.astype(np.float64))
    nearest = np.ldexp(np.rint(np.ldexp(mantissa, 8)), exponent - 8)
    return np.asarray(nearest, np.float32)


def test_bfloat16_is_the_nearest() -> None:
    random = np.random.default_rng(1)
    numbers = (random.normal(size=9999) * 10.0 ** random.integers(-30, 30, 9999)).astype(np.float32)
    ties = np.array([1 + 2**-8, 1 + 3 * 2**-8, -(1 + 2**-8), 0.0, -0.0, 255.5], np.float32)
    numbers = np.concatenate([numbers, ties])
    codec = Bfloat16()
    coded = codec.encode(numbers)
    assert coded.size == codec.size(numbers.size) == 2 * numbers.size
    np.testing.assert_array_equal(codec.decode(coded, numbers.size), nearest_bfloat16(numbers))


def test_bfloat16_keeps_what_is_not_finite() -> None:
    bits = np.array([0x7F800000, 0xFF800000, 0x7FC00000, 0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001])
    numbers = bits.astype(np.uint32).view(np.float32)
    codec = Bfloat16()
    np.testing.assert_array_equal(codec.decode(codec.encode(numbers), 6), numbers)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("count", [1, 3, 1000])
def test_codes_are_those_of_the_quantizer(bits: int, count: int) -> None:
    numbers = np.random.default_rng(2).normal(0.1, 2, count).astype(np.float32)
    codec = Codes(bits)
    coded = codec.encode(numbers)
    assert coded.size == codec.size(count) == 8 + -(-count * bits // 8)
    np.testing.assert_array_equal(codec.decode(coded, count), quantize(numbers, bits).values)


@pytest.mark.parametrize("bits", WIDTHS)
def test_codes_of_what_is_not_finite_are_not(bits: int) -> None:
    numbers = np.array([1, np.inf, 2], np.float32)
    assert np.isnan(Codes(bits).decode(Codes(bits).encode(numbers), 3)).all()
    zeros = np.zeros(5, np.float32)
    np.testing.assert_array_equal(Codes(bits).decode(Codes(bits).encode(zeros), 5), zeros)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_packing(bits: int) -> None:
    codes = np.random.default_rng(3).integers(0, 1 << bits, 77).astype(np.uint8)
    packed = pack(codes, bits)
    assert packed.size == -(-77 * bits // 8)
    assert packed[0] == sum(int(code) << (bits * i) for i, code in enumerate(codes[: 8 // bits]))
    np.testing.assert_array_equal(unpack(packed, bits, 77), codes)


@pytest.mark.parametrize("bits", [1, 3, 16])
def test_widths_that_fill_no_byte_are_refused(bits: int) -> None:
    with pytest.raises(RanksError, match=f"--bits is {bits}; must be one of 2, 4, 8"):
        Codes(bits)


def plainly(ranks: int, sizes: list[int], rounds: int, codec: Codec) -> list[NDArray[Any]]:
    """What the ranks are to get, in loops over ranks and shards."""

    def near(numbers: NDArray[Any]) -> NDArray[Any]:
        return codec.decode(codec.encode(numbers), numbers.size)

    means = []
    lengths = [-(-size // ranks) for size in sizes]
    errors = [np.zeros((ranks, ranks, length), np.float32) for length in lengths]
    errors_of_means = [np.zeros((ranks, length), np.float32) for length in lengths]
    for turn in range(rounds):
        for i, (size, length) in enumerate(zip(sizes, lengths, strict=True)):
            shards = []
            for owner in range(ranks):
                total = np.zeros(length, np.float32)
                for rank in range(ranks):
                    padded = np.zeros(ranks * length, np.float32)
                    padded[:size] = gradient_of(rank, turn, size)
                    wanted = padded.reshape(ranks, length)[owner] + errors[i][rank, owner]
                    sent = near(wanted)
                    # What pads the last shard is no gradient, and no error is kept of it.
                    kept = np.clip(size - owner * length, 0, length)
                    errors[i][rank, owner, :kept] = (wanted - sent)[:kept]
                    total += sent
                mean = total / np.float32(ranks) + errors_of_means[i][owner]
                shards.append(near(mean))
                errors_of_means[i][owner] = mean - shards[-1]
            means.append(np.concatenate(shards)[:size])
    return means


@needs_mpi
@every_mpi
@pytest.mark.parametrize("ranks", RANKS)
@pytest.mark.parametrize(
    ("kind", "codec"),
    [
        (("ul2q", "8"), Codes(8)),
        *([(("bf16",), Bfloat16()), (("ul2q", "2"), Codes(2))] if ALL else []),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_means_with_error_feedback(
    tmp_path: Path, mpi: Mpi, ranks: int, kind: tuple[str, ...], codec: Codec
) -> None:
    sizes, rounds = [1001, 40, 5], 4
    out = tmp_path / "means.npz"
    command = (sys.executable, "-m", "tests.distributed.workers", "exchange")
    ended = mpi.run(ranks, *command, ",".join(map(str, sizes)), rounds, out, *kind, PYTHONPATH=ROOT)
    assert ended.returncode == 0, ended.stderr
    wanted = plainly(ranks, sizes, rounds, codec)
    with np.load(out) as means:
        for i, mean in enumerate(wanted):
            np.testing.assert_array_equal(means[f"arr_{i}"], mean)
        each = sum(codec.size(-(-size // ranks)) for size in sizes)
        assert int(means["bytes_sent"]) == rounds * 2 * (ranks - 1) * each

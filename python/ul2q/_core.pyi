from typing import Any

from numpy.typing import NDArray

MIN_BITS: int
MAX_BITS: int

def method_table() -> list[dict[str, Any]]: ...
def quantize(
    array: NDArray[Any],
    axis: int | None,
    method: str,
    bits: int | None,
    fit: str,
    shift: str | None,
    rounding: str,
    signed: bool,
    seed: int | None,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], int, float]: ...
def dequantize(
    codes: NDArray[Any],
    scales: NDArray[Any],
    shifts: NDArray[Any],
    axis: int | None,
    method: str,
    bits: int | None,
    signed: bool,
) -> NDArray[Any]: ...

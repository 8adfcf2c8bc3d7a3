from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_BITS: int
MAX_BITS: int

def methods() -> list[str]: ...
def quantize(
    array: NDArray[Any], bits: int, method: str, fit: str
) -> tuple[NDArray[Any], NDArray[np.int32], float, float, float]: ...

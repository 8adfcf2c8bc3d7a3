"""Arrays of constants as text of C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

_BYTES = {"uint8_t": 1, "int8_t": 1, "int16_t": 2, "int32_t": 4, "uint32_t": 4, "int64_t": 8}


class Constants:
    """Arrays with static storage.

    Attributes:
        sizes: bytes of each, by its name.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.sizes: dict[str, int] = {}

    def array(self, name: str, c_type: str, numbers: NDArray[Any]) -> str:
        """The definition of an array, flat."""
        flat = numbers.ravel()
        self.sizes[name] = _BYTES[c_type] * flat.size
        return definition(f"static const {c_type} {name}", c_type, flat)


def definition(declared: str, c_type: str, numbers: NDArray[Any]) -> str:
    """A declaration with its numbers."""
    return f"{declared}[{numbers.size}] = {{\n{_lines(_literals(c_type, numbers))}\n}};\n"


def packed_words(codes: NDArray[Any], bits: int) -> NDArray[np.uint32]:
    """Codes from 0 up, one behind the other in words of 32 bits, the first in the lowest bits."""
    flat = codes.ravel().astype(np.uint32)
    spread = (flat[:, np.newaxis] >> np.arange(bits, dtype=np.uint32)) & 1
    packed = np.packbits(spread.astype(np.uint8).ravel(), bitorder="little")
    packed = np.pad(packed, (0, -len(packed) % 4))
    return np.asarray(packed.view("<u4").astype(np.uint32))


def _literals(c_type: str, numbers: NDArray[Any]) -> Iterable[str]:
    whole = numbers.tolist()
    if c_type == "uint32_t":
        return map(hex, whole)
    if c_type == "int64_t":
        return (f"INT64_C({number})" for number in whole)
    return map(str, whole)


def _lines(literals: Iterable[str]) -> str:
    # textwrap takes minutes for millions of words.
    lines, line = [], " "
    for literal in literals:
        if len(line) + len(literal) > 98:
            lines.append(line)
            line = " "
        line += f" {literal},"
    lines.append(line)
    return "\n".join(lines)

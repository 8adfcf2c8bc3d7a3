"""The loops of the C target, as text of C in the files of this folder.

IN_TYPE and OUT_TYPE in them stand for types, and IN and OUT for their short names.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

C_TYPES = {"u8": "uint8_t", "i8": "int8_t", "i16": "int16_t", "i32": "int32_t"}

# What else a loop needs, by its file.
_NEEDS = {
    "convolution": ("ending", "weights"),
    "window": ("convolution",),
    "window_sums": ("window",),
    "convolution_loop": ("window",),
    "inner_product": ("ending", "weights"),
    "inner_product_loop": ("inner_product",),
    "max_pooling": ("pooling",),
    "average_pooling": ("pooling", "ending"),
    "sum": ("ending",),
    "lrn": ("ending",),
    "squares": ("lrn",),
    "lrn_loop": ("squares",),
}


class Kernels:
    """The functions that a net needs, each once.

    Attributes:
        texts: in the order in which they stand in the file, by what makes them one.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.texts: dict[tuple[str, ...], str] = {}

    def use(self, kernel: str, in_type: str = "", out_type: str = "", other: str = "") -> None:
        """Take a function, for short names of types, and what it needs."""
        for needed in _NEEDS.get(kernel, ()):
            self.use(needed, in_type, out_type)
        text = _read(kernel)
        types = {"IN": in_type, "OUT": out_type, "OTHER": other}
        used = tuple(short if name in text else "" for name, short in types.items())
        if (kernel, *used) not in self.texts:
            for name, short in types.items():
                if short:
                    text = text.replace(f"{name}_TYPE", C_TYPES[short])
                    text = re.sub(rf"(?<=_){name}(?![A-Z])", short, text)
            self.texts[(kernel, *used)] = text

    def use_sum(self, in_types: Sequence[str], out_type: str) -> str:
        """Take a sum of inputs of these types; its name."""
        self.use("ending")
        signature = "_".join([*in_types, "to", out_type])
        parameters = [f"const {C_TYPES[short]}* x{i}" for i, short in enumerate(in_types)]
        text = _read("sum")
        for name, made in (
            ("SIGNATURE", signature),
            ("PARAMETERS", ", ".join(parameters)),
            ("OUT_TYPE", C_TYPES[out_type]),
            ("TERMS", ", ".join(f"x{i}[at] * scales[{i}]" for i in range(len(in_types)))),
            ("COUNT", str(len(in_types))),
        ):
            text = text.replace(name, made)
        self.texts["sum", signature] = text
        return f"sum_{signature}"


def _read(kernel: str) -> str:
    return files(__name__).joinpath(f"{kernel}.c").read_text(encoding="utf-8")


def identifiers() -> set[str]:
    """All names in the files, so that no layer gets one of them."""
    names: set[str] = set()
    for file in files(__name__).iterdir():
        if file.name.endswith(".c"):
            names.update(re.findall(r"[A-Za-z_]\w*", file.read_text(encoding="utf-8")))
    return names

"""ul2q: train and ship low-bit networks in BVLC Caffe.

`ul2q.quantize` is the quantizer of the layers on NumPy arrays; `ul2q.training.train`,
`ul2q.evaluation.evaluate` and `ul2q.data` are what the command line runs; `ul2q.prototxt_path`
finds the nets that come with the package, `ul2q.quantize_net` makes quantised ones of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.util.openmp import bound_spinning as _bound_spinning

if TYPE_CHECKING:
    from ul2q.nets.bundled import prototxt_path
    from ul2q.nets.quantization import NetQuantization
    from ul2q.nets.rewriter import quantize_net
    from ul2q.quantizers import Quantized, dequantize, methods, quantize

_bound_spinning()

__all__ = [
    "NetQuantization",
    "Quantized",
    "__version__",
    "dequantize",
    "methods",
    "prototxt_path",
    "quantize",
    "quantize_net",
]

_HOMES = {
    "NetQuantization": "ul2q.nets.quantization",
    "Quantized": "ul2q.quantizers",
    "dequantize": "ul2q.quantizers",
    "methods": "ul2q.quantizers",
    "prototxt_path": "ul2q.nets.bundled",
    "quantize": "ul2q.quantizers",
    "quantize_net": "ul2q.nets.rewriter",
}


def __getattr__(name: str) -> object:
    """Load what is asked for: NumPy and libcaffe are not needed to print a help text."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - it takes longer than all else here

        return version("ul2q")
    if name in _HOMES:
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ul2q' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)

"""ul2q: train and ship low-bit networks in BVLC Caffe.

`ul2q.quantize` is the quantizer of the layers on NumPy arrays; `ul2q.training.train`,
`ul2q.evaluation.evaluate` and `ul2q.data` are what the command line runs; `ul2q.prototxt_path`
finds the nets that come with the package, `ul2q.quantize_net` makes quantised ones of them, and
`ul2q.calibrate` fits them to images. `ul2q.compile` makes a
model in integers of a trained net, which runs without Caffe. Modules and packages load
when they are first asked for: after `import ul2q`, `ul2q.data` is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.util.openmp import bound_spinning as _bound_spinning

if TYPE_CHECKING:
    from ul2q import calibration as calibration
    from ul2q import data as data
    from ul2q import deploy as deploy
    from ul2q import errors as errors
    from ul2q import evaluation as evaluation
    from ul2q import models as models
    from ul2q import nets as nets
    from ul2q import prediction as prediction
    from ul2q import quantization_caffe as quantization_caffe
    from ul2q import quantizers as quantizers
    from ul2q import report as report
    from ul2q import runs as runs
    from ul2q import runtime as runtime
    from ul2q import simulation as simulation
    from ul2q import statistics as statistics
    from ul2q import sweep as sweep
    from ul2q import training as training
    from ul2q.calibration import (
        CalibrationOptions,
        calibrate,
        calibrate_net,
        gather_activation_averages,
    )
    from ul2q.nets.bundled import prototxt_path
    from ul2q.nets.quantization import NetQuantization
    from ul2q.nets.rewriter import quantize_net
    from ul2q.quantizers import Quantized, dequantize, methods, quantize
    from ul2q.runtime import compile, load  # noqa: A004 - as torch.compile

_bound_spinning()

__all__ = [
    "CalibrationOptions",
    "NetQuantization",
    "Quantized",
    "__version__",
    "calibrate",
    "calibrate_net",
    "compile",
    "dequantize",
    "gather_activation_averages",
    "load",
    "methods",
    "prototxt_path",
    "quantize",
    "quantize_net",
]

_HOMES = {
    "CalibrationOptions": "ul2q.calibration",
    "NetQuantization": "ul2q.nets.quantization",
    "Quantized": "ul2q.quantizers",
    "calibrate": "ul2q.calibration",
    "calibrate_net": "ul2q.calibration",
    "compile": "ul2q.runtime",
    "dequantize": "ul2q.quantizers",
    "gather_activation_averages": "ul2q.calibration",
    "load": "ul2q.runtime",
    "methods": "ul2q.quantizers",
    "prototxt_path": "ul2q.nets.bundled",
    "quantize": "ul2q.quantizers",
    "quantize_net": "ul2q.nets.rewriter",
}


def __getattr__(name: str) -> object:
    """Load what is asked for: NumPy and libcaffe are not needed to print a help text."""
    from importlib import import_module  # noqa: PLC0415

    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415 - it takes longer than all else here

        return version("ul2q")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _modules():
        return import_module(f"ul2q.{name}")
    raise AttributeError(f"module 'ul2q' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_modules()})


def _modules() -> set[str]:
    """The modules and packages that are of use from Python."""
    from pkgutil import iter_modules  # noqa: PLC0415

    names = {module.name for module in iter_modules(__path__) if not module.name.startswith("_")}
    return names - {"cli", "pycaffe", "util"}

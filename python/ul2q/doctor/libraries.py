"""The libraries that ul2q computes with."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import sys

from google.protobuf.internal import api_implementation

from ul2q.doctor.check import Check
from ul2q.doctor.processor import instruction_sets
from ul2q.runs import environment

# OpenBLAS's names of processors without AVX: what it takes, too, for one newer than itself.
_WITHOUT_AVX = {"Prescott", "Atom", "Core2", "Penryn", "Dunnington", "Nehalem"} | {
    *("Katmai", "Coppermine", "Northwood", "Banias"),
    *("Opteron", "Opteron_SSE3", "Barcelona", "Bobcat"),
}
_AVX_512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"}

# Optional packages, the extra that installs each, and what for.
_OPTIONAL = (
    ("onnx", "onnx", "ul2q export --to onnx"),
    ("openvino", "openvino", "ul2q export --to openvino"),
    ("matplotlib", "figures", "the figures of ul2q simulate and inspect"),
)


def versions() -> Check:
    """The versions of ul2q and of the Caffe below it."""
    told = environment.versions()
    return Check("ul2q", "ok", f"{told['ul2q']}, with BVLC Caffe {told['caffe']}")


def interpreter() -> Check:
    """Which Python this is."""
    return Check("Python", "ok", f"{platform.python_version()}, {sys.executable}")


def protobuf() -> Check:
    """Which of its implementations protobuf has chosen."""
    found = f"{importlib.metadata.version('protobuf')}, {api_implementation.Type()}"
    if api_implementation.Type() != "python":
        return Check("protobuf", "ok", found)
    return Check(
        "protobuf",
        "warning",
        found,
        "this implementation is slow with weights; unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION, "
        "or install protobuf's wheel for this Python",
    )


def openblas() -> Check:
    """Whether OpenBLAS's kernels are of this processor."""
    found = environment.versions()["openblas"]
    kernels = found.split()[-1]
    flags = instruction_sets()
    if kernels not in _WITHOUT_AVX or "avx2" not in flags:
        return Check("OpenBLAS", "ok", found)
    better = "SkylakeX" if flags >= _AVX_512 else "Haswell"
    return Check(
        "OpenBLAS",
        "warning",
        found,
        f"it does not know this processor and takes the kernels of {kernels}, several times slower "
        f"in inner products and BVLC's layers: export OPENBLAS_CORETYPE={better}",
    )


def onednn() -> Check:
    """Whether something keeps oneDNN from instructions that the processor has."""
    found = environment.versions()["onednn"]
    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        limit = os.environ.get(name)
        if limit and limit.upper() not in ("ALL", "DEFAULT"):
            remedy = f"{name}={limit} keeps it from newer instructions: unset it"
            return Check("oneDNN", "warning", found, remedy)
    return Check("oneDNN", "ok", found)


def optional() -> list[Check]:
    """The optional packages that are there, and how to get the others."""
    checks = []
    for module, extra, use in _OPTIONAL:
        found = f"not installed; for {use}: pip install 'ul2q[{extra}]'"
        if importlib.util.find_spec(module) is not None:
            found = importlib.metadata.version(module)
        checks.append(Check(module, "ok", found))
    return checks

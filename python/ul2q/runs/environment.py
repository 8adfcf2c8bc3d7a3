"""What a run was computed with: the versions of what computes, and the machine."""

from __future__ import annotations

import ctypes
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import caffe
import numpy as np

_UNKNOWN = "unknown"


def versions() -> dict[str, str]:
    """The versions of ul2q and of what it computes with, by their names.

    Those of OpenBLAS and oneDNN are what the loaded libraries themselves say; "unknown" stands
    where nobody says anything.
    """
    return {
        "ul2q": _ul2q(),
        "caffe": _caffe(),
        "openblas": _openblas(),
        "onednn": _onednn(),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def machine() -> dict[str, object]:
    """The model of the processor, how many cores this process may use, and the system."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
    }


def threads() -> int:
    """How many threads a parallel loop takes: OMP_NUM_THREADS, or else the cores."""
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return int(given) if given.isdecimal() and int(given) else len(os.sched_getaffinity(0))


def _ul2q() -> str:
    try:
        return version("ul2q")
    except PackageNotFoundError:
        return _UNKNOWN


def _caffe() -> str:
    """Caffe's version, and the revision of the source that libcaffe was built from."""
    recorded = Path(__file__).parents[1] / "lib" / "caffe-revision.txt"
    if not recorded.is_file():
        return caffe.__version__
    return f"{caffe.__version__}, {recorded.read_text(encoding='utf-8').strip()}"


def _openblas() -> str:
    """OpenBLAS's version, and the kind of processor whose kernels it has chosen."""
    library = _loaded("libopenblas")
    told = [_text(library, name) for name in ("openblas_get_config", "openblas_get_corename")]
    words = told[0].removeprefix("OpenBLAS").split()
    return " ".join(filter(None, (*words[:1], told[1]))) or _UNKNOWN


def _text(library: ctypes.CDLL | None, function: str) -> str:
    """What a C function without arguments says; "" if there is none."""
    called = getattr(library, function, None)
    if called is None:
        return ""
    called.restype = ctypes.c_char_p
    return str(called().decode())


class _OneDnnVersion(ctypes.Structure):
    """dnnl_version_t, source: oneDNN's dnnl_common_types.h."""

    _fields_ = (("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int))


def _onednn() -> str:
    told = getattr(_loaded("libdnnl"), "dnnl_version", None)
    if told is None:
        return _UNKNOWN
    told.restype = ctypes.POINTER(_OneDnnVersion)
    found = told().contents
    return f"{found.major}.{found.minor}.{found.patch}"


def _loaded(name: str) -> ctypes.CDLL | None:
    """The library of this name that the process has loaded, not one of a Python package's own."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    except OSError:
        return None
    for path in sorted({line.split(maxsplit=5)[-1] for line in maps.splitlines() if "/" in line}):
        if Path(path).name.startswith(name) and not Path(path).parent.name.endswith(".libs"):
            return ctypes.CDLL(path)
    return None


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or _UNKNOWN
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "cpu model"):
            return value.strip()
    return platform.processor() or platform.machine()

"""The machine: instruction sets, threads, memory and GPU."""

from __future__ import annotations

import os
from pathlib import Path

import caffe

from ul2q.doctor.check import GIB, Check
from ul2q.doctor.processor import instruction_sets
from ul2q.runs import environment

_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_tile", "asimd")
_CGROUP = Path("/sys/fs/cgroup")


def processor() -> Check:
    """The instruction sets that kernels choose by."""
    found = [name for name in _INSTRUCTIONS if name in instruction_sets()]
    return Check("processor", "ok", f"{environment.machine()['processor']}: {' '.join(found)}")


def threads() -> Check:
    """Whether each thread has a core."""
    threads, cores = environment.threads(), len(os.sched_getaffinity(0))
    quota = _cpu_quota()
    allowed = cores if quota is None else min(cores, max(1, int(quota)))
    found = f"{threads}, for {cores} cores"
    if quota is not None:
        found += f" and a quota of {quota:g}"
    if threads <= allowed:
        return Check("threads", "ok", found)
    return Check(
        "threads",
        "warning",
        found,
        f"threads wait for each other's cores: export OMP_NUM_THREADS={allowed}",
    )


def memory() -> Check:
    """What is free."""
    available = _available_memory()
    found = f"{available / GIB:.1f} GiB free"
    if available >= GIB:
        return Check("memory", "ok", found)
    return Check("memory", "warning", found, "VGG7-64 takes about 1 GiB to train")


def gpu() -> Check:
    """Whether this build can use one."""
    try:
        caffe.set_mode_gpu()
        caffe.set_device(0)
    except caffe.CaffeError as error:
        text = str(error).splitlines()[0]
        if "CPU_ONLY" in text or "without CUDA" in text:
            return Check("GPU", "ok", "not used: this is a build for CPUs")
        return Check("GPU", "warning", text, "the CPU is used unless a solver says GPU")
    finally:
        caffe.set_mode_cpu()
    return Check("GPU", "ok", "the first one can be used")


def _cpu_quota() -> float | None:
    """How many processors' time a container gets (cgroup 2's cpu.max); None: no limit."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _available_memory() -> int:
    """Bytes, by /proc/meminfo and a container's limit."""
    bounds = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            bounds = [int(line.split()[1]) * 1024]
    limit, used = (_number(_CGROUP / f"memory.{name}") for name in ("max", "current"))
    if limit is not None and used is not None:
        bounds.append(max(0, limit - used))
    return min(bounds)


def _number(path: Path) -> int | None:
    text = "".join(_lines(path)).strip()
    return int(text) if text.isdecimal() else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []

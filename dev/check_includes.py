"""Checks which room of the C++ code includes which, by `RULES`, and that no file leads to itself.

usage: check_includes.py [ROOT]     the project's folder; the one that this file lies in by default

Prints each include that breaks a rule, and each cycle, with file and line; the exit status is 1
then.
"""

from __future__ import annotations

import argparse
import re
import sys
from dataclasses import dataclass
from pathlib import Path

# What comes from elsewhere, by how its names begin. Other names in angle brackets are the standard
# library's or the system's, which everybody may include.
LIBRARIES = {
    "Caffe": ("caffe/",),
    "glog": ("glog/", "gflags/"),
    "protobuf": ("google/protobuf/",),
    "Boost": ("boost/",),
    "images": ("jerror.h", "jpeglib.h", "png.h"),
    "HDF5": ("hdf5",),
    "BLAS": ("cblas.h",),
    "oneDNN": ("dnnl",),
    "Highway": ("hwy/",),
    "zlib": ("zlib.h",),
    "CUDA": ("cublas", "cuda", "curand", "nccl"),
    "pybind11": ("pybind11/",),
    "GoogleTest": ("gmock/", "gtest/"),
}

CAFFE = ("cpp/caffe", "Caffe", "glog", "protobuf", "Boost")
CORE = ("cpp/ul2q/core", "Highway")

# What the files of a folder may include: folders, with those below them, and libraries. Of the
# folders that a file lies in, the rule of the innermost holds.
RULES = {
    "cpp/caffe": (*CAFFE, "HDF5", "BLAS", "CUDA", "images", "zlib"),
    "cpp/ul2q/core": CORE,
    "cpp/ul2q/runtime": ("cpp/ul2q/runtime", *CORE),
    "cpp/ul2q/float_engine": ("cpp/ul2q/float_engine", *CORE, *CAFFE, "oneDNN"),
    "cpp/ul2q/gpu": ("cpp/ul2q/gpu", *CORE, "glog", "CUDA"),
    "cpp/ul2q/layers": (
        *("cpp/ul2q/layers", "cpp/ul2q/float_engine", "cpp/ul2q/gpu", "zlib"),
        *(*CORE, *CAFFE),
    ),
    "cpp/layers_of_forks": ("cpp/layers_of_forks", "cpp/ul2q/float_engine", *CORE, *CAFFE, "CUDA"),
    "cpp/bindings/caffe": ("cpp/bindings/caffe", "cpp/ul2q", *CAFFE, "HDF5", "CUDA", "pybind11"),
    "cpp/bindings/ul2q": ("cpp/bindings/ul2q", "cpp/ul2q/runtime", *CORE, "pybind11"),
    "cpp/tests": (
        *("cpp/tests", "cpp/ul2q", "cpp/layers_of_forks", "Highway"),
        *(*CAFFE, "HDF5", "CUDA", "GoogleTest"),
    ),
    "cpp/tests/runtime": ("cpp/tests/runtime", "cpp/ul2q/runtime", *CORE, "GoogleTest"),
    "cpp/tests/core": ("cpp/tests/core", *CORE, "GoogleTest"),
    "cpp/tests/emulated_cuda": ("cpp/tests/emulated_cuda", "Boost", "BLAS", "CUDA", "GoogleTest"),
    "benchmarks": ("cpp/ul2q", "Highway", *CAFFE),
}

SUFFIXES = {".cpp", ".cu", ".h", ".hpp"}
# Where the compiler looks for a name, besides the folder of the file that includes it.
PATHS = ("cpp", "cpp/caffe")
TEST_PATHS = ("cpp/tests", "cpp/tests/emulated_cuda/include")

INCLUDE = re.compile(r"\s*#\s*include\s+([<\"])([^>\"]+)[>\"]")


@dataclass(frozen=True)
class Include:
    """One line of a file; the paths are relative to the project's folder."""

    file: str
    line: int
    text: str  # with its quotes or brackets
    target: str  # a file of the project, or the name of a library; "" for the system's

    def __str__(self) -> str:
        """What a compiler would say of it."""
        return f"{self.file}:{self.line}: #include {self.text}"


def _library(name: str, quote: str) -> str:
    for library, beginnings in LIBRARIES.items():
        if name.startswith(beginnings):
            return library
    return "" if quote == "<" else name


def _target(root: Path, file: Path, quote: str, name: str) -> str:
    paths = [root / path for path in PATHS]
    if file.is_relative_to(root / "cpp/tests"):
        paths = [root / path for path in TEST_PATHS] + paths
    if quote == '"':
        paths.insert(0, file.parent)
    for path in paths:
        found = (path / name).resolve()
        # cpp/caffe/glog stands before glog's own headers, which it includes by the same name.
        if found.is_file() and found.is_relative_to(root) and not name.startswith("glog/"):
            return found.relative_to(root).as_posix()
    return _library(name, quote)


def includes_of(root: Path) -> list[Include]:
    """All includes in the folders that `RULES` names, ordered by file and line."""
    files = {
        file for folder in RULES for file in (root / folder).rglob("*") if file.suffix in SUFFIXES
    }
    found = []
    for file in sorted(files):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if match := INCLUDE.match(line):
                quote, name = match.groups()
                text = f'"{name}"' if quote == '"' else f"<{name}>"
                target = _target(root, file, quote, name)
                found.append(Include(file.relative_to(root).as_posix(), number, text, target))
    return found


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def violations(includes: list[Include]) -> list[str]:
    """A line for each include that its folder's rule does not allow."""
    errors = []
    for include in includes:
        room = max((folder for folder in RULES if _lies_in(include.file, folder)), key=len)
        allowed = RULES[room]
        if include.target and not any(_lies_in(include.target, name) for name in allowed):
            errors.append(f"{include}\n  {room} may include {', '.join(allowed)}")
    return errors


def cycles(includes: list[Include]) -> list[str]:
    """The includes of each cycle between files, one below the other; a cycle is told once."""
    edges: dict[str, list[Include]] = {}
    for include in includes:
        edges.setdefault(include.file, []).append(include)
    errors = []
    done: set[str] = set()
    path: list[Include] = []

    def visit(file: str) -> None:
        for include in edges.get(file, ()):
            begin = next((i for i, step in enumerate(path) if step.file == include.target), None)
            if include.target == file:
                errors.append(f"{include}\n  a file may not include itself")
            elif begin is not None:
                lines = "\n".join(map(str, [*path[begin:], include]))
                errors.append(f"{lines}\n  a file may not lead back to itself")
            elif include.target not in done:
                path.append(include)
                visit(include.target)
                path.pop()
        done.add(file)

    for file in edges:
        if file not in done:
            visit(file)
    return errors


def main(arguments: list[str] | None = None) -> int:
    """Check a project's folder; 0 if all is well."""
    parser = argparse.ArgumentParser(description="Check the C++ code's includes.")
    parser.add_argument(
        "root", nargs="?", type=Path, default=Path(__file__).parent.parent, metavar="ROOT"
    )
    includes = includes_of(parser.parse_args(arguments).root.resolve())
    if not includes:
        parser.error("there is no C++ code")
    errors = violations(includes) + cycles(includes)
    for error in errors:
        print(error)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())

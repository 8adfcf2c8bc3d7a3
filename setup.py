"""Drives CMake: libcaffe, the plugin, the `caffe` tool and the Python modules into the package.

CMake keeps its tree in build/cmake, so that a second build only does what changed. Options for it
come in the environment variable CMAKE_ARGS, e.g. CMAKE_ARGS="-DCAFFE_SOURCE_DIR=$HOME/caffe", or
from pip (cmake/build_backend.py).
"""

from __future__ import annotations

import filecmp
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pybind11
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import SetupError

ROOT = Path(__file__).resolve().parent


class CMakeBuild(build_ext):
    """Builds all extensions by one run of CMake."""

    def run(self) -> None:
        """Configure, build, and install below build_lib (or python/ for an editable install)."""
        if shutil.which("cmake") is None:
            raise SetupError("ul2q needs CMake 3.22 or newer and a C++17 compiler; see README.md")
        destination = ROOT / "python" if self.inplace else Path(self.build_lib).resolve()
        tree = ROOT / "build" / "cmake"
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        configure = [
            *("cmake", "-S", str(ROOT), "-B", str(tree), *generator),
            *("--log-level=NOTICE", "-DCMAKE_INSTALL_MESSAGE=NEVER"),
            # What CMake found for the Python of an earlier build of this tree is not ours.
            *("-U", "*Python_*", "-U", "PYTHON_*"),
            "-DUL2Q_PYTHON=ON",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
            *shlex.split(os.environ.get("CMAKE_ARGS", "")),
        ]
        jobs = str(self.parallel or os.cpu_count() or 1)
        self._cmake(configure)
        self._cmake(["cmake", "--build", str(tree), "--parallel", jobs])
        stage = ROOT / "build" / "stage"
        shutil.rmtree(stage, ignore_errors=True)
        self._cmake(
            ["cmake", "--install", str(tree), "--prefix", str(stage), "--strip"], silent=True
        )
        _update(stage, destination)

    @staticmethod
    def _cmake(command: list[str], *, silent: bool = False) -> None:
        """Run a step; what a silent one prints is shown only if it fails."""
        output = subprocess.PIPE if silent else None
        result = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
        if result.returncode != 0:
            sys.stdout.buffer.write(result.stdout or b"")
            raise SetupError(f"{shlex.join(command)} failed, see above")


class FreshBuild(build_py):
    """Begins with an empty folder: a module that is gone from the source is none of the wheel's."""

    def run(self) -> None:
        """Copy the modules into build_lib."""
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


def _update(source: Path, destination: Path) -> None:
    """Copy the files that differ, each in one step: a process that uses the old one keeps it."""
    for path in filter(Path.is_file, source.rglob("*")):
        target = destination / path.relative_to(source)
        if target.is_file() and filecmp.cmp(path, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.new")
        shutil.copy2(path, new)
        new.replace(target)


setup(
    ext_modules=[Extension(name, []) for name in ("caffe._caffe", "ul2q._core", "ul2q._runtime")],
    cmdclass={"build_ext": CMakeBuild, "build_py": FreshBuild},
)

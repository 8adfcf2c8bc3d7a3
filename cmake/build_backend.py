"""setuptools' build backend, with options for CMake from pip's command line.

    pip install . --config-settings cmake.define.UL2Q_CUDA=ON

sets the option UL2Q_CUDA, as CMAKE_ARGS=-DUL2Q_CUDA=ON in the environment does.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from setuptools import build_meta
from setuptools.build_meta import (
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
    "prepare_metadata_for_build_editable",
    "prepare_metadata_for_build_wheel",
]

PREFIX = "cmake.define."

Settings = Mapping[str, str | list[str] | None]


@contextmanager
def _cmake_args(settings: Settings | None) -> Iterator[None]:
    """CMAKE_ARGS with the settings' options; pip gives a list for one that is named twice."""
    options = []
    for name, value in (settings or {}).items():
        if name.startswith(PREFIX):
            last = value[-1] if isinstance(value, list) else value or ""
            options.append(f"-D{name.removeprefix(PREFIX)}={last}")
        elif name.startswith("cmake"):
            raise ValueError(f"unknown config setting {name!r}; write {PREFIX}OPTION=VALUE")
    before = os.environ.get("CMAKE_ARGS")
    os.environ["CMAKE_ARGS"] = " ".join([before or "", shlex.join(options)]).strip()
    try:
        yield
    finally:
        if before is None:
            del os.environ["CMAKE_ARGS"]
        else:
            os.environ["CMAKE_ARGS"] = before


def build_wheel(
    wheel_directory: str,
    config_settings: Settings | None = None,
    metadata_directory: str | None = None,
) -> str:
    """PEP 517's hook. Raises ValueError for a setting that is not known."""
    with _cmake_args(config_settings):
        return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(
    wheel_directory: str,
    config_settings: Settings | None = None,
    metadata_directory: str | None = None,
) -> str:
    """PEP 660's hook. Raises ValueError for a setting that is not known."""
    with _cmake_args(config_settings):
        return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)

"""The rooms of the tree and the imports between them, read from `#include` and `import`."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PYTHON = "python/ul2q"
CPP = "cpp"
CAFFE = "cpp/caffe"
FORKS = "cpp/layers_of_forks"
PYCAFFE = "cpp/bindings/caffe"
CORE_BINDING = "cpp/bindings/ul2q"

# Each folder or module of its own, and what is in it. Folders that are missing here stop the
# script, so that a new one is given its line.
CAPTIONS = {
    "python/ul2q/cli": "the command ul2q: one file a command",
    "python/ul2q/report": "runs as one page of charts and tables",
    "python/ul2q/sweep": "nets × methods × bits × seeds",
    "python/ul2q/distributed": "one net in several processes",
    "python/ul2q/doctor": "checks of an installation",
    "python/ul2q/fitting": "fit and granularity for trained weights",
    "python/ul2q/calibration": "a quantised net fitted to images",
    "python/ul2q/prediction": "the classes of images by a trained net",
    "python/ul2q/runtime": "trained nets in integers, without Caffe",
    "python/ul2q/simulation": "methods compared on simulated data",
    "python/ul2q/quantization_caffe": "nets and weights of that fork",
    "python/ul2q/deploy": "a trained net as a graph, and as files to run",
    "python/ul2q/training": "drives Caffe's solver: tests, snapshots",
    "python/ul2q/evaluation.py": "accuracy and loss of a model",
    "python/ul2q/runs": "a run folder: its files, log, record, lock",
    "python/ul2q/models": "caffemodels: read, loaded, described",
    "python/ul2q/nets": "prototxts: read, checked, rewritten",
    "python/ul2q/data": "data sets as LMDBs",
    "python/ul2q/statistics.py": "how well a copy stands for its master",
    "python/ul2q/quantizers.py": "the layers' quantizers on arrays",
    "python/ul2q/pycaffe": "what import caffe adds to BVLC's",
    "python/ul2q/util": "tables, output files, locks, progress",
    "python/ul2q/errors.py": "the errors that a user can mend",
    "cpp/bindings/caffe": "caffe._caffe: pycaffe by pybind11",
    "cpp/layers_of_forks": "layers that came with forks",
    "cpp/bindings/ul2q": "core and runtime by pybind11",
    "cpp/ul2q/layers": "quantised layers: Quantized<Base>",
    "cpp/ul2q/float_engine": "fast CPU layers in BVLC's place",
    "cpp/ul2q/runtime": "deploy graphs in integers; knows no Caffe",
    "cpp/ul2q/gpu": "the same formulas on CUDA",
    "cpp/ul2q/core": "quantizers and methods; knows no Caffe",
    "cpp/caffe": "BVLC's source, patched, and what the patches call",
}
# Modules that belong to a room or are the package's face.
PART_OF = {"python/ul2q/__main__.py": "python/ul2q/cli"}
FACE = {"__init__.py", "_openmp.py"}
SOURCES = {".hpp", ".h", ".cpp", ".cu", ".proto", ".patch", ".py"}


@dataclass(frozen=True)
class House:
    """The rooms, and for each the rooms that it imports.

    Attributes:
        captions: what is in each room, by its path below the project's root.
        imports: (room, imported room) of all pairs that differ.
        folders: the folders with sources within a room.
    """

    captions: dict[str, str]
    imports: frozenset[tuple[str, str]]
    folders: dict[str, tuple[str, ...]]

    @property
    def rooms(self) -> tuple[str, ...]:
        """In the order of CAPTIONS."""
        return tuple(self.captions)


def read_house(root: Path) -> House:
    """The rooms and imports of the tree below `root`.

    Raises:
        ValueError: a folder without a caption, or a caption without its folder.
    """
    found = set(_rooms(root))
    unknown, gone = sorted(found - set(CAPTIONS)), sorted(set(CAPTIONS) - found)
    if unknown or gone:
        raise ValueError(
            "dev/architecture/rooms.py: CAPTIONS lacks "
            f"{', '.join(unknown) or 'nothing'} and has, without a folder, "
            f"{', '.join(gone) or 'nothing'}"
        )
    imports = {*_python_imports(root), *_cpp_includes(root)}
    return House(
        CAPTIONS,
        frozenset((room, other) for room, other in imports if room != other),
        {room: tuple(sorted(_folders(root / room))) for room in CAPTIONS},
    )


def _rooms(root: Path) -> Iterator[str]:
    for path in (root / PYTHON).iterdir():
        name = path.relative_to(root).as_posix()
        is_module = path.suffix == ".py" and path.name not in FACE and name not in PART_OF
        if is_module or (path / "__init__.py").is_file():
            yield name
    for folder in (root / CPP / "ul2q", root / CPP / "bindings"):
        yield from (p.relative_to(root).as_posix() for p in folder.iterdir() if p.is_dir())
    yield from (CAFFE, FORKS)


def _folders(room: Path) -> Iterator[str]:
    for folder in room.iterdir() if room.is_dir() else ():
        if folder.is_dir() and any(file.suffix in SOURCES for file in folder.iterdir()):
            yield folder.name


def _room_of(path: str) -> str | None:
    """The room of a file, by its path below the root; None for the package's face and tests."""
    if path in PART_OF:
        return PART_OF[path]
    return next((room for room in CAPTIONS if path == room or path.startswith(f"{room}/")), None)


def _python_imports(root: Path) -> Iterator[tuple[str, str]]:
    for file in sorted((root / PYTHON).rglob("*.py")):
        room = _room_of(file.relative_to(root).as_posix())
        if room is None:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), filename=str(file))):
            for module in _modules(node):
                imported = _room_of_module(root, module)
                if imported is not None:
                    yield room, imported


def _modules(node: ast.AST) -> Iterator[str]:
    """The modules that a statement imports, as dotted names; perhaps with a name of theirs."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _room_of_module(root: Path, module: str) -> str | None:
    package, _, rest = module.partition(".")
    if package == "caffe":
        return PYCAFFE
    if package != "ul2q":
        return None
    name = rest.split(".")[0]
    if name in ("_core", "_runtime"):
        return CORE_BINDING
    is_package = (root / PYTHON / name / "__init__.py").is_file()
    return _room_of(f"{PYTHON}/{name}" if is_package else f"{PYTHON}/{name}.py")


_INCLUDE = re.compile(r'^\s*#\s*include\s+["<]([^">]+)[">]', re.MULTILINE)


def _cpp_includes(root: Path) -> Iterator[tuple[str, str]]:
    for file in sorted((root / CPP).rglob("*")):
        room = _room_of(file.relative_to(root).as_posix())
        if room is None or file.suffix not in {".hpp", ".h", ".cpp", ".cu"}:
            continue
        for include in _INCLUDE.findall(file.read_text(encoding="utf-8")):
            imported = _room_of_include(root, file, include)
            if imported is not None:
                yield room, imported


def _room_of_include(root: Path, file: Path, include: str) -> str | None:
    """BVLC's headers, and what protoc makes, lie in no folder of the tree, but below `caffe/`."""
    if include.startswith("caffe/"):
        return CAFFE
    for folder in (file.parent, root / CPP, root / CAFFE):
        if (folder / include).is_file():
            return _room_of((folder / include).resolve().relative_to(root).as_posix())
    return None

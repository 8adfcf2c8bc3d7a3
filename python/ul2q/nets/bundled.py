"""The nets that come with ul2q, and how a command finds them by name."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

from ul2q.util.near_names import near_names

_CLONE = "prototxt"  # the folder of the nets in a clone, which the bundled solvers name, too


def prototxt_path(name: str = "") -> Path:
    """Path of a prototxt of the package, e.g. `prototxt_path("lenet/solver_2bit.prototxt")`.

    Args:
        name: path below the package's prototxt folder; "" for the folder itself.

    Raises:
        FileNotFoundError: there is none of that name; the message lists those there are.
    """
    path = _folder() / name
    if not path.exists():
        raise FileNotFoundError(f"no prototxt {name!r} in ul2q; there are {', '.join(_names())}")
    return path


def find_prototxt(path: Path) -> Path:
    """What a command reads for a prototxt's path: that file, or the package's of that name.

    The names of the package's are those below its folder, `lenet/solver_2bit.prototxt`, and those
    that the files have in a clone, `prototxt/lenet/solver_2bit.prototxt`.

    Returns:
        `path` as it is, if it is a file, or neither one nor a name of the package's.
    """
    if path.exists():
        return path
    return bundled_path(path) or path


def bundled_path(path: Path) -> Path | None:
    """The package's prototxt that a path names, whatever the working folder holds; None: none."""
    bundled = _folder() / _name(path)
    return bundled if not path.is_absolute() and bundled.is_file() else None


def is_bundled(path: Path) -> bool:
    """Whether a file is one of the package's."""
    return path.resolve().is_relative_to(_folder().resolve())


def output_beside(path: Path) -> Path:
    """Where what is made of a prototxt is written by default: a path beside it.

    What is made of one of the package's goes into the working folder, under the same file name.
    """
    return Path(path.name) if is_bundled(path) else path


def bundled_names(pattern: str = "*") -> list[str]:
    """The names of the package's prototxts whose file names match a pattern, as "solver_*"."""
    return [name for name in _names() if fnmatch(Path(name).name, pattern)]


def near_bundled(path: Path) -> str:
    """`; did you mean …?` for a path that is not there but like a name of the package's, or ""."""
    if len(path.parts) < 2:
        return ""
    return near_names(_name(path), _names())


def _folder() -> Path:
    return Path(__file__).parents[1] / "prototxt"


def _names() -> list[str]:
    folder = _folder()
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.prototxt"))


def _name(path: Path) -> str:
    """The name below the package's folder that a path may stand for."""
    return path.relative_to(_CLONE).as_posix() if path.parts[:1] == (_CLONE,) else path.as_posix()

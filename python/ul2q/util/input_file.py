"""Refuse what is no file before it is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.util.near_names import nearest, offered

if TYPE_CHECKING:
    from pathlib import Path


def require_file(path: Path, what: str, noun: str = "file") -> None:
    """Refuse a path at which no file stands.

    Args:
        path: where the file should be.
        what: what is to be given, for the message, e.g. "a solver's prototxt".
        noun: what is not there, for the message.

    Raises:
        FileNotFoundError: there is nothing; the message offers the near names of its folder.
        IsADirectoryError: there is a folder.
    """
    if path.is_file():
        return
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; give {what}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: no such {noun}, nor a folder {path.parent}; give {what}")
    raise FileNotFoundError(f"{path}: no such {noun}{near_files(path) or f'; give {what}'}")


def require_there(folder: Path, what: str) -> None:
    """Refuse a path at which no folder stands.

    Args:
        folder: where the folder should be.
        what: what is to be given, for the message, e.g. "the folder of a run".

    Raises:
        FileNotFoundError: there is nothing; the message offers the near names of its folder.
        NotADirectoryError: there is a file.
    """
    if folder.is_dir():
        return
    if folder.exists():
        raise NotADirectoryError(f"{folder} is a file; give {what}")
    beside = sorted(folder.parent.iterdir()) if folder.parent.is_dir() else []
    near = offered(
        [
            str(folder.with_name(name))
            for name in nearest(folder.name, (one.name for one in beside if one.is_dir()))
        ]
    )
    raise FileNotFoundError(f"{folder}: no such folder{near or f'; give {what}'}")


def near_files(path: Path) -> str:
    """`; did you mean …?` with the files beside a missing one that are called alike, or ""."""
    if not path.parent.is_dir():
        return ""
    beside = [one for one in sorted(path.parent.iterdir()) if one.is_file()]
    # Without suffixes, which most files of a folder share: those alone would make names alike.
    stems = nearest(path.stem, (one.stem for one in beside))
    near = [str(one) for stem in stems for one in beside if one.stem == stem]
    return offered(sorted(near, key=lambda name: not name.endswith(path.suffix))[:3])


def require_folder(path: Path, what: str) -> None:
    """Refuse a path at which something other than a folder stands; nothing may stand there.

    Args:
        path: a folder, perhaps one that is to be made.
        what: who takes it, for the message, e.g. "--run".

    Raises:
        NotADirectoryError: there is a file.
    """
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"{path} is a file; {what} takes a folder")

"""Write a file in one step: whatever interrupts it, the old file or the whole new one is there."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ul2q.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


class OutputExistsError(UserError, FileExistsError):
    """There is a file already where one is to be written."""


def refuse_existing(path: Path, *, force: bool) -> None:
    """Refuse to write where something is, or nothing can be.

    Args:
        path: where a file is to be written.
        force: allow to replace a file.

    Raises:
        FileNotFoundError: its folder is missing.
        OutputExistsError: there is a file and `force` is not set, or a folder.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent}: no such folder; make it, or choose another")
    if path.is_dir():
        raise OutputExistsError(f"{path} is a folder; give the name of a file")
    if not force and path.exists():
        raise OutputExistsError(
            f"{path} exists already; choose another name, or replace it with --force (force=True)"
        )


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name a file, or a folder, in what fails in the block without a name, as on a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """A folder, made with its parents if it is missing.

    What was made here is removed again if the block raises and nothing stands in it.

    Raises:
        NotADirectoryError: a file stands there, or at a parent.
    """
    missing = [one for one in (path, *path.parents) if not one.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        there = next(one for one in (path, *path.parents) if one.exists())
        raise NotADirectoryError(f"{there} is a file; a folder is to be there") from error
    try:
        yield
    except BaseException:
        with suppress(OSError):  # it is not empty
            for one in missing:
                one.rmdir()
        raise


def write_file(path: Path, content: bytes, *, force: bool) -> None:
    """Write a file; its folder must be there.

    Args:
        path: the file; if it is a link, what it leads to is replaced.
        content: all of it.
        force: allow to replace a file.

    Raises:
        FileNotFoundError: its folder is missing.
        OutputExistsError: there is a file and `force` is not set, or a folder.
        OSError: it cannot be written.
    """
    write_files({path: content}, force=force)


def write_files(contents: Mapping[Path, bytes | Callable[[Path], object]], *, force: bool) -> None:
    """Write files that belong together: all are on the disk before the first takes its name.

    Args:
        contents: the whole content of each, or what writes it, and brings it to the disk, at a
            path that it is called with.
        force: allow to replace files.

    Raises:
        FileNotFoundError: a folder is missing.
        OutputExistsError: there is a file and `force` is not set, or a folder.
        OSError: one cannot be written; then all are as they were.
    """
    for path in contents:
        refuse_existing(path, force=force)
    temporaries: dict[Path, Path] = {}
    try:
        for path, content in contents.items():
            target = path.resolve()
            temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
            temporaries[temporary] = target
            with naming(path):
                if callable(content):
                    content(temporary)
                else:
                    _write_new(temporary, content)
        for temporary, target in temporaries.items():
            temporary.replace(target)
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


def _write_new(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())

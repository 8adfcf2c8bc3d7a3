"""Write a file in one step: whatever interrupts it, the old file or the whole new one is there."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from ul2q.errors import UserError

if TYPE_CHECKING:
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
        raise FileNotFoundError(f"{path.parent}: no such folder")
    if path.is_dir():
        raise OutputExistsError(f"{path} is a folder; give the name of a file")
    if not force and path.exists():
        raise OutputExistsError(
            f"{path} exists already; choose another name, or replace it with --force (force=True)"
        )


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
    refuse_existing(path, force=force)
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)

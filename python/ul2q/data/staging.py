"""Build a folder under a temporary name beside its target, and move it there when complete.

Whatever interrupts the building, the target is what it was before or the complete new folder. The
temporary folder is locked (flock) for as long as its process lives, so that the next one can tell
a leftover, which it removes, from a folder that is being built.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.data.errors import DataError, first_names
from ul2q.util.output_file import naming

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_SUFFIX = ".ul2q-staging"


@contextlib.contextmanager
def staged_folder(target: Path, *, force: bool, replaceable: Collection[str]) -> Iterator[Path]:
    """Yield a new, empty folder; leaving the block without an exception puts it at `target`.

    Missing parents of `target` are made, and leftovers of killed processes beside it removed.

    Args:
        target: a folder that is missing or empty, or, with `force`, one to be replaced.
        force: whether `target` may be replaced; it stays intact until the new folder is complete.
        replaceable: the names that `target` may hold to be replaced.

    Raises:
        DataError: `target` is a file; or holds something and `force` is not set; or holds names
            that are not `replaceable`; or its file system cannot lock or exchange folders.
        OSError: the folder cannot be written or moved into place.
    """
    target = target.resolve()
    _check_target(target, force, replaceable)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target)
    with naming(target), _locked_sibling(target) as folder:
        yield folder
        _sync_tree(folder)
        _check_target(target, force, replaceable)  # again: much time may have passed
        if target.is_dir() and any(target.iterdir()):
            _exchange(folder, target)
        else:
            os.rename(folder, target)  # noqa: PTH104 - as its neighbours
        _sync(target.parent)


def remove_leftovers(target: Path) -> None:
    """Remove what killed processes left beside `target`, as far as the permissions allow."""
    target = target.resolve()
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}{re.escape(_SUFFIX)}")
    if not target.parent.is_dir():
        return
    for folder in target.parent.iterdir():
        if not pattern.fullmatch(folder.name):
            continue
        with contextlib.suppress(OSError, DataError):  # not a folder, or not to be opened
            lock = _lock(folder)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _check_target(target: Path, force: bool, replaceable: Collection[str]) -> None:
    if not target.exists():
        return
    if not target.is_dir():
        raise DataError(f"{target}: is a file, but a folder is to be written; choose another name")
    names = sorted(entry.name for entry in target.iterdir())
    strangers = [name for name in names if name not in replaceable]
    if strangers:
        raise DataError(
            f"{target}: holds other files ({first_names(strangers)}); choose another folder, "
            "or move them away"
        )
    if names and not force:
        raise DataError(
            f"{target}: already holds something else ({first_names(names)}); choose another "
            "folder, or replace it with --force (force=True)"
        )


@contextlib.contextmanager
def _locked_sibling(target: Path) -> Iterator[Path]:
    lock = None
    while lock is None:  # None: another process took the folder for a leftover before the lock
        folder = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_SUFFIX}")
        folder.mkdir()
        lock = _lock(folder)
    try:
        yield folder
    finally:
        # By now there is nothing here, a half-built folder, or the one that was replaced.
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _lock(folder: Path) -> int | None:
    """Lock a folder; None if another process holds it, or has moved or removed it."""
    with contextlib.ExitStack() as on_failure:
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            on_failure.callback(os.close, descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), os.lstat(folder)):
                return None
        except (BlockingIOError, FileNotFoundError):
            return None
        except OSError as error:
            if error.errno in (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.EOPNOTSUPP):
                raise DataError(
                    f"{folder.parent}: this file system cannot lock folders; LMDB needs a local "
                    "disk, choose a folder on one"
                ) from error
            raise
        on_failure.pop_all()
        return descriptor


def _exchange(new: Path, old: Path) -> None:
    """Swap two folders in one atomic step: Linux' renameat2 with RENAME_EXCHANGE."""
    at_working_folder, rename_exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of <linux/fs.h>
    libc = ctypes.CDLL(None, use_errno=True)
    failed = libc.renameat2(
        at_working_folder, os.fsencode(new), at_working_folder, os.fsencode(old), rename_exchange
    )
    if not failed:
        return
    code = ctypes.get_errno()
    if code in (errno.EBUSY, errno.EINVAL, errno.ENOSYS, errno.EXDEV):
        raise DataError(
            f"{old}: cannot be replaced in one step here ({os.strerror(code)}); remove the folder "
            "first, or choose another one"
        )
    raise OSError(code, os.strerror(code), str(new), None, str(old))


def _sync_tree(folder: Path) -> None:
    for root, _, files in os.walk(folder):
        for name in files:
            _sync(Path(root, name))
        _sync(Path(root))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""One process at a time in a folder: a lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import TextIO


class LockFile:
    """A file that one process at a time can hold; it names that process, and stays."""

    def __init__(self, file: TextIO) -> None:
        """Take the open file; nothing is locked yet."""
        self._file = file

    def acquire(self) -> bool:
        """Lock it, and return whether that could be done; no other process holds it then.

        It stays locked until it is closed here and by all processes that inherited it.
        """
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        os.ftruncate(self.descriptor, 0)
        os.write(self.descriptor, f"{os.getpid()}\n".encode("ascii"))
        return True

    @property
    def holder(self) -> str:
        """The number of the process that acquired it last."""
        return os.pread(self.descriptor, 32, 0).decode("ascii").strip()

    @property
    def descriptor(self) -> int:
        """The file descriptor, for processes to inherit."""
        return self._file.fileno()


def is_held(path: Path) -> bool:
    """Whether a process holds the lock; the file need not be there, and stays as it is.

    For a moment no process can acquire it.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


@contextmanager
def lock_file(path: Path) -> Iterator[LockFile]:
    """A lock, released at the end of the block; its folder must be there.

    Raises:
        OSError: the file cannot be opened for writing.
    """
    with path.open("a+", encoding="ascii") as file:
        yield LockFile(file)

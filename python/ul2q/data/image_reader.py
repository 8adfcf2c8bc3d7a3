"""Decode image files in several processes, in order.

The processes are plain children, each with a socket to this one: they need nothing of the main
program (as multiprocessing's would), inherit no open LMDB, do not hear Ctrl-C, and end by
themselves when this process is killed.
"""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ul2q.data.errors import DataError
from ul2q.data.images import ImageError, Resize, read_image

if TYPE_CHECKING:
    _Connection: TypeAlias = Connection[Any, Any]

Decoded = NDArray[np.uint8] | ImageError
"""An image, channels x height x width, or why there is none."""

Reader = Callable[[Iterable[str]], Iterator[Decoded]]

_IMAGES_PER_REQUEST = 16  # small images are decoded faster than they are asked for
_READ_AHEAD = 4  # requests that wait for each process
_START = """
import sys
sys.path[:] = sys.argv[2:]
from ul2q.data.image_reader import serve
serve(int(sys.argv[1]))
"""


def all_cores() -> int:
    """The number of processors that this process may use."""
    return len(os.sched_getaffinity(0))


@contextlib.contextmanager
def image_reader(jobs: int, resize: Resize | None, *, gray: bool = False) -> Iterator[Reader]:
    """Yield a function that decodes image files by `read_image`, in the order of their paths.

    Args:
        jobs: how many processes decode; 1: this one.
        resize: the size of all images; None: as they are.
        gray: whether images are to have one channel.

    Raises:
        DataError: `jobs` is less than 1.
        OSError: of the function: a file cannot be read, or a process has died.
    """
    if jobs < 1:
        raise DataError(f"{jobs} jobs; there must be 1 or more")
    if jobs == 1:
        yield lambda paths: (_decoded(path, resize, gray=gray) for path in paths)
        return
    workers: list[_Worker] = []
    threads = ThreadPoolExecutor(jobs)
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def read(paths: list[str]) -> list[Decoded]:
        worker = idle.get()
        try:
            return worker.read(paths, resize, gray=gray)
        finally:
            idle.put(worker)

    try:
        for _ in range(jobs):
            workers.append(_start())
            idle.put(workers[-1])
        yield lambda paths: _in_order(threads, read, paths, _READ_AHEAD * jobs)
    finally:
        for worker in workers:
            worker.process.kill()  # so that the threads that wait for an image end, too
        threads.shutdown(cancel_futures=True)
        for worker in workers:
            worker.process.wait()
            worker.connection.close()


def serve(descriptor: int) -> None:
    """Decode what is asked for through a socket, until it is closed: a process' main function."""
    connection: _Connection = Connection(descriptor)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            paths, resize, gray = connection.recv()
            answer: list[Decoded] | Exception
            try:
                answer = [_decoded(path, resize, gray=gray) for path in paths]
            except Exception as error:  # raised by `_Worker.read`
                answer = error
            connection.send(answer)


class _Worker(NamedTuple):
    process: subprocess.Popen[bytes]
    connection: _Connection

    def read(self, paths: list[str], resize: Resize | None, *, gray: bool) -> list[Decoded]:
        try:
            self.connection.send((paths, resize, gray))
            answer: list[Decoded] | Exception = self.connection.recv()
        except (EOFError, ConnectionError):
            status = self.process.wait()
            raise OSError(
                f"the process that decoded {paths[0]} and those after it ended (exit status "
                f"{status}); if memory is short, use fewer jobs"
            ) from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _start() -> _Worker:
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - this program, with its own path
            [sys.executable, "-I", "-c", _START, str(theirs.fileno()), *sys.path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,  # Ctrl-C is for this process, which ends that one
        )
    return _Worker(process, ours)


def _decoded(path: str, resize: Resize | None, *, gray: bool) -> Decoded:
    try:
        return read_image(path, resize, gray=gray)
    except ImageError as error:
        return error


def _in_order(
    threads: ThreadPoolExecutor,
    read: Callable[[list[str]], list[Decoded]],
    paths: Iterable[str],
    ahead: int,
) -> Iterator[Decoded]:
    rest = iter(paths)
    pending: deque[Future[list[Decoded]]] = deque()
    while request := list(islice(rest, _IMAGES_PER_REQUEST)):
        pending.append(threads.submit(read, request))
        if len(pending) > ahead:
            yield from pending.popleft().result()
    while pending:
        yield from pending.popleft().result()

"""The MPI libraries of this machine, and processes that they start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.processes import UL2Q

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[2]
MPICH = ROOT / "build" / "mpich"  # where `make test-distributed` installs it
ALL = os.environ.get("UL2Q_TEST_DISTRIBUTED") == "all"
"""Whether both libraries, 4 ranks and what takes long are to be tested."""


@dataclass(frozen=True)
class Mpi:
    """An MPI library.

    Attributes:
        name: "Open MPI" or "MPICH".
        mpiexec: its launcher.
        environment: what its processes need.
    """

    name: str
    mpiexec: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(
        self, ranks: int, *command: object, cwd: Path | None = None, **environment: str
    ) -> subprocess.Popen[str]:
        """Start a command in so many ranks, on one thread each unless told otherwise."""
        quiet = {name: value for name, value in os.environ.items() if not name.startswith("GLOG_")}
        return subprocess.Popen(
            [self.mpiexec, "-n", str(ranks), *map(str, command)],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=quiet | {"OMP_NUM_THREADS": "1"} | dict(self.environment) | environment,
        )

    @contextmanager
    def started(
        self, ranks: int, *command: object, **options: Any
    ) -> Iterator[subprocess.Popen[str]]:
        """The same for the length of a block, whatever goes wrong in it."""
        process = self.start(ranks, *command, **options)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def run(
        self,
        ranks: int,
        *command: object,
        cwd: Path | None = None,
        timeout: float = 120,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        process = self.start(ranks, *command, cwd=cwd, **environment)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        return subprocess.CompletedProcess([*map(str, command)], process.returncode, out, err)

    def train(self, ranks: int, *arguments: object, **options: Any) -> str:
        """Run `ul2q train` to its end, and return what it has printed."""
        ended = self.run(ranks, *UL2Q, "train", *arguments, **options)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr


def _found() -> list[Mpi]:
    found = []
    beside = Path(sys.executable).parent / "mpiexec"
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is not None:
        # Of Open MPI: the tests may run as root, and on fewer cores than ranks.
        environment = {
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
            "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "OMPI_MCA_pml": "ob1",  # begins in half the time
            "OMPI_MCA_btl": "self,sm",
        }
        found.append(Mpi("Open MPI", mpiexec, environment))
    if (MPICH / "bin" / "mpiexec").exists():
        environment = {"MPI4PY_MPIABI": "mpich", "LD_LIBRARY_PATH": str(MPICH / "lib")}
        found.append(Mpi("MPICH", str(MPICH / "bin" / "mpiexec"), environment))
    return found


FOUND = _found() if find_spec("mpi4py") is not None else []
TESTED = FOUND if ALL else FOUND[:1]
needs_mpi = pytest.mark.skipif(not FOUND, reason="needs mpi4py and an MPI library")
every_mpi = pytest.mark.parametrize("mpi", TESTED, ids=lambda mpi: mpi.name.replace(" ", ""))
RANKS = (2, 4) if ALL else (2,)
only_all = pytest.mark.skipif(not ALL, reason="make test-distributed does it")

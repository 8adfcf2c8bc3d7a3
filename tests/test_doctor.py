"""`ul2q doctor`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.processes import UL2Q, run_process
from ul2q.cli import main
from ul2q.doctor import examine, libraries, machine, trials
from ul2q.runs import environment

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_fails_here(tmp_path: Path) -> None:
    checks = examine(tmp_path)
    assert [check.name for check in checks if check.status == "failure"] == []
    assert all(check.remedy for check in checks if check.status != "ok")
    assert list(tmp_path.iterdir()) == []


def test_the_table_has_what_json_has(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path), "--json"]) == 0
    checks = json.loads(capsys.readouterr().out)
    assert main(["doctor", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    for check in checks:
        assert any(line.startswith(check["name"]) and check["status"] in line for line in lines), (
            check["name"]
        )


def test_a_folder_that_cannot_be_written_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path / "none")]) == 1
    told = capsys.readouterr()
    assert "these checks failed: folder, LMDB, HDF5" in told.err
    assert "work in a folder that you may write to" in told.out


@pytest.mark.parametrize(
    ("kernels", "flags", "remedy"),
    [
        ("Prescott", {"avx2", "avx512f", "avx512bw", "avx512dq", "avx512vl"}, "=SkylakeX"),
        ("Nehalem", {"avx2", "fma"}, "=Haswell"),
        ("Nehalem", {"sse4_2"}, ""),
        ("Haswell", {"avx2", "fma"}, ""),
    ],
)
def test_openblas_with_kernels_of_an_old_processor(
    kernels: str, flags: set[str], remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An OpenBLAS older than the processor takes those that every processor has."""
    monkeypatch.setattr(environment, "versions", lambda: {"openblas": f"0.1 {kernels}"})
    monkeypatch.setattr(libraries, "instruction_sets", lambda: flags)
    check = libraries.openblas()
    assert check.status == ("warning" if remedy else "ok")
    assert check.remedy.endswith(remedy)


def test_more_threads_than_a_container_has_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert machine.threads().status == "ok"
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    check = machine.threads()
    assert check.status == "warning"
    assert "a quota of 1.5" in check.found
    assert check.remedy.endswith("export OMP_NUM_THREADS=1")


def test_the_memory_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    (tmp_path / "memory.max").write_text(f"{3 * 2**29}\n")
    (tmp_path / "memory.current").write_text(f"{2**30}\n")
    check = machine.memory()
    assert check.status == "warning"
    assert check.found == "0.5 GiB free"


def test_a_layer_that_differs_from_bvlcs_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_TOLERANCE", -1)
    check = trials.engines()
    assert check.status == "failure"
    assert "UL2Q_ENGINE=CAFFE" in check.remedy


def test_an_instruction_set_that_is_kept_from_onednn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    done = run_process(*UL2Q, "doctor", tmp_path)
    assert done.returncode == 0
    assert "ONEDNN_MAX_CPU_ISA=SSE41 keeps it from newer instructions: unset it" in done.stdout

"""Which threads ranks get, what does not fit, and what they read: without MPI."""

from __future__ import annotations

import pytest
from caffe.proto import caffe_pb2
from google.protobuf import text_format

from ul2q.distributed.launcher import announced_size, forget_launcher, under_mpi
from ul2q.distributed.placement import Place, describe, misfits, shared
from ul2q.distributed.records import batch_size, not_shared

ALL_8 = frozenset(range(8))


def placed(*places: tuple[str, frozenset[int], int | None], cores: int = 8) -> list[Place]:
    found = [Place(host, mask, cores, threads) for host, mask, threads in places]
    return [shared(place, found) for place in found]


@pytest.mark.parametrize(
    ("places", "threads"),
    [
        ([("a", ALL_8, None)] * 2, [4, 4]),
        ([("a", ALL_8, None)] * 3, [2, 2, 2]),
        ([("a", ALL_8, None)] * 16, [1] * 16),
        ([("a", ALL_8, None), ("b", ALL_8, None)], [8, 8]),
        ([("a", frozenset({0}), None), ("a", frozenset({1}), None)], [1, 1]),
        ([("a", frozenset(range(4)), None), ("a", frozenset(range(4, 8)), None)], [4, 4]),
        ([("a", ALL_8, 3), ("a", ALL_8, None)], [3, 4]),
    ],
)
def test_ranks_share_the_cores_that_they_have_together(
    places: list[tuple[str, frozenset[int], int | None]], threads: list[int]
) -> None:
    assert [place.threads for place in placed(*places)] == threads


def test_what_fits_is_not_told() -> None:
    assert misfits(placed(*[("a", ALL_8, None)] * 2, *[("b", ALL_8, None)] * 3)) == []
    bound = [("a", frozenset({core}), None) for core in range(8)]
    assert misfits(placed(*bound)) == []


def test_more_threads_than_cores_are_told_by_machine() -> None:
    told = misfits(placed(*[("a", ALL_8, 8)] * 2, ("b", ALL_8, 8)))
    assert len(told) == 1
    assert told[0].startswith("a: 2 ranks have 16 threads together, for 8 cores")


def test_ranks_bound_to_one_core_are_told_of_the_idle_ones() -> None:
    told = misfits(placed(("a", frozenset({0}), None), ("a", frozenset({1}), None)))
    assert len(told) == 1
    assert "6 of the machine's are left idle" in told[0]
    assert "--bind-to none" in told[0]


def test_the_description() -> None:
    assert describe(placed(("a", ALL_8, 1))) == "1 rank on 1 machine, 1 thread each"
    places = placed(("a", ALL_8, 1), ("b", ALL_8, 4))
    assert describe(places) == "2 ranks on 2 machines, 1 to 4 threads each"


@pytest.mark.parametrize(
    ("variables", "size", "mpi"),
    [
        ({}, None, False),
        ({"OMPI_COMM_WORLD_SIZE": "4"}, 4, True),
        ({"PMI_SIZE": "2"}, 2, True),
        ({"PMIX_RANK": "0"}, None, True),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "0"}, None, False),
    ],
)
def test_the_launcher_is_known_by_the_environment(
    variables: dict[str, str], size: int | None, mpi: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "PMIX_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert announced_size() == size
    assert under_mpi() == mpi
    forget_launcher()
    assert not under_mpi()


def test_layers_that_are_not_shared_out_are_told() -> None:
    net = text_format.Parse(
        """
        layer { name: "a" type: "Data" top: "a" data_param { batch_size: 7 } }
        layer { name: "b" type: "ImageData" top: "b" image_data_param { shuffle: true } }
        layer { name: "c" type: "ImageData" top: "c" }
        layer { name: "d" type: "MemoryData" top: "d" }
        layer { name: "e" type: "ImageData" top: "e" include { phase: TEST } }
        layer { name: "f" type: "Python" bottom: "a" top: "f" }
        """,
        caffe_pb2.NetParameter(),
    )
    state = caffe_pb2.NetState(phase=caffe_pb2.TRAIN)
    told = not_shared(net, state)
    assert [line.split("'")[1] for line in told] == ["c", "d"]
    assert batch_size(net, state) == 7

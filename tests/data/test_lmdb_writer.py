"""The LMDB writer: records read back with the lmdb package, and what faults leave behind."""

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ul2q.data import DataError, count_records, lmdb_writer, write_lmdb
from ul2q.data.staging import remove_leftovers, staged_folder

Records = list[tuple[NDArray[Any], int]]


def random_records(
    count: int, shape: tuple[int, int, int] = (1, 5, 4), *, seed: int = 0
) -> Records:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, *shape), np.uint8)
    return [(image, int(random.integers(0, 10))) for image in images]


def pairs(rows: list[tuple[bytes, NDArray[Any], int]]) -> list[tuple[bytes, int]]:
    return [(image.tobytes(), label) for _, image, label in rows]


def write(path: Path, records: Records, **kwargs: Any) -> None:
    write_lmdb(path, iter(records), total=len(records), **kwargs)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 28, 28), (3, 5, 7)])
@pytest.mark.parametrize("count", [1, 9, 10, 11, 2001])
def test_records_come_back_in_order(
    tmp_path: Path, read_lmdb: Any, count: int, shape: tuple[int, int, int]
) -> None:
    records = random_records(count, shape)
    write(tmp_path / "db", records)
    rows = read_lmdb(tmp_path / "db")
    assert [key for key, _, _ in rows] == [f"{index:08}".encode() for index in range(count)]
    for (_, image, label), (want_image, want_label) in zip(rows, records, strict=True):
        np.testing.assert_array_equal(image, want_image)
        assert label == want_label
    assert sorted(os.listdir(tmp_path / "db")) == ["data.mdb", "lock.mdb"]
    assert count_records(tmp_path / "db") == count


def test_extreme_labels_and_strided_images(tmp_path: Path, read_lmdb: Any) -> None:
    image = np.arange(48, dtype=np.uint8).reshape(4, 6, 2).transpose(2, 0, 1)[:, ::2, ::-1]
    labels = [-(2**31), -1, 0, 2**31 - 1]
    write(tmp_path / "db", [(image, label) for label in labels])
    rows = read_lmdb(tmp_path / "db")
    assert [label for _, _, label in rows] == labels
    np.testing.assert_array_equal(rows[0][1], image)


def test_keys_widen_so_that_they_sort() -> None:
    items = lmdb_writer._items(iter(random_records(2)), 10**8 + 1, "db")
    assert [pair[0] for pair in islice(items, 2) if pair] == [b"000000000", b"000000001"]


def test_records_that_are_left_out_leave_no_gap(tmp_path: Path, read_lmdb: Any) -> None:
    first, second = random_records(2)
    calls: list[tuple[int, int, str]] = []
    written = lmdb_writer.fill_lmdb(
        tmp_path / "db",
        [None, first, None, second, None],
        total=5,
        what="db",
        progress=lambda *call: calls.append(call),
    )
    assert (written, calls) == (2, [(5, 5, "db")])
    rows = read_lmdb(tmp_path / "db")
    assert [key for key, _, _ in rows] == [b"00000000", b"00000001"]
    assert pairs(rows) == [(image.tobytes(), label) for image, label in (first, second)]


def test_large_records_make_small_transactions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lmdb_writer, "_BATCH_SIZE", 100)
    calls: list[tuple[int, int, str]] = []
    write(tmp_path / "db", random_records(5, (1, 6, 10)), progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == [2, 4, 5]


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_the_map_grows(
    tmp_path: Path, read_lmdb: Any, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    monkeypatch.setattr(lmdb_writer, "_FIRST_MAP_SIZE", 32768)
    monkeypatch.setattr(lmdb_writer, "_BATCH", batch)
    records = random_records(300, (3, 20, 20))
    write(tmp_path / "db", records)
    assert pairs(read_lmdb(tmp_path / "db")) == [(i.tobytes(), label) for i, label in records]
    assert (tmp_path / "db" / "data.mdb").stat().st_size > 300 * 3 * 20 * 20


def test_progress_counts_up_to_the_total(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmdb_writer, "_BATCH", 4)
    calls: list[tuple[int, int, str]] = []
    write(tmp_path / "db", random_records(10), progress=lambda *call: calls.append(call))
    assert calls == [(4, 10, "db"), (8, 10, "db"), (10, 10, "db")]


IMAGE = np.zeros((1, 2, 2), np.uint8)
BAD_RECORDS = {
    "float image": ([(IMAGE.astype(np.float32), 0)], "db: record 0: float32 image of shape"),
    "no channels": ([(IMAGE, 0), (IMAGE[0], 0)], r"record 1: .* shape \(2, 2\); it must be uint8"),
    "no pixels": ([(IMAGE[:, :0], 0)], r"shape \(1, 0, 2\); .* each 1 or more"),
    "label too big": ([(IMAGE, 2**31)], "label 2147483648; it must fit in a signed 32-bit"),
    "label too small": ([(IMAGE, -(2**31) - 1)], "label -2147483649; it must fit"),
    "nothing": ([], "no records; Caffe cannot read an empty database"),
}


@pytest.mark.parametrize(("records", "words"), BAD_RECORDS.values(), ids=BAD_RECORDS.keys())
def test_refuses_a_bad_record(tmp_path: Path, records: Records, words: str) -> None:
    with pytest.raises(DataError, match=words):
        write(tmp_path / "db", records)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("total", "words"),
    [(4, "more than the 4 records"), (6, "only 5 of the 6 records")],
)
def test_refuses_another_number_of_records(tmp_path: Path, total: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        write_lmdb(tmp_path / "db", random_records(5), total=total)
    assert not any(tmp_path.iterdir())


def test_an_existing_database_is_replaced_by_force_only(tmp_path: Path, read_lmdb: Any) -> None:
    old, new = random_records(3), random_records(4, seed=1)
    write(tmp_path / "db", old)
    with pytest.raises(DataError, match=r"db: already holds .*data\.mdb, lock\.mdb.* --force"):
        write(tmp_path / "db", new)
    assert pairs(read_lmdb(tmp_path / "db")) == [(i.tobytes(), label) for i, label in old]

    seen_meanwhile = []

    def look(*_: object) -> None:
        seen_meanwhile.extend(pairs(read_lmdb(tmp_path / "db")))

    write(tmp_path / "db", new, force=True, progress=look)
    assert seen_meanwhile == [(i.tobytes(), label) for i, label in old]
    assert pairs(read_lmdb(tmp_path / "db")) == [(i.tobytes(), label) for i, label in new]
    assert [path.name for path in tmp_path.iterdir()] == ["db"]


@pytest.mark.parametrize("force", [False, True])
def test_other_files_are_never_replaced(tmp_path: Path, force: bool) -> None:
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"db: holds other files \(thesis\.tex\)"):
        write(tmp_path / "db", random_records(2), force=force)
    with pytest.raises(DataError, match=r"thesis\.tex: is a file, but a folder"):
        write(tmp_path / "db" / "thesis.tex", random_records(2), force=force)
    assert (tmp_path / "db" / "thesis.tex").read_text() == "years of work"


def test_files_put_there_during_the_writing_are_kept(tmp_path: Path) -> None:
    write(tmp_path / "db", random_records(2))
    note = tmp_path / "db" / "note"
    with pytest.raises(DataError, match=r"holds other files \(note\)"):
        write(
            tmp_path / "db", random_records(2), force=True, progress=lambda *_: note.write_text("!")
        )
    assert note.read_text() == "!"


def test_an_empty_folder_and_missing_parents_are_filled(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "a" / "b" / "db"):
        write(path, random_records(2))
        assert count_records(path) == 2


def test_a_link_to_a_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk/db")
    write(tmp_path / "link", random_records(2))
    assert (tmp_path / "link").is_symlink()
    assert count_records(tmp_path / "disk" / "db") == 2


def test_modes_are_those_of_a_plain_write(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        write(tmp_path / "db", random_records(2))
    finally:
        os.umask(before)
    modes = [
        path.stat().st_mode & 0o777 for path in (tmp_path / "db", *(tmp_path / "db").iterdir())
    ]
    assert modes == [0o775, 0o664, 0o664]


@pytest.mark.parametrize("ever_after", [False, True], ids=["once", "ever after"])
@pytest.mark.parametrize("replace", [False, True], ids=["new", "replace"])
def test_a_fault_at_any_step_leaves_the_old_or_the_new_one(
    tmp_path: Path, read_lmdb: Any, fault_sweep: Any, replace: bool, ever_after: bool
) -> None:
    target = tmp_path / "out"
    old, new = random_records(3), random_records(5, seed=1)
    if replace:
        write(tmp_path / "kept", old)

    failures = fault_sweep(
        lambda: write(target, new, force=replace),
        lambda: pairs(read_lmdb(target)) if target.exists() else None,
        tmp_path,
        kept=tmp_path / "kept" if replace else None,
        old=[(i.tobytes(), label) for i, label in old] if replace else None,
        new=[(i.tobytes(), label) for i, label in new],
        ever_after=ever_after,
    )
    # 3 mkdir (parents, staging, database), 5 puts, 3 commits, fsync of 2 files and 2 folders,
    # 1 rename or exchange
    assert failures == 3 + 5 + 3 + 4 + 1


@pytest.mark.parametrize("replace", [False, True], ids=["new", "replace"])
def test_a_keyboard_interrupt_leaves_what_was_there(
    tmp_path: Path, read_lmdb: Any, replace: bool
) -> None:
    def interrupted() -> Iterator[tuple[NDArray[Any], int]]:
        yield from random_records(1500, seed=1)
        raise KeyboardInterrupt

    target = tmp_path / "out"
    old = random_records(3)
    if replace:
        write(target, old)
    with pytest.raises(KeyboardInterrupt):
        write_lmdb(target, interrupted(), total=2000, force=True)
    assert list(tmp_path.iterdir()) == ([target] if replace else [])
    if replace:
        assert pairs(read_lmdb(target)) == [(i.tobytes(), label) for i, label in old]


def test_a_full_disk_is_an_os_error_and_leaves_nothing(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"db: cannot write the database in .*is the disk full"):
            write(tmp_path / "db", random_records(1000, (1, 28, 28)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not any(tmp_path.iterdir())


def test_only_dead_processes_leftovers_are_removed(tmp_path: Path) -> None:
    target = tmp_path / "db"
    dead = tmp_path / ".db.0123abcd.ul2q-staging"
    dead.mkdir()
    (dead / "data.mdb").write_bytes(b"half")
    others = [
        tmp_path / ".db.0123abcd.backup",
        tmp_path / ".db2.0123abcd.ul2q-staging",
        tmp_path / ".db.0123abcd.ul2q-staging.old",
        tmp_path / ".db.mine.ul2q-staging",
    ]
    for path in others:
        path.mkdir()
    file = tmp_path / ".db.00000000.ul2q-staging"
    file.write_text("not a folder")
    link = tmp_path / ".db.11111111.ul2q-staging"
    link.symlink_to(others[0])
    with staged_folder(target, force=False, replaceable=()) as alive:
        assert not dead.exists()
        remove_leftovers(target)
        assert alive.is_dir()
    assert sorted(tmp_path.iterdir()) == sorted([*others, file, link, target])


def test_the_second_of_two_writers_is_refused(tmp_path: Path, read_lmdb: Any) -> None:
    target = tmp_path / "db"
    first, second = random_records(2), random_records(3, seed=1)
    with pytest.raises(DataError, match="db: already holds something else"):
        write(target, second, progress=lambda *_: write(target, first))
    assert pairs(read_lmdb(target)) == [(i.tobytes(), label) for i, label in first]
    assert list(tmp_path.iterdir()) == [target]


def cut(path: Path, size: int) -> None:
    os.truncate(path / "data.mdb", size)


NOT_DATABASES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "cannot be read as an LMDB"),
    "no data": (lambda path: (path / "data.mdb").unlink(), "cannot be read as an LMDB"),
    "no bytes": (lambda path: cut(path, 0), "cannot be read as an LMDB"),
    "not LMDB": (
        lambda path: (path / "data.mdb").write_bytes(b"x" * 9999),
        "cannot be read as an LMDB",
    ),
    "one page short": (
        lambda path: cut(path, (path / "data.mdb").stat().st_size - 4096),
        "cut short",
    ),
    "head only": (lambda path: cut(path, 8192), "cut short"),
}


@pytest.mark.parametrize(("damage", "words"), NOT_DATABASES.values(), ids=NOT_DATABASES.keys())
def test_counting_a_damaged_database(
    tmp_path: Path, damage: Callable[[Path], object], words: str
) -> None:
    write(tmp_path / "db", random_records(100))
    damage(tmp_path / "db")
    with pytest.raises(DataError, match=f"db: .*{words}"):
        count_records(tmp_path / "db")

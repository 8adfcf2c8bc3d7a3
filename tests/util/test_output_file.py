"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from ul2q.util.output_file import OutputExistsError, refuse_existing, write_file


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    path = tmp_path / "new"
    usual = tmp_path / "usual"
    usual.touch()
    write_file(path, b"content", force=False)
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)
    assert sorted(tmp_path.iterdir()) == [path, usual]


def test_a_file_is_replaced_by_force_alone(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"old")
    refused = r"old exists already; .* --force"
    with pytest.raises(OutputExistsError, match=refused):
        refuse_existing(path, force=False)
    with pytest.raises(OutputExistsError, match=refused):
        write_file(path, b"new", force=False)
    assert path.read_bytes() == b"old"
    write_file(path, b"new", force=True)
    assert path.read_bytes() == b"new"


def test_a_link_stays_one(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("target")
    write_file(link, b"content", force=True)
    assert link.readlink() == Path("target")
    assert (tmp_path / "target").read_bytes() == b"content"


@pytest.mark.parametrize("force", [False, True])
def test_where_no_file_can_be(tmp_path: Path, force: bool) -> None:
    with pytest.raises(OutputExistsError, match="is a folder"):
        write_file(tmp_path, b"", force=force)
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        write_file(tmp_path / "gone" / "file", b"", force=force)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "old"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        write_file(path, b"new", force=True)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"

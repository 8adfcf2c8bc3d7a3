"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from ul2q.util.output_file import OutputExistsError, new_folder, refuse_existing, write_file


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
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as raised:
        write_file(path, b"new", force=True)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(path))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_a_new_folder_goes_again_with_its_parents(tmp_path: Path) -> None:
    def refuse(path: Path, *made: Path) -> None:
        with new_folder(path):
            assert path.is_dir()
            for file in made:
                file.touch()
            raise ValueError("refused")

    with pytest.raises(ValueError, match="refused"):
        refuse(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    # Not what was there before, nor what something stands in.
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="refused"):
        refuse(tmp_path / "a" / "b" / "c", tmp_path / "a" / "b" / "kept")
    assert sorted(tmp_path.rglob("*")) == [tmp_path / name for name in ("a", "a/b", "a/b/kept")]
    with new_folder(tmp_path / "d"):
        pass
    assert (tmp_path / "d").is_dir()


def test_no_folder_where_a_file_is(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError, match="file is a file"), new_folder(path):
            pass

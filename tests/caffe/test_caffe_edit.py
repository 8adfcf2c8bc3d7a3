"""`make caffe-edit` and `make caffe-patches`: the series as commits, and back."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cpp.caffe import fetch_source, patch_source
from cpp.caffe.patch_source import PATCHES, PatchError
from dev import caffe_source

SERIES = patch_source.read_series()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout as `edit` makes it; not to be changed."""
    if not fetch_source.archive_path().is_file():
        pytest.skip("built from CAFFE_SOURCE_DIR: the archive is not in the cache")
    folder = tmp_path_factory.mktemp("made") / "edit"
    caffe_source.edit(folder)
    return folder


@pytest.fixture
def checkout(made: Path, tmp_path: Path) -> Path:
    """A checkout to be changed."""
    return Path(shutil.copytree(made, tmp_path / "edit"))


@pytest.fixture
def patches(tmp_path: Path) -> Path:
    """The series, to be written over."""
    return Path(shutil.copytree(PATCHES, tmp_path / "patches"))


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    run = subprocess.run(
        ["git", "-C", folder, *identity, *arguments], capture_output=True, text=True, check=True
    )
    return run.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_patch_is_a_commit_with_its_reason(made: Path) -> None:
    messages = git(made, "log", "--reverse", "--format=%B%x00").split("\0\n")
    assert messages[0].strip() == caffe_source.FIRST
    assert len(messages) - 2 == len(SERIES)
    for message, patch in zip(messages[1:], SERIES, strict=False):
        assert message.startswith(patch.reason + "\n\nPatch: ")
        assert ("Optional: yes" in message) == patch.optional


def test_a_checkout_without_changes_writes_the_series_that_it_was_made_from(
    checkout: Path, patches: Path
) -> None:
    for path in patches.iterdir():
        path.unlink()
    caffe_source.write_patches(checkout, patches)
    assert contents(patches) == contents(PATCHES)


def test_a_commit_becomes_a_patch_and_a_changed_one_changes_its_patch(
    checkout: Path, patches: Path
) -> None:
    header = checkout / "include/caffe/blob.hpp"
    header.write_text(header.read_text() + "// the end\n")
    (checkout / "src/caffe/layers/new_layer.cpp").write_text("int i;\n")
    git(checkout, "add", "--all")
    git(
        checkout,
        "commit",
        "--quiet",
        "-m",
        "Say where blob.hpp ends",
        "-m",
        "It did not.\n\nOptional: yes",
    )
    caffe_source.write_patches(checkout, patches)
    written = patch_source.read_series(patches)
    assert [patch.name for patch in written[:-1]] == [patch.name for patch in SERIES]
    new = written[-1]
    assert new.name == f"{len(SERIES):04}-say-where-blob-hpp-ends.patch"
    assert new.optional
    assert new.reason == "Say where blob.hpp ends\n\nIt did not."
    assert [*new.hunks()] == ["include/caffe/blob.hpp", "src/caffe/layers/new_layer.cpp"]
    assert new.diff.endswith(
        "--- /dev/null\n+++ b/src/caffe/layers/new_layer.cpp\n@@ -0,0 +1 @@\n+int i;\n"
    )

    git(
        checkout,
        "commit",
        "--quiet",
        "--amend",
        "-m",
        "End",
        "-m",
        "Shorter.",
        "-m",
        "Patch: the-end",
    )
    caffe_source.write_patches(checkout, patches)
    amended = patch_source.read_series(patches)[-1]
    assert amended.name == f"{len(SERIES):04}-the-end.patch"
    assert not amended.optional
    assert (amended.reason, amended.diff) == ("End\n\nShorter.", new.diff)
    assert not new.path.exists()

    git(checkout, "reset", "--quiet", "--hard", "HEAD^")
    caffe_source.write_patches(checkout, patches)
    assert contents(patches) == contents(PATCHES)


def test_work_is_not_lost(checkout: Path, patches: Path) -> None:
    caffe_source.edit(checkout, patches)  # nothing has been done in it
    header = checkout / "include/caffe/blob.hpp"
    header.write_text(header.read_text() + "// the end\n")
    for command in (caffe_source.edit, caffe_source.write_patches):
        with pytest.raises(caffe_source.SourceError, match="changes that are not committed"):
            command(checkout, patches)
    git(checkout, "commit", "--quiet", "--all", "-m", "Title", "-m", "Why.")
    with pytest.raises(caffe_source.SourceError, match="`make caffe-patches` writes them there"):
        caffe_source.edit(checkout, patches)
    caffe_source.write_patches(checkout, patches)
    caffe_source.edit(checkout, patches)
    assert header.read_text().endswith("// the end\n")


def test_commits_that_are_no_patches_are_refused(checkout: Path, patches: Path) -> None:
    git(checkout, "commit", "--quiet", "--allow-empty", "-m", "Nothing")
    with pytest.raises(caffe_source.SourceError, match="'Nothing' changes nothing"):
        caffe_source.write_patches(checkout, patches)
    git(checkout, "reset", "--quiet", "--hard", "HEAD^")
    (checkout / "python/binary").write_bytes(b"\0\1")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "-m", "Binary")
    with pytest.raises(caffe_source.SourceError, match="changes a binary file"):
        caffe_source.write_patches(checkout, patches)
    assert contents(patches) == contents(PATCHES)


def test_a_series_that_fits_inexactly_is_written_anew_and_one_that_does_not_fit_leaves_nothing(
    checkout: Path, patches: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = patches / SERIES[1].name
    text = moved.read_text()
    moved.write_text(re.sub(r"@@ -(\d+),", lambda match: f"@@ -{int(match[1]) + 1},", text))
    assert moved.read_text() != text
    caffe_source.edit(checkout, patches)
    assert f"note: {moved.name} fits inexactly" in capsys.readouterr().err
    caffe_source.write_patches(checkout, patches)
    assert contents(patches) == contents(PATCHES)

    moved.write_text(text.replace("coded_input", "coded_output"))
    with pytest.raises(PatchError, match=r"src/caffe/util/io.cpp, hunk 1 \(line"):
        caffe_source.edit(checkout, patches)
    assert not checkout.exists()

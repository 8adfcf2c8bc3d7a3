"""Fetch BVLC Caffe's source and unpack it.

    fetch_source.py TARGET

The source is that of BVLC/caffe at commit 9b89154, its last, in the source distribution of a
package in the Python package index; patches/0000 undoes what its packager changed. pip fetches it
by name and checks its hash, and it stays in a cache outside the build folder, so that a clean build
needs no network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

PACKAGE = "brocolli-caffe"
VERSION = "3.0.0"
SHA256 = "ad7ba487552f4343df25044a9fa14812a96add48ea2ff993b53bf2dafe8248e2"
# What is unpacked: the source, without documentation, models and build files.
FOLDERS = ("include", "src/caffe", "tools", "python")


class FetchError(Exception):
    """The source could not be fetched."""


def archive_path() -> Path:
    """Where the archive lies in the cache, or is put."""
    if cache := os.environ.get("UL2Q_CACHE_DIR"):
        folder = Path(cache)
    elif cache := os.environ.get("XDG_CACHE_HOME"):
        folder = Path(cache) / "ul2q"
    else:
        folder = Path.home() / ".cache" / "ul2q"
    return folder.absolute() / f"{PACKAGE}-{VERSION}.tar.gz"


def fetch() -> Path:
    """The archive in the cache, fetched unless one with the right hash lies there.

    Raises:
        FetchError: if pip could not fetch it.
    """
    archive = archive_path()
    if archive.exists():
        if hashlib.sha256(archive.read_bytes()).hexdigest() == SHA256:
            return archive
        print(f"{archive} is damaged: fetching it again", file=sys.stderr)
        archive.unlink()
    print(f"Fetching BVLC Caffe's source ({PACKAGE} {VERSION})", file=sys.stderr)
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        requirements.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n")
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--no-binary", PACKAGE, "--require-hashes"),
            *("--requirement", str(requirements), "--dest", str(archive.parent)),
        ]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0 or not archive.exists():
        raise FetchError(
            f"Could not fetch {PACKAGE}=={VERSION} with pip:\n{run.stdout}{run.stderr}\n"
            f"Without a network: put {archive.name} into {archive.parent}, or set "
            "CAFFE_SOURCE_DIR to a checkout of BVLC/caffe."
        )
    return archive


def unpack(archive: Path, target: Path) -> None:
    """Unpack the FOLDERS of the archive into `target`, a folder that is not there yet."""
    new = target.with_name(target.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            path = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if not member.isfile() or not any(path.is_relative_to(folder) for folder in FOLDERS):
                continue
            content = tar.extractfile(member)
            assert content is not None  # noqa: S101 - it is a file
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_bytes(content.read())
    new.rename(target)


def main(arguments: list[str]) -> None:
    """Unpack the source into the folder that is named, unless it is there."""
    target = Path(arguments[0])
    mark = target / ".unpacked"
    if mark.is_file() and mark.read_text() == SHA256:
        return
    try:
        archive = fetch()
    except FetchError as error:
        sys.exit(str(error))
    shutil.rmtree(target, ignore_errors=True)
    unpack(archive, target)
    mark.write_text(SHA256)


if __name__ == "__main__":
    main(sys.argv[1:])

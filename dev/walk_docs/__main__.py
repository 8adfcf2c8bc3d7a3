"""`python -m dev.walk_docs`: do README.md and docs/ as a reader does, in a fresh clone."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from dev.walk_docs.page import read_pages
from dev.walk_docs.reader import Reader, Walk

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Walk; the exit status is 1 if something failed."""
    parser = argparse.ArgumentParser(prog="python -m dev.walk_docs", description=__doc__)
    parser.add_argument(
        "--environment",
        metavar="DIR",
        type=Path,
        default=ROOT / ".venv",
        help="a Python environment with ul2q, for nothing is built (default: %(default)s)",
    )
    parser.add_argument(
        "--in",
        dest="folder",
        metavar="DIR",
        type=Path,
        help="clone into this folder and keep it, or go on in the clone that is there",
    )
    parser.add_argument("pages", metavar="PAGE", nargs="*", help="these alone, as docs/data.md")
    arguments = parser.parse_args()
    if not (arguments.environment / "bin" / "ul2q").is_file():
        parser.error(f"{arguments.environment} has no ul2q: make build installs it, --environment")
    pages = read_pages(ROOT)
    if unknown := set(arguments.pages) - {page.name for page in pages}:
        parser.error(f"no pages: {', '.join(sorted(unknown))}")
    began = time.monotonic()
    with ExitStack() as stack:
        work = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="walk-docs-")))
        clone, home = arguments.folder or work / "clone", work / "home"
        home.mkdir()
        if not clone.exists():
            _clone(clone)
            (clone / ".venv").symlink_to(arguments.environment.resolve())
        reader = Reader(clone.resolve(), arguments.environment.resolve(), home)
        for page in pages:
            if not arguments.pages or page.name in arguments.pages:
                reader.read(page)
    _tell(reader.walk, time.monotonic() - began)
    return 1 if reader.walk.failed else 0


def _clone(folder: Path) -> None:
    """Clone this tree, with what has been changed in its tracked files since the last commit."""
    subprocess.run(["git", "clone", "--quiet", "--no-local", ROOT, folder], check=True)
    command = ["git", "-C", str(ROOT), "diff", "--name-only", "--no-renames", "-z", "HEAD"]
    changed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    for name in filter(None, changed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        else:
            (folder / name).unlink()


def _tell(walk: Walk, seconds: float) -> None:
    print(f"{walk.done} commands and blocks in {seconds:.0f} s, {len(walk.failed)} of them failed")
    for what in walk.failed:
        print(f"  FAILED  {what}")
    print(f"{len(walk.skipped)} are not run here:")
    for place, what, reason in walk.skipped:
        print(f"  {place}: {what}\n    {reason}")


if __name__ == "__main__":
    sys.exit(main())

"""BVLC Caffe's source as a git checkout, to change ul2q's patches in.

    python -m dev.caffe_source edit FOLDER       a checkout with each patch as a commit
    python -m dev.caffe_source patches FOLDER    the commits of such a checkout as the series
    python -m dev.caffe_source pristine FOLDER   the source as it is in BVLC/caffe, without git

A commit's message is the patch's reason. Two lines at its end say what else the series has to know:
"Patch: NAME", the patch's name without its number, which is made from the title where there is
none, and "Optional: yes". The numbers are those of the commits' order.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cpp.caffe import fetch_source, patch_source
from cpp.caffe.patch_source import PATCHES, Patch, PatchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FIRST = "BVLC Caffe's source as it is fetched"
# What `edit` left, to tell whether it has been worked on.
LEFT = "ul2q-left"
NOTE = re.compile(r"^(Patch|Optional): *(\S+) *\n?", re.MULTILINE)
# The same diffs and commits whatever the user's configuration and the time.
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{who}_{what}": "ul2q" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    },
    **{f"GIT_{who}_DATE": "2000-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
}
DIFF = (
    *(
        "diff-tree",
        "-p",
        "-r",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--no-renames",
        "--unified=3",
    ),
    *("--diff-algorithm=myers", "--indent-heuristic", "--src-prefix=a/", "--dst-prefix=b/"),
)


class SourceError(Exception):
    """A checkout that cannot be made, or made into patches."""


@dataclass(frozen=True)
class Written:
    """A patch as the series holds it."""

    name: str
    optional: bool
    text: str


def _git(folder: Path, *arguments: str, text: str | None = None) -> str:
    run = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        env={name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        | ENVIRONMENT,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode != 0:
        raise SourceError(
            f"git {' '.join(arguments)} failed in {folder}:\n{run.stdout}{run.stderr}"
        )
    return run.stdout


def _commit(folder: Path, message: str) -> None:
    _git(folder, "add", "--all", "--force")
    _git(folder, "commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--file=-", text=message)


def _message(patch: Patch) -> str:
    notes = ["", f"Patch: {re.sub(r'^[0-9]+-|[.]patch$', '', patch.name)}"]
    if patch.optional:
        notes.append("Optional: yes")
    return "\n".join([patch.reason, *notes]) + "\n"


def _is_worked_on(folder: Path) -> bool:
    """Whether a checkout has anything that `edit` has not left there."""
    left = folder / ".git" / LEFT
    if not left.is_file() or _git(folder, "status", "--porcelain"):
        return True
    return _git(folder, "rev-parse", "HEAD").strip() != left.read_text().strip()


def edit(folder: Path, patches: Path = PATCHES) -> None:
    """Make a checkout with each patch of the series as a commit.

    Raises:
        SourceError: if `folder` has work that is not in the series.
        PatchError: if a patch does not apply.
        fetch_source.FetchError: if the source could not be fetched.
    """
    series = patch_source.read_series(patches)
    if folder.exists():
        if _is_worked_on(folder) and list(written_series(folder)) != _as_it_is(series):
            raise SourceError(
                f"{folder} has changes that are not in the series: `make caffe-patches` writes "
                "them there; or remove the folder"
            )
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fetch_source.unpack(fetch_source.fetch(), folder)
    _git(folder, "init", "--quiet")
    _commit(folder, f"{FIRST}\n")
    try:
        for patch in series:
            patch_source.apply(patch, folder, folder, exact=False)
            _commit(folder, _message(patch))
    except PatchError:
        shutil.rmtree(folder)
        raise
    (folder / ".git" / LEFT).write_text(_git(folder, "rev-parse", "HEAD"))


def _as_it_is(series: Sequence[Patch]) -> list[Written]:
    return [Written(patch.name, patch.optional, patch.text) for patch in series]


def _diff(folder: Path, commit: str) -> str:
    """A commit's diff without what changes from commit to commit: hashes and modes."""
    lines = []
    is_header = False
    for line in _git(folder, *DIFF, f"{commit}^", commit).splitlines(keepends=True):
        if line.startswith("Binary files "):
            raise SourceError(
                f"{folder}: commit {commit} changes a binary file, which no patch can"
            )
        is_header = line.startswith("diff --git ") or (is_header and not line.startswith("--- "))
        if not is_header:
            lines.append(line)
    return "".join(lines)


def written_series(folder: Path) -> Iterator[Written]:
    """The commits of a checkout as patches.

    Raises:
        SourceError: if something is not committed, a commit changes nothing, or one is a merge.
    """
    if _git(folder, "status", "--porcelain"):
        raise SourceError(f"{folder} has changes that are not committed")
    first, *commits = _git(folder, "rev-list", "--reverse", "HEAD").split()
    if _git(folder, "log", "-1", "--format=%s", first).strip() != FIRST:
        raise SourceError(f"{folder} was not made by `make caffe-edit`")
    if _git(folder, "rev-list", "--merges", "HEAD"):
        raise SourceError(
            f"{folder} has a merge; each commit becomes a patch, one behind the other"
        )
    for number, commit in enumerate(commits):
        message = _git(folder, "log", "-1", "--format=%B", commit)
        notes = {match[1]: match[2] for match in reversed([*NOTE.finditer(message)])}
        reason = NOTE.sub("", message).strip("\n")
        title = reason.splitlines()[0]
        slug = notes.get("Patch") or re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        diff = _diff(folder, commit)
        if not diff:
            raise SourceError(f"{folder}: the commit {title!r} changes nothing")
        yield Written(
            f"{number:04}-{slug}.patch", notes.get("Optional") == "yes", f"{reason}\n\n{diff}"
        )


def write_patches(folder: Path, patches: Path = PATCHES) -> None:
    """Write a checkout's commits as the series.

    Raises:
        SourceError: if something is not committed, a commit changes nothing, or one is a merge.
    """
    written = list(written_series(folder))
    for path in patches.glob("*.patch"):
        if path.name not in {patch.name for patch in written}:
            path.unlink()
    for patch in written:
        (patches / patch.name).write_text(patch.text)
    lines = [patch.name + ("  # optional" if patch.optional else "") for patch in written]
    (patches / "series").write_text("\n".join(lines) + "\n")
    (folder / ".git" / LEFT).write_text(_git(folder, "rev-parse", "HEAD"))


def pristine(folder: Path) -> None:
    """Make the tree of BVLC/caffe: what is fetched, with its packager's edits undone.

    Raises:
        PatchError: if the patch that undoes them does not apply.
        fetch_source.FetchError: if the source could not be fetched.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fetch_source.unpack(fetch_source.fetch(), folder)
    patch_source.apply(patch_source.read_series()[0], folder, folder, exact=True)


def main(arguments: Sequence[str]) -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(prog="python -m dev.caffe_source")
    parser.add_argument("command", choices=("edit", "patches", "pristine"))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    commands = {"edit": edit, "patches": write_patches, "pristine": pristine}
    try:
        commands[options.command](options.folder)
    except (SourceError, PatchError, fetch_source.FetchError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])

"""Copy BVLC Caffe's source and apply the series of patches to the copy.

    patch_source.py [--exact] SOURCE TARGET

SOURCE is never written to. A file of TARGET that stays as it is keeps its time stamp, so that
nothing is compiled again because of it. The patches are those of patches/ beside this file, in the
order of patches/series; "# optional" behind a name there says that the build goes on, with a
warning, where the patch does not apply. A patch that SOURCE has already is passed over.

With --exact, patches must fit line for line, as they fit BVLC/caffe at the commit that they are
made for. Without it they may fit elsewhere in a file, or among lines that differ a little, and a
note says so.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATCHES = Path(__file__).resolve().parent / "patches"
COMMIT = "9b89154"  # of BVLC/caffe, its last
# What of the source is built or installed.
FOLDERS = ("include", "src/caffe", "tools", "python")
SUFFIXES = (".h", ".hpp", ".cpp", ".cu", ".cuh", ".proto", ".py", ".npy")
# What a build of BVLC's own may have left among it.
GENERATED = ("*.pb.h", "*_pb2.py")

HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@")
FAILED = re.compile(r"Hunk #(\d+) FAILED")
INEXACT = re.compile(
    r"Hunk #(\d+) succeeded at (\d+) (?:with fuzz \d+ ?)?(?:\(offset -?\d+ lines?\))?"
)


class PatchError(Exception):
    """A patch does not apply, or cannot be read."""


@dataclass(frozen=True)
class Hunk:
    """One change of a file."""

    line: int  # of the old file, from 1
    old: tuple[str, ...]  # the lines that it expects, context included


@dataclass(frozen=True)
class Patch:
    """A patch of the series: its reason, and a unified diff with the prefixes a/ and b/."""

    name: str
    optional: bool
    path: Path
    text: str

    @property
    def reason(self) -> str:
        """The text above the diff, its first line the title."""
        return self.text[: self._diff_begin()].strip("\n")

    @property
    def diff(self) -> str:
        """The text from the first file on."""
        return self.text[self._diff_begin() :]

    def hunks(self) -> dict[str, list[Hunk]]:
        """The hunks of each file that the patch changes."""
        found: dict[str, list[Hunk]] = {}
        hunks: list[Hunk] = []
        lines = iter(self.diff.splitlines())
        for line in lines:
            if line.startswith("--- "):
                before, after = line.removeprefix("--- "), next(lines).removeprefix("+++ ")
                name = before if after == "/dev/null" else after
                hunks = found.setdefault(name.partition("/")[2], [])
            elif match := HUNK.match(line):
                old: list[str] = []
                old_left, new_left = int(match[2] or 1), int(match[3] or 1)
                while old_left > 0 or new_left > 0:
                    body = next(lines)
                    old_left -= body[:1] in " -"
                    new_left -= body[:1] in " +"
                    if body[:1] in " -":
                        old.append(body[1:])
                hunks.append(Hunk(int(match[1]), tuple(old)))
        return found

    def _diff_begin(self) -> int:
        begin = re.search(r"^--- (a/|/dev/null)", self.text, re.MULTILINE)
        if begin is None:
            raise PatchError(f"{self.path} holds no diff")
        return begin.start()


def read_series(folder: Path = PATCHES) -> list[Patch]:
    """The patches of `folder`, in the order in which they apply.

    Raises:
        PatchError: if the series names a patch that is not there, or has a note that is not known.
    """
    series = []
    for line in (folder / "series").read_text().splitlines():
        name, _, note = (part.strip() for part in line.partition("#"))
        if not name:
            continue
        if note not in ("", "optional"):
            raise PatchError(
                f"{folder / 'series'}: {name}: unknown note {note!r}; it can be 'optional'"
            )
        path = folder / name
        if not path.is_file():
            raise PatchError(f"{folder / 'series'} names {name}, which is not there")
        series.append(Patch(name, note == "optional", path, path.read_text()))
    return series


def source_files(source: Path) -> Iterator[Path]:
    """The files of the source that are copied, relative to it, in order."""
    for folder in FOLDERS:
        for path in sorted((source / folder).rglob("*")):
            generated = any(path.match(pattern) for pattern in GENERATED)
            if path.suffix in SUFFIXES and path.is_file() and not generated:
                yield path.relative_to(source)


def _run_patch(patch: Patch, tree: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """GNU patch on the tree; it writes neither backups nor rejects."""
    try:
        return subprocess.run(
            [
                *("patch", "--strip=1", "--batch", "--no-backup-if-mismatch", "--reject-file=-"),
                *(f"--directory={tree}", f"--input={patch.path}", *options),
            ],
            env=os.environ | {"LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise PatchError(
            "BVLC Caffe's source is changed with the program `patch`, which is not there: "
            "install GNU patch (Debian: patch)"
        ) from None


def _difference(hunk: Hunk, file: str, content: Sequence[str]) -> str:
    """What the hunk expects against the lines of the file that are most like it."""
    size = max(1, len(hunk.old))
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(hunk.old)
    best = (-1.0, 0, 0)
    for begin in range(max(1, len(content) - size + 1)):
        matcher.set_seq1(content[begin : begin + size])
        if matcher.quick_ratio() >= best[0]:
            best = max(best, (matcher.ratio(), -abs(begin + 1 - hunk.line), begin))
    begin = best[2]
    lines = difflib.unified_diff(
        hunk.old,
        content[begin : begin + size],
        "what the patch expects",
        f"what {file} has from line {begin + 1} on",
        n=size,
        lineterm="",
    )
    return "\n".join(f"  {line}" for line in lines)


def _explain(patch: Patch, output: str, tree: Path, source: Path) -> str:
    """Why the patch does not apply: files, hunks and differences."""
    failed: dict[str, list[int]] = {}
    for line in output.splitlines():
        if match := re.match(r"(?:checking|patching) file '?(.*?)'?$", line):
            numbers = failed.setdefault(match[1], [])
        elif match := FAILED.match(line):
            numbers.append(int(match[1]))
    parts = [f"{patch.path} does not apply to {source}:"]
    for file, hunks in patch.hunks().items():
        if not (tree / file).is_file():
            parts.append(f"{file} is not there")
            continue
        content = (tree / file).read_text(errors="replace").splitlines()
        for number in failed.get(file, []):
            hunk = hunks[number - 1]
            parts += [
                f"{file}, hunk {number} (line {hunk.line}):",
                _difference(hunk, file, content),
            ]
    title = patch.reason.splitlines()[0]
    parts.append(f"The patch is there to: {title}. It is made for BVLC/caffe at commit {COMMIT}.")
    return "\n".join(parts)


def apply(patch: Patch, tree: Path, source: Path, *, exact: bool) -> None:
    """Apply a patch to the tree; one that does not apply leaves it as it is.

    Raises:
        PatchError: with the file, the hunk and the difference.
    """
    first = _run_patch(patch, tree, "--forward", "--fuzz=0", "--dry-run")
    fuzz = 0
    if first.returncode != 0:
        if _run_patch(patch, tree, "--reverse", "--force", "--fuzz=0", "--dry-run").returncode == 0:
            print(f"note: {source} has {patch.name} already", file=sys.stderr)
            return
        fuzz = 2
        if (
            exact
            or _run_patch(patch, tree, "--forward", f"--fuzz={fuzz}", "--dry-run").returncode != 0
        ):
            raise PatchError(_explain(patch, first.stdout, tree, source))
    run = _run_patch(patch, tree, "--forward", f"--fuzz={fuzz}")
    if run.returncode != 0:
        raise PatchError(f"{patch.path}: patch failed:\n{run.stdout}{run.stderr}")
    inexact = [line for line in run.stdout.splitlines() if INEXACT.match(line)]
    if inexact and exact:
        raise PatchError(f"{patch.path} does not fit {source} line for line:\n{run.stdout}")
    if inexact:
        print(f"note: {patch.name} fits inexactly:\n{run.stdout.rstrip()}", file=sys.stderr)


def apply_series(series: Sequence[Patch], source: Path, tree: Path, *, exact: bool) -> None:
    """Put those files of the source that the series changes into `tree`, and apply it to them.

    Raises:
        PatchError: if a patch that is not optional does not apply.
    """
    for file in {file: None for patch in series for file in patch.hunks()}:
        if (source / file).is_file():
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / file, tree / file)
    for patch in series:
        try:
            apply(patch, tree, source, exact=exact)
        except PatchError as error:
            if exact or not patch.optional:
                raise
            print(f"warning: left out, since it is optional: {error}", file=sys.stderr)


def _update(path: Path, content: bytes) -> None:
    """Write a file unless it is so already."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def patch_source(source: Path, target: Path, series: Sequence[Patch], *, exact: bool) -> None:
    """Bring `target` to be a copy of the source with the series applied.

    Raises:
        PatchError: if a patch that is not optional does not apply; `target` stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="patched-", dir=target.parent) as folder:
        tree = Path(folder)
        apply_series(series, source, tree, exact=exact)
        changed = {Path(file) for patch in series for file in patch.hunks()}
        files = {file: source / file for file in source_files(source) if file not in changed}
        files |= {path.relative_to(tree): path for path in tree.rglob("*") if path.is_file()}
        for file, path in files.items():
            _update(target / file, path.read_bytes())
    for path in [path for path in target.rglob("*") if path.is_file()]:
        if path.relative_to(target) not in files:
            path.unlink()


def main(arguments: Sequence[str]) -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(
        description="Apply ul2q's patches to a copy of BVLC Caffe's source."
    )
    parser.add_argument("--exact", action="store_true", help="patches must fit line for line")
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args(arguments)
    try:
        patch_source(options.source, options.target, read_series(), exact=options.exact)
    except PatchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])

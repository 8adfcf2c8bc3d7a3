"""An imported data set: two LMDBs, and beside them the note that says what they were made from."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ul2q.data.errors import DataError
from ul2q.data.lmdb_writer import count_records
from ul2q.util.json_text import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TRAIN, TEST, MANIFEST = "train_lmdb", "test_lmdb", "import.json"
# What import.json calls the SHA-256 of each source's bytes, and those of a listing of files: their
# names, labels, sizes and times. Listings were under the files' name, too, and are still known.
OF_FILES, OF_LISTING = "sha256", "sha256_of_listing"

_NONE: Mapping[str, object] = {}


@dataclass(frozen=True)
class Dataset:
    """Where an imported data set stands, and what it holds.

    Attributes:
        train, test: LMDB folders, for the `source` of Caffe's Data layers.
        train_count, test_count: records in each.
        shape: channels x height x width of every image.
        classes: the name of each label, 0 first.
        skipped: what was left out, and why: a line for each damaged image.
    """

    train: Path
    test: Path
    train_count: int
    test_count: int
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()


def file_hashes(sources: Mapping[str, Path]) -> dict[str, str]:
    """The SHA-256, in hexadecimal, of each file's bytes as they stand on the disk."""
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in sources.items()}


def write_manifest(
    folder: Path,
    name: str,
    hashes: Mapping[str, str],
    dataset: Dataset,
    options: Mapping[str, object] = _NONE,
    *,
    hashes_of: str = OF_FILES,
) -> None:
    """Write import.json: the data set's name, its sources' hashes, counts and image shape.

    Beside them stand the options of the import, as JSON has them, and what was left out.
    `hashes_of` is the name of the hashes, which says what they are of.
    """
    manifest = {
        "dataset": name,
        hashes_of: dict(hashes),
        "train_count": dataset.train_count,
        "test_count": dataset.test_count,
        "shape": list(dataset.shape),
        "options": dict(options),
        "skipped": list(dataset.skipped),
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def standing_import(
    output: Path,
    name: str,
    hashes: Mapping[str, str],
    classes: tuple[str, ...],
    options: Mapping[str, object] = _NONE,
    *,
    hashes_of: str = OF_FILES,
) -> Dataset | None:
    """The import of `name` from sources with these hashes by these options, if it stands.

    Returns:
        None if `output` holds no import, or one of something else.

    Raises:
        DataError: by its import.json it is the same, but an LMDB is damaged, or holds another
            number of records.
    """
    try:
        manifest = parse_json((output / MANIFEST).read_text(encoding="utf-8"))
        channels, height, width = manifest["shape"]
        dataset = Dataset(
            train=output / TRAIN,
            test=output / TEST,
            train_count=manifest["train_count"],
            test_count=manifest["test_count"],
            shape=(channels, height, width),
            classes=classes,
            skipped=tuple(manifest["skipped"]),
        )
        same = (
            manifest["dataset"] == name
            and manifest[hashes_of if hashes_of in manifest else OF_FILES] == hashes
            and manifest["options"] == options
        )
    except (OSError, ValueError, KeyError, TypeError):  # no import.json, or not one of ours
        return None
    if not same:
        return None
    _check_count(dataset.train, dataset.train_count)
    _check_count(dataset.test, dataset.test_count)
    return dataset


def _check_count(path: Path, expected: int) -> None:
    remedy = "import again with --force (force=True)"
    try:
        count = count_records(path)
    except DataError as error:
        raise DataError(f"{error}; {remedy}") from error
    if count != expected:
        raise DataError(f"{path}: holds {count} records where {MANIFEST} says {expected}; {remedy}")

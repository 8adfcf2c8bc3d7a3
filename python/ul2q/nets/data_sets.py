"""What data set a database holds, by what its import wrote beside it and by its records."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lmdb

from ul2q.data.dataset import MANIFEST
from ul2q.util.json_text import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SAMPLED = 16  # records at each end


@dataclass(frozen=True)
class DataSet:
    """A database that a net reads.

    Attributes:
        source: its path.
        name: the data set's name in import.json, e.g. "fashion-mnist"; None without one.
        import_sha256: the SHA-256 of import.json, which has the hashes of all that was imported;
            None without one.
        records: how many records there are; None if it is no LMDB.
        sample_sha256: the SHA-256 of the number of records and of the first and the last 16, with
            their keys; None if it is no LMDB.
    """

    source: str
    name: str | None
    import_sha256: str | None
    records: int | None
    sample_sha256: str | None

    def is_same(self, other: DataSet) -> bool:
        """Whether both hold the same, as far as is known, wherever they stand."""
        known = [
            (self.sample_sha256, other.sample_sha256),
            (self.import_sha256, other.import_sha256),
            (self.source, other.source),
        ]
        return next((one == two for one, two in known if one and two), False)

    def __str__(self) -> str:
        """E.g. "fashion-mnist (data/fashion-mnist/train_lmdb, 60,000 records)"."""
        count = "" if self.records is None else f", {self.records:,} records"
        return f"{self.name} ({self.source}{count})" if self.name else f"{self.source}{count}"


def data_set(source: Path) -> DataSet:
    """What the database in the folder `source` holds."""
    note, manifest = source.parent / MANIFEST, None
    try:
        content = note.read_bytes()
        manifest = parse_json(content)
    except (OSError, ValueError):
        content = b""
    name = manifest.get("dataset") if isinstance(manifest, dict) else None
    known = isinstance(name, str)
    records, sample = _sample(source)
    return DataSet(
        source=str(source),
        name=name if known else None,
        import_sha256=hashlib.sha256(content).hexdigest() if known else None,
        records=records,
        sample_sha256=sample,
    )


def _sample(source: Path) -> tuple[int, str] | tuple[None, None]:
    try:
        with (
            lmdb.open(str(source), readonly=True, lock=False, create=False) as environment,
            environment.begin() as transaction,
        ):
            count = int(environment.stat()["entries"])
            digest = hashlib.sha256(str(count).encode())
            for key, value in _ends(transaction):
                for part in (key, value):
                    digest.update(len(part).to_bytes(8, "little"))
                    digest.update(part)
            return count, digest.hexdigest()
    except lmdb.Error:
        return None, None


def _ends(transaction: lmdb.Transaction) -> Iterator[tuple[bytes, bytes]]:
    """The first records, then the last ones, from the end."""
    with transaction.cursor() as cursor:
        for there, onward in ((cursor.first, cursor.next), (cursor.last, cursor.prev)):
            found = there()
            for _ in range(_SAMPLED):
                if not found:
                    break
                yield bytes(cursor.key()), bytes(cursor.value())
                found = onward()

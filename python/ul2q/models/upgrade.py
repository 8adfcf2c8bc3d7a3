"""Bring files of the formats of 2013 and 2014, nets and weights, to today's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.models.caffemodel import WeightsError, check_weights_file, read_caffemodel
from ul2q.nets.bundled import output_beside
from ul2q.nets.prototxt import read_net
from ul2q.nets.upgrade import upgrade_net
from ul2q.util.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ul2q.util.paths import StrPath

_WEIGHTS = ".caffemodel"


@dataclass(frozen=True)
class UpgradedFile:
    """A file and what became of it.

    Attributes:
        path: the file that was given.
        output: the new file; None: it is in today's format, so that nothing was written.
    """

    path: Path
    output: Path | None


def upgrade_files(
    files: Sequence[StrPath], output: StrPath | None = None, *, force: bool = False
) -> list[UpgradedFile]:
    """Write nets and weights of old formats in today's; those of today's are left out.

    The text of a net is what BVLC's upgrade_net_proto_text writes, weights are what
    upgrade_net_proto_binary writes. Nothing is written before all files have been upgraded.

    Args:
        files: prototxts, and .caffemodels by their name.
        output: a folder, or with one file the new file; None: `<name>_upgraded` beside each.
        force: replace files that are there.

    Returns:
        A row for each file, in their order.

    Raises:
        FileNotFoundError: a file is missing, or the folder of `output`.
        PrototxtError: a net is faulty, or has what today's format does not.
        WeightsError: a .caffemodel is damaged, or HDF5, which has no old format.
        OutputExistsError: a file is there and `force` is not set.
    """
    paths = [Path(file) for file in files]
    target = None if output is None else Path(output)
    if target is not None and not target.is_dir() and len(paths) > 1:
        raise FileNotFoundError(
            f"{target}: no such folder; for several files give one that is there"
        )
    contents = [_upgraded(path) for path in paths]
    rows = [
        UpgradedFile(path, None if content is None else _output(path, target))
        for path, content in zip(paths, contents, strict=True)
    ]
    for row in rows:
        if row.output is not None:
            refuse_existing(row.output, force=force)
    for row, content in zip(rows, contents, strict=True):
        if row.output is not None and content is not None:
            write_file(row.output, content, force=force)
    return rows


def _upgraded(path: Path) -> bytes | None:
    """A file's content in today's format; None if it is in it."""
    is_weights = path.suffix == _WEIGHTS
    if path.name.endswith(".h5"):
        raise WeightsError(f"{path} is HDF5, which was never another format: use it as it is")
    if is_weights:
        check_weights_file(path)
    net = read_caffemodel(path) if is_weights else read_net(path)
    before = net.SerializeToString(deterministic=True)
    upgraded = upgrade_net(net, str(path))
    if upgraded.message.SerializeToString(deterministic=True) == before:
        return None
    return upgraded.message.SerializeToString() if is_weights else upgraded.text.encode()


def _output(path: Path, target: Path | None) -> Path:
    upgraded = path.with_stem(f"{path.stem}_upgraded")
    if target is None:
        return output_beside(upgraded)
    return target / upgraded.name if target.is_dir() else target

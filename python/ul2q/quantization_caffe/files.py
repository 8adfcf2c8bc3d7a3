"""Import files of Quantization-caffe: read them, and write what becomes of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.models.caffemodel import WeightsError
from ul2q.nets.prototxt import parse_net, text_bytes
from ul2q.quantization_caffe.dialect import Dialect, Recognition, recognise_dialect
from ul2q.quantization_caffe.net import ImportedNet, import_net
from ul2q.quantization_caffe.weights import ImportedWeights, import_weights, read_fork_weights
from ul2q.util.output_file import refuse_existing, write_file

if TYPE_CHECKING:
    from ul2q.util.paths import StrPath


@dataclass(frozen=True)
class ImportedFiles:
    """What `import_files` has written.

    Attributes:
        net: the net, and its path.
        weights: the weights, and their path; None if there were none to import.
        dialect: of which fork they were taken to be.
        recognition: what the stored codes say of that; None if there are none.
    """

    net: ImportedNet
    net_path: Path
    weights: ImportedWeights | None
    weights_path: Path | None
    dialect: Dialect = Dialect.NEWER
    recognition: Recognition | None = None


def import_files(
    net: StrPath,
    weights: StrPath | None = None,
    *,
    output: StrPath | None = None,
    force: bool = False,
    ulq_activations: bool = False,
    dialect: Dialect | None = None,
) -> ImportedFiles:
    """Write a net of the fork, and its weights, as ones of ul2q.

    Nothing is written before all has been read and every path is found to be free.

    Args:
        net: the fork's prototxt.
        weights: its .caffemodel.
        output: a folder, or the path of the new prototxt, which the new .caffemodel goes beside.
            None: `<name>_ul2q` beside each file.
        force: replace files that are there.
        ulq_activations: as of `import_net`.
        dialect: as of `import_net`; None: that of the codes in `weights`, or the newer one.

    Raises:
        FileNotFoundError: there is no such file, or `output` is a folder that does not exist.
        OutputExistsError: there is a file where one is to be written, and `force` is not set.
        PrototxtError, ActivationError, WeightsError: as of `import_net` and `import_weights`.
    """
    net = Path(net)
    weights = None if weights is None else Path(weights)
    output = None if output is None else Path(output)
    net_path = _output(net, output)
    weights_path = None
    if weights:
        beside_net = output is not None and not output.is_dir()
        weights_path = (
            net_path.with_suffix(".caffemodel") if beside_net else _output(weights, output)
        )
        if weights_path == net_path:
            raise WeightsError(f"{net_path} is to be the prototxt; give it another suffix")
    recognition = recognise_dialect(read_fork_weights(weights)) if weights else None
    if dialect is None:
        dialect = recognition.dialect if recognition else Dialect.NEWER
    imported = import_net(net, ulq_activations=ulq_activations, dialect=dialect)
    imported_weights = None
    if weights:
        imported_weights = import_weights(weights, parse_net(imported.text, str(net_path)))
    for path in (net_path, weights_path):
        if path:
            refuse_existing(path, force=force)
    if imported_weights and weights_path:
        write_file(weights_path, imported_weights.net.SerializeToString(), force=force)
    write_file(net_path, text_bytes(imported.text), force=force)
    return ImportedFiles(imported, net_path, imported_weights, weights_path, dialect, recognition)


def _output(source: Path, output: Path | None) -> Path:
    """Where the file that becomes of `source` goes."""
    path = source.with_stem(f"{source.stem}_ul2q")
    if output is None:
        return path
    if output.is_dir():
        return output / path.name
    if not output.suffix:
        raise FileNotFoundError(f"{output}: no such folder; make it, or name the new prototxt")
    return output

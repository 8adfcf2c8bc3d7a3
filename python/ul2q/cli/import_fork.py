"""`ul2q import-fork`: take over a net of the fork Quantization-caffe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ul2q.cli.common import print_table

if TYPE_CHECKING:
    import argparse

    from ul2q.cli.common import Commands
    from ul2q.quantization_caffe import ImportedFiles

ORDER = 100  # in `ul2q --help`


def add_parser(commands: Commands) -> None:
    """Add `ul2q import-fork`."""
    parser = commands.add_parser(
        "import-fork", help="take over a net of the fork Quantization-caffe"
    )
    parser.set_defaults(command=run)
    parser.examples = (
        "ul2q import-fork train_val.prototxt",
        "ul2q import-fork deploy.prototxt fork.caffemodel -o converted",
        "ul2q import-fork train_val.prototxt --dialect 2018",
    )
    parser.add_argument("net", metavar="NET", type=Path, help="a net's prototxt for the fork")
    parser.add_argument("weights", metavar="WEIGHTS", type=Path, nargs="?", help="its .caffemodel")
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        type=Path,
        help="a folder, or the new prototxt, which the new .caffemodel goes beside "
        "(default: NAME_ul2q beside NET and WEIGHTS)",
    )
    parser.add_argument(
        "--ulq-activations",
        action="store_true",
        help="quantise the activations of the method ULQ, too, which the fork left float",
    )
    parser.add_argument(
        "--dialect",
        choices=("2018", "2019"),
        help="of which of the authors' forks it is: maxbits does not count the sign in that of "
        "2018, Quantitative-and-ternary-caffe (default: as the codes in WEIGHTS say, else 2019)",
    )
    parser.add_argument("--force", action="store_true", help="replace what stands there")


def run(arguments: argparse.Namespace) -> None:
    """`ul2q import-fork`."""
    from ul2q.quantization_caffe import Dialect, import_files
    from ul2q.util.console import print_warning

    imported = import_files(
        arguments.net,
        arguments.weights,
        output=arguments.output,
        force=arguments.force,
        ulq_activations=arguments.ulq_activations,
        dialect=Dialect(arguments.dialect) if arguments.dialect else None,
    )
    for warning in imported.net.warnings:
        print_warning(str(warning))
    print_table(
        ("layer", "type", "weight", "bias", "activations"),
        [
            (row.name, row.type, row.weight, row.bias, ", ".join(map(_or_float, row.activations)))
            for row in imported.net.rows
        ],
    )
    print(f"fork: of {imported.dialect}, {_source(arguments.dialect, imported)}")
    print(f"net: {imported.net_path}")
    if imported.weights and imported.weights_path:
        saved = imported.weights.saved_bytes
        print(f"weights: {imported.weights_path} ({saved:,} bytes smaller)")


def _source(asked: str | None, imported: ImportedFiles) -> str:
    """How the fork is known, and whether the stored codes say otherwise."""
    found = imported.recognition
    if found is None:
        return "as --dialect says" if asked else "by default: there are no codes that tell"
    agreeing = f"{found.blobs} of {found.blobs + found.others} stored blobs"
    if not asked:
        return f"as the codes of {agreeing} say (--dialect for another)"
    if found.dialect is imported.dialect:
        return f"as --dialect and the codes of {agreeing} say"
    return f"as --dialect says; but the codes of {agreeing} are of {found.dialect.value}"


def _or_float(quantizer: object) -> str:
    return str(quantizer or "float")

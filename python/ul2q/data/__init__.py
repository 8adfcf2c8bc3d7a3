"""Import data sets as LMDBs that Caffe's Data layer reads. IMPORTERS lists the importers.

Names are loaded at their first use: NumPy, lmdb and Caffe's messages cost start-up time.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ul2q.data.importer import DECODING, GRAY, Importer, Option, height_and_width

if TYPE_CHECKING:
    from ul2q.data.cifar import import_cifar10
    from ul2q.data.dataset import Dataset
    from ul2q.data.errors import DataError
    from ul2q.data.folder import import_folder
    from ul2q.data.idx import read_idx
    from ul2q.data.imagenet import import_imagenet
    from ul2q.data.images import Resize
    from ul2q.data.lmdb_writer import Progress, Record, count_records, write_lmdb
    from ul2q.data.mnist import FASHION_MNIST_SOURCE, import_fashion_mnist, import_mnist

__all__ = [
    "FASHION_MNIST_SOURCE",
    "IMPORTERS",
    "DataError",
    "Dataset",
    "Progress",
    "Record",
    "Resize",
    "count_records",
    "import_cifar10",
    "import_fashion_mnist",
    "import_folder",
    "import_imagenet",
    "import_mnist",
    "read_idx",
    "write_lmdb",
]


def _resize_of_imagenet(arguments: dict[str, Any]) -> dict[str, Any]:
    """`--size` and `--resize` as the one argument that `import_imagenet` takes."""
    from ul2q.data.images import Resize  # noqa: PLC0415 - it loads NumPy and Pillow

    height, width = arguments.pop("size")
    return {**arguments, "resize": Resize(height, width, arguments["resize"])}


_IDX_FILES = "the folder with the four IDX files, gzipped or not"

IMPORTERS = (
    Importer(
        "fashion-mnist",
        "28×28 images of clothes, 10 classes",
        module="mnist",
        function="import_fashion_mnist",
        source="Debian's package, or `--from DIR`",
        options=(Option("--from", dest="source", metavar="DIR", type=Path, help=_IDX_FILES),),
        is_image_set=False,
    ),
    Importer(
        "mnist",
        "28×28 images of digits, 10 classes",
        module="mnist",
        function="import_mnist",
        source="the four IDX files, gzipped or not",
        options=(
            Option(
                "--from", dest="source", metavar="DIR", type=Path, required=True, help=_IDX_FILES
            ),
        ),
        is_image_set=False,
    ),
    Importer(
        "cifar10",
        "32×32 colour images, 10 classes",
        module="cifar",
        function="import_cifar10",
        source="`cifar-10-python.tar.gz`, `cifar-10-binary.tar.gz`, or the folder that one was "
        "unpacked to",
        options=(
            Option(
                "--from",
                dest="source",
                metavar="PATH",
                type=Path,
                required=True,
                help="cifar-10-python.tar.gz, cifar-10-binary.tar.gz, or the folder it was "
                "unpacked to",
            ),
            GRAY,
        ),
    ),
    Importer(
        "folder",
        "images sorted into a folder for each class",
        module="folder",
        function="import_folder",
        source="`DIR/CLASS/IMAGE`; the test set from `--test DIR`, or drawn by `--split 0.1`",
        description="Import DIR/CLASS/IMAGE; the classes' names, sorted, are labelled 0, 1, …. The "
        "test set is that of --test, or is drawn from the training set by --split.",
        options=(
            Option("--train", metavar="DIR", type=Path, required=True, help="the training set"),
            Option(
                "--test",
                metavar="DIR",
                type=Path,
                help="the test set, of the same classes",
            ),
            Option(
                "--split",
                metavar="SHARE",
                type=float,
                help="draw this share of each class's images for the test set instead, as 0.1",
            ),
            Option(
                "--size",
                metavar="HxW",
                type=height_and_width,
                help="stretch the images (default: all have one size already)",
            ),
            *DECODING,
        ),
        adapt=lambda arguments: {"test": None, **arguments},
    ),
    Importer(
        "imagenet",
        "ILSVRC2012 in its usual layout",
        module="imagenet",
        function="import_imagenet",
        source="`DIR/SYNSET/IMAGE` to train, `DIR/IMAGE` to validate",
        options=(
            Option("--train", metavar="DIR", type=Path, required=True, help="DIR/SYNSET/IMAGE"),
            Option("--val", metavar="DIR", type=Path, required=True, help="DIR/IMAGE"),
            Option(
                "--val-labels",
                metavar="F",
                type=Path,
                required=True,
                help="a label or synset a line, the images sorted by name; or lines of IMAGE LABEL",
            ),
            Option(
                "--size",
                metavar="HxW",
                type=height_and_width,
                default=(256, 256),
                help="(default: 256x256)",
            ),
            Option(
                "--resize",
                choices=("stretch", "crop"),
                default="stretch",
                help="stretch (default), or scale until the size is covered and cut out the middle",
            ),
            *DECODING,
        ),
        adapt=_resize_of_imagenet,
    ),
)
"""The commands of `ul2q data`, in the order of its help."""

# The module of each name that is loaded at its first use.
_MODULES = {
    "FASHION_MNIST_SOURCE": "mnist",
    "DataError": "errors",
    "Dataset": "dataset",
    "Progress": "lmdb_writer",
    "Record": "lmdb_writer",
    "Resize": "images",
    "count_records": "lmdb_writer",
    "read_idx": "idx",
    "write_lmdb": "lmdb_writer",
} | {importer.function: importer.module for importer in IMPORTERS}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

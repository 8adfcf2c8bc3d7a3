"""Imports data sets as LMDBs that Caffe's Data layer reads.

Names are loaded at their first use: NumPy, lmdb and Caffe's messages cost start-up time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

_MODULES = {
    "FASHION_MNIST_SOURCE": "mnist",
    "DataError": "errors",
    "Dataset": "dataset",
    "Progress": "lmdb_writer",
    "Record": "lmdb_writer",
    "Resize": "images",
    "count_records": "lmdb_writer",
    "import_cifar10": "cifar",
    "import_fashion_mnist": "mnist",
    "import_folder": "folder",
    "import_imagenet": "imagenet",
    "import_mnist": "mnist",
    "read_idx": "idx",
    "write_lmdb": "lmdb_writer",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)

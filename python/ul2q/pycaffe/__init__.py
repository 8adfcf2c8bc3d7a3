"""What `import caffe` adds to BVLC's pycaffe: layers in net_spec, tables of nets and blobs.

caffe/__init__.py calls `install` at its end. Importing this package does not load Caffe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ul2q.pycaffe.net_spec import extend_net_spec
from ul2q.pycaffe.tables import (
    bits_text,
    blob_text,
    layer_text,
    net_html,
    net_text,
    solver_text,
)

if TYPE_CHECKING:
    from caffe._caffe import Net

    from ul2q.statistics import BlobStatistics

__all__ = ["bits_text", "install"]


def install() -> None:
    """Extend caffe.net_spec, and caffe's nets, solvers, layers and blobs."""
    from caffe import _caffe, net_spec  # noqa: PLC0415

    extend_net_spec(net_spec, _caffe.layer_type_list())
    for cls, method, function in (
        (_caffe.Net, "__repr__", net_text),
        (_caffe.Net, "_repr_html_", net_html),
        (_caffe.Net, "quantization_statistics", _net_statistics),
        (_caffe.Blob, "__repr__", blob_text),
        (_caffe.Layer, "__repr__", layer_text),
        (_caffe.Solver, "__repr__", solver_text),
    ):
        setattr(cls, method, function)


def _net_statistics(net: Net) -> list[BlobStatistics]:
    from ul2q import statistics  # noqa: PLC0415

    return statistics.net_statistics(net)

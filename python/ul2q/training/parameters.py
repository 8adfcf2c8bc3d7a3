"""Lets a forward pass of a train net leave no trace in its parameters."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import caffe


@contextmanager
def parameters_kept(net: caffe.Net) -> Iterator[None]:
    """Put the parameters of a net back, to the bit, when the block ends.

    A forward pass in phase TRAIN moves the averages of BatchNorm and QuantizedActivation layers,
    which are parameters. What stands in the snapshot would otherwise be other weights than those
    that the net has after a pass that was made for its loss alone.
    """
    blobs = [blob for layer in net.params.values() for blob in layer]
    kept = [blob.data.copy() for blob in blobs]
    try:
        yield
    finally:
        for blob, before in zip(blobs, kept, strict=True):
            # Weights that have not moved are not quantised anew.
            if not np.array_equal(blob.data, before):
                blob.data[...] = before

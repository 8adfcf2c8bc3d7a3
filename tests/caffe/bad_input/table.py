"""All cases of bad input."""

from __future__ import annotations

from tests.caffe.bad_input import (
    calls,
    databases,
    hdf5,
    labels,
    layer_parameters,
    layer_shapes,
    nets,
    prototxt,
    solvers,
    weights,
)

CASES = [
    *prototxt.CASES,
    *nets.CASES,
    *layer_parameters.CASES,
    *layer_shapes.CASES,
    *labels.CASES,
    *databases.CASES,
    *hdf5.CASES,
    *weights.CASES,
    *solvers.CASES,
    *calls.CASES,
]

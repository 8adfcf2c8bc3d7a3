"""Find the fit and granularity that suit trained weights, without training.

`measure` computes what each option does to the weights of a net and, given inputs, to its outputs;
it says which to take, and fits the scales of quantised activations to the inputs.
"""

from __future__ import annotations

from ul2q.fitting.candidates import AUTO, Candidate, FittingError
from ul2q.fitting.files import QuantizedFiles, quantize_files
from ul2q.fitting.measurement import Measurement, measure

__all__ = [
    "AUTO",
    "Candidate",
    "FittingError",
    "Measurement",
    "QuantizedFiles",
    "measure",
    "quantize_files",
]
